"""`uav-perception analyse`: the pictures with which the CID paper argues, on one's own data and networks."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "draw why small objects need another distillation: overlaps, regions, distance to the teacher"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subparser a picture."""
    pictures = parser.add_subparsers(dest="picture", metavar="PICTURE", required=True)
    overlap = "histogram of IoU, GIoU and DIoU between boxes and the anchors around them (Fig. 3)"
    area = "histogram of the positive region's area over the box's (Fig. 4)"
    vlr = "where LD's and CID's regions fall on an image (Fig. 5)"
    cosine = "cosine distance between a student's and the teacher's localisation on P3 (Fig. 7)"
    for name, help_ in (("iou", overlap), ("area", area), ("vlr", vlr), ("cosine", cosine)):
        command = pictures.add_parser(name, help=help_, description=help_)
        command.add_argument("--annotations", type=Path, required=True, help="COCO JSON")
        command.add_argument(
            "--out", type=Path, default=Path(f"{name}.png"), help="picture to write (default %(default)s)"
        )
        if name in ("iou", "area"):
            _size(command)
        else:
            _image(command)
        if name == "vlr":
            _size(command)
            command.add_argument("--teacher", type=Path, help="checkpoint; without it, a perfect teacher is assumed")
            command.add_argument(
                "--levels", type=int, nargs="+", default=[3, 4, 5, 6, 7], help="pyramid levels to show (default all)"
            )
            command.add_argument("--ld-gammas", type=float, nargs="+", default=[0.25, 0.5, 0.75], help="LD's gamma")
            command.add_argument("--cid-gammas", type=float, nargs="+", default=[0.45], help="CID's gamma")
        if name == "cosine":
            command.add_argument("--teacher", type=Path, required=True, help="checkpoint")
            command.add_argument("--student", type=Path, required=True, nargs="+", help="checkpoints to compare")


def _size(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--size", type=int, nargs=2, default=[1333, 800], metavar=("LONG", "SHORT"),
        help="limits of the network's input [px]; 0 0 keeps the images' size (default 1333 800)",
    )  # fmt: skip


def _image(command: argparse.ArgumentParser) -> None:
    command.add_argument("--images", type=Path, help="folder of the images; without it, boxes on grey")
    command.add_argument("--name", help="file name of the image as in the annotations; default: the first")
    command.add_argument(
        "--window", type=int, nargs=4, metavar=("X1", "Y1", "X2", "Y2"), help="part to show [px of the image]"
    )


def run(args: argparse.Namespace) -> int:
    """Draw the picture; its numbers are printed too."""
    return {"iou": _statistics, "area": _statistics, "vlr": _vlr, "cosine": _cosine}[args.picture](args)


def _statistics(args: argparse.Namespace) -> int:
    import numpy as np
    import torch
    from tqdm import tqdm

    from uav_perception.datasets.coco import read_coco
    from uav_perception.datasets.detection_transforms import keep_ratio_scale
    from uav_perception.distillation import pictures
    from uav_perception.distillation.analysis import BoxStatistics, box_statistics
    from uav_perception.distillation.errors import DistillationError

    dataset = read_coco(args.annotations, args.annotations.parent, check_files=False)
    parts = []
    for image in tqdm(dataset.images, desc="images"):
        truth = image.truth
        scale = keep_ratio_scale(truth.width, truth.height, *args.size) if all(args.size) else 1.0
        boxes = torch.from_numpy(truth.boxes[~truth.ignored]).float()
        parts.append(box_statistics(boxes, truth.height, truth.width, scale))
    statistics = BoxStatistics.joined(parts)
    if not len(statistics.area):
        raise DistillationError(f"{args.annotations} holds no box")
    draw = pictures.overlap_histograms if args.picture == "iou" else pictures.area_histograms
    draw(statistics, args.out)
    names = ("iou", "giou", "diou") if args.picture == "iou" else ("area_ratio",)
    if args.picture == "area":
        without = statistics.small[statistics.area_ratio == 0]
        print(f"without a positive cell, not in the picture: {without.sum()} small boxes, {(~without).sum()} larger")
    for label, chosen in (("small", statistics.small), ("larger", ~statistics.small)):
        if chosen.any():
            medians = ", ".join(f"{name} {np.median(getattr(statistics, name)[chosen]):.3f}" for name in names)
            print(f"{label}: {chosen.sum()} boxes, median {medians}")
    print(args.out)
    return 0


def _picture_and_truth(args: argparse.Namespace):
    """The image (RGB, grey where there is none) and its annotation."""
    import numpy as np

    from uav_perception.datasets.coco import read_coco
    from uav_perception.datasets.detection_set import decode_image
    from uav_perception.distillation.errors import DistillationError

    dataset = read_coco(args.annotations, args.images or args.annotations.parent, check_files=False)
    chosen = [image for image in dataset.images if args.name in (None, image.name)]
    if not chosen:
        raise DistillationError(f"{args.annotations} has no image {args.name!r}, but {dataset.images[0].name!r}, ...")
    item = chosen[0]
    if args.images is None:
        return np.full((item.truth.height, item.truth.width, 3), 150, np.uint8), item.truth
    return decode_image(item)[..., ::-1].copy(), item.truth


def _vlr(args: argparse.Namespace) -> int:
    import torch

    from uav_perception.datasets.detection_transforms import keep_ratio_scale
    from uav_perception.distillation import pictures
    from uav_perception.distillation.analysis import cid_region, image_grid, ld_region, paint
    from uav_perception.distillation.errors import DistillationError

    image, truth = _picture_and_truth(args)
    height, width = image.shape[:2]
    teacher_boxes = None
    if args.teacher is None:
        scale = keep_ratio_scale(width, height, *args.size) if all(args.size) else 1.0
        grid = image_grid(round(height * scale), round(width * scale))
    else:
        if args.images is None:
            raise DistillationError("a teacher needs to see the image; give --images")
        detector, output, scale = _look(args.teacher, image)
        grid, teacher_boxes = output.head.grid, detector.head.decode(output.head)[0]
    boxes = torch.from_numpy(truth.boxes[~truth.ignored]).float() * scale
    weights = {f"LD, gamma {gamma:g}": ld_region(grid, boxes, gamma) for gamma in args.ld_gammas}
    weights |= {f"CID, gamma {gamma:g}": cid_region(grid, boxes, gamma, teacher_boxes) for gamma in args.cid_gammas}
    shown = torch.isin(grid.strides, torch.tensor([2.0**level for level in args.levels]))
    panels = []
    for title, values in weights.items():
        values = values * shown
        chosen = values > 0
        mean = float(values[chosen].mean()) if chosen.any() else 0.0
        title = f"{title}: {int(chosen.sum())} cells, mean weight {mean:.2f}"
        print(title)
        panels.append(pictures.Panel(title, _to_image(paint(grid, values, *_scaled(height, width, scale)), image)))
    pictures.overlays(image, truth.boxes[~truth.ignored], panels, args.out, args.window, limit=1.0)
    print(args.out)
    return 0


def _scaled(height: int, width: int, scale: float) -> tuple[int, int]:
    return max(round(height * scale), 1), max(round(width * scale), 1)


def _to_image(values, image):
    """A map in px of the network's input, resized to the image without mixing neighbouring cells."""
    import cv2

    return cv2.resize(values, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_NEAREST)


def _look(checkpoint: Path, image):
    """A checkpoint's detector, its output on an RGB image, and the scale of the network's input."""
    import numpy as np
    import torch

    from uav_perception.datasets.detection_loading import collate
    from uav_perception.datasets.detection_transforms import Sample, resize_keep_ratio
    from uav_perception.training.checkpoints import read_detector

    read = read_detector(checkpoint)
    sample = Sample(np.ascontiguousarray(image[..., ::-1]), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    if all(read.test_size):
        sample = resize_keep_ratio(sample, *read.test_size)
    with torch.no_grad():
        output = read.detector(collate([(sample, 0)]).images)
    return read.detector, output, sample.image.shape[1] / image.shape[1]


def _cosine(args: argparse.Namespace) -> int:
    import numpy as np
    import torch

    from uav_perception.distillation import pictures
    from uav_perception.distillation.analysis import cid_region, cosine_distance, paint
    from uav_perception.distillation.errors import DistillationError
    from uav_perception.networks.assigners import assign_atss

    if args.images is None:
        raise DistillationError("the networks need to see the image; give --images")
    image, truth = _picture_and_truth(args)
    teacher, taught, scale = _look(args.teacher, image)
    grid, head = taught.head.grid, taught.head
    boxes = torch.from_numpy(truth.boxes[~truth.ignored]).float() * scale
    finest = grid.level_sizes[0]
    positive = (assign_atss(grid, boxes).gt_index >= 0)[:finest]
    region = (cid_region(grid, boxes, 0.45, teacher.head.decode(head)[0]) > 0)[:finest] & ~positive
    panels = []
    for path in args.student:
        _, output, _ = _look(path, image)
        distance = cosine_distance(output.head.regressions[0][0], head.regressions[0][0]).flatten()
        groups = {"positives": positive, "region": region, "elsewhere": ~positive & ~region}
        means = ", ".join(
            f"{name} {float(distance[cells].mean()):.3f}" for name, cells in groups.items() if cells.any()
        )
        name = path.parent.name or path.stem
        print(f"{name}: {means}")
        everywhere = torch.zeros(len(grid.centres))
        everywhere[:finest] = distance.clamp(min=1e-6)
        shown = paint(grid, everywhere, *_scaled(*image.shape[:2], scale))
        panels.append(pictures.Panel(f"{name}: {means}", _to_image(shown, image)))
    top = float(np.quantile([panel.values for panel in panels], 0.995))
    pictures.overlays(
        image, truth.boxes[~truth.ignored], panels, args.out, args.window, limit=top, label="cosine distance"
    )
    print(args.out)
    return 0
