"""UAVDT (DET) in its published form.

Images lie in ``UAV-benchmark-M/<sequence>/img%06d.jpg``, annotations in
``UAV-benchmark-MOTD_v1.0/GT/<sequence>_gt_whole.txt`` with lines
``frame,target,left,top,width,height,out_of_view,occlusion,category`` (1 car, 2 truck, 3 bus) and, for areas that are
not annotated, ``<sequence>_gt_ignore.txt`` with lines ``frame,target,left,top,width,height,...``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from uav_perception.datasets.detection_set import AnnotatedImage, DetectionSet, ProblemLog, image_size, usable_box
from uav_perception.datasets.errors import DatasetError
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.files import write_text

UAVDT_CLASSES = ("car", "truck", "bus")
UAVDT_TEST_SEQUENCES = tuple(
    f"M{number}"
    for number in (
        "0203", "0205", "0208", "0209", "0403", "0601", "0602", "0606", "0701", "0801",
        "0802", "1001", "1004", "1007", "1009", "1101", "1301", "1302", "1303", "1401",
    )
)  # fmt: skip


def read_uavdt(images: str | Path, annotations: str | Path, split: str, every: int = 1) -> DetectionSet:
    """Read a split.

    Args:
        images: folder of the sequences (``UAV-benchmark-M``).
        annotations: folder of the ``*_gt_whole.txt`` files.
        split: ``train`` or ``test``; the test sequences are the published twenty.
        every: take every n-th image; neighbouring video frames differ little.

    Raises:
        DatasetError: unknown split, or no sequence of it is there.
    """
    images, annotations = Path(images), Path(annotations)
    if split not in ("train", "test"):
        raise DatasetError(f"UAVDT has the splits train and test, not {split!r}.")
    if not images.is_dir():
        raise DatasetError(f"UAVDT's image folder {images} does not exist.")
    sequences = sorted(folder for folder in images.iterdir() if folder.is_dir())
    sequences = [folder for folder in sequences if (folder.name in UAVDT_TEST_SEQUENCES) == (split == "test")]
    if not sequences:
        raise DatasetError(f"{images} holds no sequence of the {split} split; it needs folders such as M0203.")
    log, found = ProblemLog(), []
    for folder in sequences:
        whole = annotations / f"{folder.name}_gt_whole.txt"
        if not whole.is_file():
            log.skip(folder.name, f"the annotation {whole.name} does not exist")
            continue
        objects = _read_lines(whole, 9, log)
        ignore = annotations / f"{folder.name}_gt_ignore.txt"
        regions = _read_lines(ignore, 6, log) if ignore.is_file() else {}
        for path in sorted(folder.glob("img*.jpg"))[::every]:
            image = _read_image(path, objects, regions, log)
            if image is not None:
                found.append(image)
    return DetectionSet(tuple(found), UAVDT_CLASSES, log.report(images))


def _read_lines(path: Path, columns: int, log: ProblemLog) -> dict[int, list[list[float]]]:
    """Rows of numbers by frame number."""
    by_frame: dict[int, list[list[float]]] = defaultdict(list)
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = [float(part) for part in line.strip().rstrip(",").split(",")]
        except ValueError:
            row = []
        if len(row) < columns:
            log.skip(f"{path.name}, line {number}", f"{line.strip()!r} does not have {columns} numbers")
            continue
        by_frame[int(row[0])].append(row)
    return by_frame


def _read_image(path: Path, objects: dict, regions: dict, log: ProblemLog) -> AnnotatedImage | None:
    name = f"{path.parent.name}/{path.name}"
    try:
        width, height = image_size(path)
        frame = int(path.stem.removeprefix("img"))
    except (DatasetError, ValueError) as error:
        log.skip(name, str(error))
        return None
    boxes, classes, tracks, ignore_regions = [], [], [], []
    for row in objects.get(frame, []):
        box, why = usable_box((row[2], row[3], row[2] + row[4], row[3] + row[5]), width, height)
        category = int(row[8])
        if not 1 <= category <= len(UAVDT_CLASSES):
            box, why = None, f"there is no category {category}"
        if box is None:
            log.skip(f"{name}, target {int(row[1])}", why)
            continue
        boxes.append(box)
        classes.append(category - 1)
        tracks.append(int(row[1]))
    for row in regions.get(frame, []):
        box, why = usable_box((row[2], row[3], row[2] + row[4], row[3] + row[5]), width, height)
        if box is None:
            log.skip(f"{name}, ignore region", why)
        else:
            ignore_regions.append(box)
    truth = ImageTruth(
        np.array(boxes),
        np.array(classes, int),
        ignore_regions=np.array(ignore_regions),
        width=width,
        height=height,
        track_ids=np.array(tracks, int),
    )
    return AnnotatedImage(path, name, truth)


def write_uavdt(dataset: DetectionSet, root: str | Path) -> None:
    """Write a data set's annotations as UAVDT text files, ``root/<sequence>_gt_whole.txt`` and ``_gt_ignore.txt``.

    The images stay where they are; UAVDT wants them as ``<sequence>/img%06d.jpg``. An image's folder is its sequence,
    ``M0000`` where it lies in none. Objects of other classes than UAVDT's are left out, as UAVDT does not annotate
    them. Coordinates are rounded to whole pixels. What is to be ignored becomes an ignore region.

    Raises:
        DatasetError: none of the classes is UAVDT's, an image is not named by its frame number, or two are one frame.
    """
    categories = {i: UAVDT_CLASSES.index(n) + 1 for i, n in enumerate(dataset.class_names) if n in UAVDT_CLASSES}
    if not categories:
        raise DatasetError(
            f"UAVDT's classes are {', '.join(UAVDT_CLASSES)}; this data set has {', '.join(dataset.class_names)}."
        )
    whole: dict[str, list[str]] = defaultdict(list)
    ignore: dict[str, list[str]] = defaultdict(list)
    seen: set[tuple[str, int]] = set()
    for image in dataset.images:
        path, truth = Path(image.name), image.truth
        number = re.fullmatch(r"img(\d+)", path.stem)
        if number is None:
            raise DatasetError(
                f"UAVDT names images by their frame, img000001.jpg; {image.name} is to be renamed first."
            )
        sequence, frame = path.parent.name or "M0000", int(number[1])
        if (sequence, frame) in seen:
            raise DatasetError(f"Two images would be frame {frame} of {sequence}; put them into different folders.")
        seen.add((sequence, frame))
        objects, regions = whole[sequence], ignore[sequence]
        regions += [_line(frame, 0, region, "-1,-1,-1") for region in truth.ignore_regions]
        for i, (box, class_id) in enumerate(zip(truth.boxes, truth.class_ids, strict=True)):
            if truth.ignored[i]:
                regions.append(_line(frame, 0, box, "-1,-1,-1"))
            elif int(class_id) in categories:
                target = int(truth.track_ids[i])
                objects.append(_line(frame, target if target >= 0 else i + 1, box, f"1,1,{categories[int(class_id)]}"))
    for sequence in whole:
        write_text(Path(root) / f"{sequence}_gt_whole.txt", "".join(whole[sequence]))
        write_text(Path(root) / f"{sequence}_gt_ignore.txt", "".join(ignore[sequence]))


def _line(frame: int, target: int, box: np.ndarray, rest: str) -> str:
    x1, y1, x2, y2 = (round(float(value)) for value in box)
    return f"{frame},{target},{x1},{y1},{max(x2 - x1, 1)},{max(y2 - y1, 1)},{rest}\n"
