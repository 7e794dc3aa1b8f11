"""Does distillation help on small objects? Student, FGD, LD, LD+Ours, BCKD, BCKD+Ours on simulated flights.

    uav-perception simulate detection data/det_train --images 4000 --seed 101
    uav-perception simulate detection data/det_more --images 8000 --seed 303
    uav-perception simulate detection data/det_val --images 300 --seed 202
    uav-perception train detector --config config/recipes/sim_gfl_light.yaml --output runs/sim_gfl_light
    python benchmarks/distillation_sim.py runs/sim_gfl_light/best.pt --start EARLIER.pt

Everything is cut down to what one CPU core trains. The teacher is the demo's detector (trained long, on full images);
the student has the same backbone and pyramid levels, a narrower neck and head and a short training on fixed crops of
the teacher's training images: AdamW, one-cycle rate, mirrored at random. ``--start`` stands in for the paper's ImageNet
weights: every student takes the backbone of an earlier, weaker detector. The crops are fixed, so the teacher's answers
to them and to their mirror images are computed once. Validation is on crops of scenes that neither saw. The paper's own
schedule is in config/recipes.

The published weights are made for twelve epochs: at the start of so short a training LD's terms are over ten times the
detector's own losses, and the student learns the teacher's shapes before it learns what an object is. So every method's
terms are multiplied by one factor, at most 1, with which they begin no larger than the detector's own losses
(``balanced``); the arms ``..._published`` show what happens without it.

Runs that are in the result file already are skipped: the benchmark can be stopped and started again, and several
processes can share the work; give each its own --seeds.
"""

from __future__ import annotations

import argparse
import copy
import fcntl
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from uav_perception.datasets.coco import read_coco
from uav_perception.datasets.detection_loading import ImageStore, collate
from uav_perception.datasets.detection_transforms import Sample, flip, random_crop
from uav_perception.distillation.distiller import Distiller, build_method
from uav_perception.evaluation.detection import ImageTruth, coco_metrics, visdrone_metrics
from uav_perception.files import write_json
from uav_perception.inference.detections import Detections
from uav_perception.inference.nms import nms
from uav_perception.networks.detector import Detector, DetectorOutput
from uav_perception.networks.heads.base import HeadOutput
from uav_perception.provenance import provenance
from uav_perception.training.bfloat16 import compute_in_bfloat16
from uav_perception.training.checkpoints import load_detector

STUDENT = {"neck_channels": 24, "head_channels": 24, "groups": 8}  # the rest is the teacher's
LIGHT_ML = {"fusion": "light_ml"}
BALANCED_ON = 20  # batches


@dataclass(frozen=True)
class Arm:
    """What is compared.

    Attributes:
        method: of distillation; None trains without.
        changes: to the student's configuration.
        balanced: whether the method's terms begin no larger than the detector's own losses.
    """

    method: str | None = None
    changes: dict[str, str] = field(default_factory=dict)
    balanced: bool = True


ARMS = {
    "student": Arm(),
    "ld": Arm("ld"),
    "ld_ours": Arm("ld_ours", LIGHT_ML),
    "bckd": Arm("bckd"),
    "bckd_ours": Arm("bckd_ours", LIGHT_ML),
    "fgd": Arm("fgd"),
    "ld_published": Arm("ld", balanced=False),
    "ld_ours_published": Arm("ld_ours", LIGHT_ML, balanced=False),
}
COLUMNS = ("AP", "AP50", "AP_small")
SCORE_THRESHOLD, NMS_IOU, MAX_DETECTIONS = 0.05, 0.6, 500


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("teacher", type=Path, help="checkpoint of the teacher")
    parser.add_argument("--start", type=Path, help="checkpoint whose backbone all students start from")
    parser.add_argument("--data", type=Path, default=Path("data/det_train"), help="simulated set to train on")
    parser.add_argument("--val", type=Path, default=Path("data/det_val"), help="simulated set to measure on")
    parser.add_argument("--size", type=int, default=192, help="side of the crops [px]")
    parser.add_argument("--train-crops", type=int, default=1200)
    parser.add_argument("--val-crops", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2], help="of student, ld and ld_ours")
    parser.add_argument("--other-seeds", type=int, nargs="*", default=[0], help="of the other arms")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/distillation_sim.json"))
    return parser.parse_args()


def crops(folder: Path, count: int, size: int, seed: int) -> tuple[list[Sample], tuple[str, ...]]:
    """Fixed crops around objects, spread evenly over the images of a set, and the names of its classes."""
    dataset = read_coco(folder / "coco.json", folder / "images")
    store, rng, found = ImageStore(dataset), np.random.default_rng(seed), []
    for number in tqdm(range(count), desc="crops"):
        sample = store.sample(number * len(dataset) // count)
        if sample is not None:
            found.append(random_crop(sample, size, size, focus=1.0, rng=rng))
    return found, dataset.class_names


@dataclass(frozen=True)
class Schedule:
    """How a network is trained."""

    epochs: int
    batch: int
    rate: float
    seed: int


class TeacherAnswers:
    """The teacher's output for every crop and its mirror image, in half precision."""

    def __init__(self, teacher: Detector, samples: list[Sample]) -> None:
        self.levels: dict[tuple[int, bool], tuple[list[torch.Tensor], ...]] = {}
        with torch.no_grad():
            for index, sample in enumerate(tqdm(samples, desc="teacher's answers")):
                for mirrored in (False, True):
                    images = collate([(flip(sample) if mirrored else sample, index)]).images
                    said = teacher(images)
                    self.grid = said.head.grid
                    maps = (said.features, said.head.class_logits, said.head.regressions)
                    self.levels[index, mirrored] = tuple([level[0].half() for level in part] for part in maps)

    def batch(self, keys: list[tuple[int, bool]]) -> DetectorOutput:
        """The output for these crops, as the teacher would give it."""
        parts = zip(*(self.levels[key] for key in keys), strict=True)
        features, logits, regressions = (
            [torch.stack(level).float() for level in zip(*part, strict=True)] for part in parts
        )
        head = HeadOutput(logits, regressions, None, [], [], None, None, self.grid)
        return DetectorOutput(features, head)


class Lesson:
    """Batches of the fixed crops, mirrored at random, and their losses.

    Args:
        network: the student.
        samples: the crops.
        batch: crops a step.
        distiller, answers: the method and what the teacher says; None trains without.
    """

    def __init__(
        self,
        network: Detector,
        samples: list[Sample],
        batch: int,
        distiller: Distiller | None = None,
        answers: TeacherAnswers | None = None,
    ) -> None:
        self.network, self.samples, self.batch = network, samples, batch
        self.distiller, self.answers, self.factor = distiller, answers, 1.0

    def epoch(self, rng: np.random.Generator) -> Iterator[list[tuple[int, bool]]]:
        """Crops and whether they are mirrored, batch by batch; a last one that is not full is left out."""
        order = rng.permutation(len(self.samples))
        for start in range(0, len(order) - self.batch + 1, self.batch):
            yield [(int(index), bool(rng.integers(2))) for index in order[start : start + self.batch]]

    def losses(self, keys: list[tuple[int, bool]]) -> tuple[torch.Tensor, torch.Tensor | float]:
        """The detector's own losses and the method's, before the factor."""
        pairs = [(flip(self.samples[i]) if mirrored else self.samples[i], i) for i, mirrored in keys]
        batch = collate(pairs)
        output = self.network(batch.images)
        assignment = self.network.head.assign(output.head.grid, batch.targets)
        own = sum(self.network.head.losses(output.head, assignment).values())
        if self.distiller is None:
            return own, 0.0
        return own, sum(self.distiller(batch.images, output, assignment, taught=self.answers.batch(keys)).values())

    @torch.no_grad()
    def balance(self, rng: np.random.Generator) -> None:
        """Set the factor: the method's terms are at most as large as the detector's own losses, before training."""
        if self.distiller is None:
            return
        before = copy.deepcopy(self.network.state_dict())  # a forward pass moves the norms' running statistics
        self.network.train()
        pairs = [self.losses(keys) for keys in islice(self.epoch(rng), BALANCED_ON)]
        self.network.load_state_dict(before)
        own, taught = (float(sum(part)) for part in zip(*pairs, strict=True))
        self.factor = min(1.0, own / taught)


def train(lesson: Lesson, schedule: Schedule) -> None:
    """Train in place; flips are the only augmentation."""
    rng = np.random.default_rng(schedule.seed)
    parameters = [*lesson.network.parameters(), *(lesson.distiller.parameters() if lesson.distiller else [])]
    optimiser = torch.optim.AdamW(parameters, lr=schedule.rate, weight_decay=1e-4)
    steps = schedule.epochs * (len(lesson.samples) // schedule.batch)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, schedule.rate, total_steps=steps, pct_start=0.15)
    lesson.network.train()
    with tqdm(total=steps, mininterval=5) as bar:
        for _ in range(schedule.epochs):
            for keys in lesson.epoch(rng):
                own, taught = lesson.losses(keys)
                loss = own + lesson.factor * taught
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, 10.0)
                optimiser.step()
                rates.step()
                bar.set_postfix(loss=f"{loss.item():.2f}", refresh=False)
                bar.update()


def evaluate(network: Detector, samples: list[Sample], class_names: tuple[str, ...]) -> dict[str, dict[str, object]]:
    """Both protocols on the validation crops."""
    network.eval()
    truths, found = [], []
    for index, sample in enumerate(samples):
        with torch.no_grad():
            said = network(collate([(sample, index)]).images)
            boxes, scores = network.head.decode(said.head)[0].numpy(), network.head.scores(said.head)[0].numpy()
        cells, classes = np.nonzero(scores > SCORE_THRESHOLD)
        boxes, scores = boxes[cells].clip(0, sample.image.shape[0]), scores[cells, classes]
        keep = nms(boxes, scores, classes, NMS_IOU, MAX_DETECTIONS)
        found.append(Detections(boxes[keep], scores[keep], classes[keep]))
        height, width = sample.image.shape[:2]
        truths.append(ImageTruth(sample.boxes, sample.labels, width=width, height=height))
    both = {"coco": coco_metrics(truths, found, class_names), "visdrone": visdrone_metrics(truths, found, class_names)}
    return {protocol: {k: v for k, v in row.items() if k != "per_class"} for protocol, row in both.items()}


def summary(runs: list[dict]) -> dict[str, dict[str, object]]:
    """Mean, spread (sample standard deviation) and values of each arm's numbers over its seeds."""
    table: dict[str, dict[str, object]] = {}
    for arm in ARMS:
        of_arm = [run for run in runs if run["arm"] == arm]
        if not of_arm:
            continue
        table[arm] = {name: [run[key] for run in of_arm] for name, key in (("seeds", "seed"), ("factors", "factor"))}
        for protocol, columns in (("coco", COLUMNS), ("visdrone", ("AP", "AP50"))):
            for column in columns:
                values = [run["metrics"][protocol][column] for run in of_arm]
                table[arm][f"{protocol} {column}"] = {
                    "mean": round(statistics.mean(values), 4),
                    "spread": round(statistics.stdev(values), 4) if len(values) > 1 else None,
                    "values": [round(value, 4) for value in values],
                }
    return table


class Results:
    """The result file, which several processes may extend.

    Args:
        path: the JSON file.
        setting: what all its runs share.

    Raises:
        SystemExit: the file holds runs of another setting.
    """

    def __init__(self, path: Path, setting: dict[str, object]) -> None:
        self.path, self.setting = path, setting
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.read()["setting"] != setting:
            raise SystemExit(f"{path} holds runs of another setting ({self.read()['setting']}); give another --out.")

    def read(self) -> dict:
        """What is known so far."""
        if not self.path.is_file():
            return {"setting": self.setting, "runs": []}
        return json.loads(self.path.read_text(encoding="utf-8"))

    def finished(self) -> set[tuple[str, int]]:
        """Arm and seed of the runs that are there."""
        return {(run["arm"], run["seed"]) for run in self.read()["runs"]}

    def update(self, **values: object) -> None:
        """Set some keys, under a lock."""
        with open(self.path.with_suffix(".lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            write_json(self.path, self.read() | values)

    def add(self, run: dict) -> None:
        """Append a run and renew the summary."""
        with open(self.path.with_suffix(".lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = self.read()
            known["runs"].append(run)
            known["summary"] = summary(known["runs"])
            known["provenance"] = provenance(sorted({run["seed"] for run in known["runs"]}))
            write_json(self.path, known)


def main() -> None:
    args = arguments()
    setting = {k: v for k, v in vars(args).items() if isinstance(v, (int, float))} | {
        "student": STUDENT,
        "started": args.start is not None,
    }
    results = Results(args.out, setting)
    samples, class_names = crops(args.data, args.train_crops, args.size, seed=1)
    tests, _ = crops(args.val, args.val_crops, args.size, seed=2)
    teacher, start = load_detector(args.teacher), load_detector(args.start) if args.start else None
    if "teacher_metrics" not in results.read():
        metrics = evaluate(teacher, tests, class_names)
        objects = {"train": sum(len(s.boxes) for s in samples), "val": sum(len(s.boxes) for s in tests)}
        results.update(teacher_metrics=metrics, objects=objects)
        print("teacher", {name: metrics["coco"][name] for name in COLUMNS}, flush=True)
    answers = TeacherAnswers(teacher.eval(), samples)

    main_arms = ("student", "ld", "ld_ours")
    plan = [(arm, seed) for seed in args.seeds for arm in main_arms]
    plan += [(arm, seed) for seed in args.other_seeds for arm in ARMS if arm not in main_arms]
    for arm, seed in plan:
        if (arm, seed) in results.finished():
            continue
        how = ARMS[arm]
        torch.manual_seed(seed)
        network = Detector(replace(teacher.config, **STUDENT, **how.changes))
        if start is not None:
            network.backbone.load_state_dict(start.backbone.state_dict())
        for part in (network.neck, network.head):
            compute_in_bfloat16(part)
        distiller = None
        if how.method is not None:
            distiller = Distiller(teacher, build_method({"method": how.method}, network, teacher), network.head)
        lesson = Lesson(network, samples, args.batch, distiller, answers)
        if how.balanced:
            lesson.balance(np.random.default_rng(seed))
        began = time.process_time()
        train(lesson, Schedule(args.epochs, args.batch, args.rate, seed))
        seconds = time.process_time() - began
        metrics = evaluate(network, tests, class_names)
        results.add(
            {
                "arm": arm,
                "seed": seed,
                "factor": round(lesson.factor, 4),
                "train_cpu_seconds": round(seconds, 1),
                "metrics": metrics,
            }
        )
        row = metrics["coco"] | {"visdrone AP": metrics["visdrone"]["AP"]}
        print(arm, seed, {name: row[name] for name in (*COLUMNS, "visdrone AP")}, f"{seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
