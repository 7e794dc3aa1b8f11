"""What distilling costs: the time of one training step of every method, relative to plain training, in one run.

    python benchmarks/distillation_cost.py --out benchmarks/results/distillation_cost.json

Steps of all methods are interleaved, so that a busy machine slows them alike, and the median is reported. On a CPU the
process's own CPU time is measured, on a GPU the synchronised wall clock. The code that chooses and weights locations is
timed on its own and compared with the teacher's forward pass.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from tqdm import tqdm

from uav_perception.distillation import bckd, fgd
from uav_perception.distillation.cid import CidConstants
from uav_perception.distillation.distiller import METHODS, Distiller, build_method, view_of
from uav_perception.distillation.methods import ld_region_weights, region_weights
from uav_perception.distillation.views import Scene
from uav_perception.files import write_json
from uav_perception.networks.assigners import ImageTargets
from uav_perception.networks.detector import Detector, DetectorConfig
from uav_perception.provenance import provenance


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=448)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--objects", type=int, default=54, help="boxes an image; VisDrone's training set has 54")
    parser.add_argument("--student", default="resnet18")
    parser.add_argument("--teacher", default="resnet101")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", default="benchmarks/results/distillation_cost.json")
    return parser.parse_args()


def clock(device: str) -> float:
    """Seconds: wall clock after synchronisation on a GPU, CPU time of the process elsewhere."""
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def draw_targets(args: argparse.Namespace) -> list[ImageTargets]:
    """Small boxes (6 to 40 px), spread evenly."""
    generator = torch.Generator().manual_seed(args.seed)
    targets = []
    for _ in range(args.batch):
        low = torch.rand(args.objects, 2, generator=generator) * torch.tensor([args.width - 40.0, args.height - 40.0])
        size = torch.rand(args.objects, 2, generator=generator) * 34 + 6
        labels = torch.randint(10, (args.objects,), generator=generator)
        targets.append(ImageTargets(torch.cat([low, low + size], 1), labels, args.height, args.width).to(args.device))
    return targets


def detector(backbone: str, args: argparse.Namespace, **changes: object) -> Detector:
    torch.manual_seed(args.seed)
    return Detector(DetectorConfig(num_classes=10, backbone=backbone, **changes)).to(args.device)


class Step:
    """One training step: forward, losses, backward, SGD."""

    def __init__(self, student: Detector, distiller: Distiller | None, args: argparse.Namespace) -> None:
        self.student, self.distiller, self.args = student.train(), distiller, args
        parameters = [p for p in student.parameters() if p.requires_grad]
        if distiller is not None:
            parameters += list(distiller.parameters())
        self.optimiser = torch.optim.SGD(parameters, lr=1e-6, momentum=0.9, weight_decay=1e-4)

    def __call__(self, images: torch.Tensor, targets: list[ImageTargets]) -> None:
        keep = self.distiller is not None and self.distiller.keep_stages
        output = self.student(images, keep_stages=keep)
        assignment = self.student.head.assign(output.head.grid, targets)
        losses = self.student.head.losses(output.head, assignment)
        if self.distiller is not None:
            losses |= self.distiller(images, output, assignment)
        self.optimiser.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), 10.0)
        self.optimiser.step()


def weighting(
    student: Detector, teacher: Detector, images: torch.Tensor, targets: list[ImageTargets]
) -> dict[str, Callable]:
    """The weighting code of each method, ready to be called on one batch's predictions."""
    with torch.no_grad():
        own_output = student(images)
        own, target = view_of(student.head, own_output), view_of(teacher.head, teacher(images))
        grid = own_output.head.grid
        scene = Scene(tuple(images.shape[2:]), grid, student.head.assign(grid, targets), 1.0, True)
    sizes = [tuple(level.shape[2:]) for level in own.features]
    return {
        "ld: VLR by DIoU": lambda: ld_region_weights(0.25, own, scene),
        "cid: eq. 7-8": lambda: region_weights(CidConstants(), target, scene),
        "cid within gt": lambda: region_weights(CidConstants(region="cid_within_gt"), target, scene),
        "bckd: score gap": lambda: bckd.score_gap(own.class_logits, target.class_logits),
        "fgd: masks": lambda: [fgd.scale_masks(scene.ground_truth, scene.image_size, size) for size in sizes],
    }


def main() -> None:
    args = arguments()
    teacher = detector(args.teacher, args).eval()
    generator = torch.Generator().manual_seed(args.seed)
    images = torch.randn(args.batch, 3, args.height, args.width, generator=generator).to(args.device)
    targets = draw_targets(args)

    steps: dict[str, Step] = {"plain": Step(detector(args.student, args), None, args)}
    for method in METHODS:
        lifted = {"fusion": "light_ml"} if method.endswith("_ours") else {}
        student = detector(args.student, args, **lifted)
        distiller = Distiller(teacher, build_method({"method": method}, student, teacher), student.head)
        steps[method] = Step(student, distiller.to(args.device), args)
    forward = {"teacher's forward pass": lambda: teacher(images)}
    weights = weighting(detector(args.student, args).eval(), teacher, images, targets)

    seconds: dict[str, list[float]] = {name: [] for name in (*steps, *forward, *weights)}
    for repeat in tqdm(range(args.repeats + 1), desc="rounds"):
        for name in seconds:
            start = clock(args.device)
            if name in steps:
                steps[name](images, targets)
            else:
                with torch.no_grad():
                    (forward | weights)[name]()
            if repeat:  # the first round warms up
                seconds[name].append(clock(args.device) - start)

    median = {name: statistics.median(values) for name, values in seconds.items()}
    teacher_seconds = median["teacher's forward pass"]
    result = {
        "setting": {key: value for key, value in vars(args).items() if key != "out"},
        "clock": "wall" if args.device == "cuda" else "cpu time of the process",
        "step": {
            name: {
                "seconds": round(median[name], 4),
                "relative_to_plain": round(median[name] / median["plain"], 3),
                "beyond_plain_and_teacher": round(
                    median[name] - median["plain"] - (teacher_seconds if name != "plain" else 0), 4
                ),
                "spread": [round(min(seconds[name]), 4), round(max(seconds[name]), 4)],
            }
            for name in steps
        },
        "teacher_forward_seconds": round(teacher_seconds, 4),
        "weighting": {
            name: {"seconds": round(median[name], 6), "relative_to_teacher": round(median[name] / teacher_seconds, 5)}
            for name in weights
        },
        "provenance": provenance(args.seed),
    }
    write_json(args.out, result)
    for name, row in result["step"].items():
        print(f"{name:10s} {row['seconds']:8.3f} s  x{row['relative_to_plain']:.2f}")
    print(f"teacher's forward pass {teacher_seconds:.3f} s")
    for name, row in result["weighting"].items():
        print(f"{name:16s} {row['seconds'] * 1e3:8.2f} ms  {row['relative_to_teacher'] * 100:.2f} % of the teacher's")


if __name__ == "__main__":
    main()
