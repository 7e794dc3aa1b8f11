"""What compensating the camera's motion does to tracks, against the same tracker without it and a plain IoU tracker.

    python benchmarks/tracking.py --out benchmarks/results/tracking.json

The flights are bags of `uav-perception simulate flight`; without any given, a standard set is flown in memory. The
detections are the true boxes with the faults of a detector (missed objects, weak scores, wavering edges, false ones),
drawn once for a flight and the same for all trackers; with `--model` they come from a detector.
"""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from recorded import STANDARD, RecordedFlight, RecordedImage, flights
from scipy.optimize import linear_sum_assignment

from uav_perception.evaluation.tracking import tracking_metrics
from uav_perception.files import write_json
from uav_perception.flight.geolocation import camera_pose
from uav_perception.inference.detections import Detections
from uav_perception.inference.detector import Detector
from uav_perception.provenance import provenance
from uav_perception.simulation.classes import DETECTION_CLASSES
from uav_perception.tracking.camera_motion import KnownPose, ground_homography, rotation_homography
from uav_perception.tracking.similarity import SIMILARITIES, iou
from uav_perception.tracking.tracker import Tracker, TrackerOptions


class PlainIou:
    """The usual simple tracker: boxes of the last image, Hungarian pairing by IoU, no motion at all."""

    def __init__(self, least: float = 0.3, patience: int = 10) -> None:
        self._least, self._patience = least, patience
        self._boxes, self._ids, self._ages = np.zeros((0, 4)), np.zeros(0, int), np.zeros(0, int)
        self._next = 1

    def update(self, detections: Detections) -> Detections:
        """Give ids to the confident detections."""
        detections = detections[detections.scores >= 0.4]
        similarity = iou(self._boxes, detections.boxes)
        rows, columns = linear_sum_assignment(similarity, maximize=True)
        good = similarity[rows, columns] >= self._least
        rows, columns = rows[good], columns[good]
        ids = np.full(len(detections), -1)
        ids[columns] = self._ids[rows]
        new = ids < 0
        ids[new] = np.arange(self._next, self._next + new.sum())
        self._next += int(new.sum())
        waiting = np.setdiff1d(np.arange(len(self._ids)), rows)
        waiting = waiting[self._ages[waiting] < self._patience]
        self._boxes = np.concatenate([detections.boxes, self._boxes[waiting]])
        self._ids, self._ages = (
            np.concatenate([ids, self._ids[waiting]]),
            np.concatenate([np.zeros(len(ids), int), self._ages[waiting] + 1]),
        )
        return Detections(detections.boxes, detections.scores, detections.class_ids, ids)


def faulty(image: RecordedImage, rng: np.random.Generator) -> Detections:
    """The true boxes as a detector gives them: 10 % missed, 20 % weak, edges off by 0.5 px and 4 %, one false box."""
    truth = image.truth[~image.truth.ignored]
    truth = truth[rng.random(len(truth)) > 0.1]
    side = np.tile(truth.boxes[:, 2:] - truth.boxes[:, :2], 2)
    boxes = truth.boxes + rng.normal(0, 1, (len(truth), 4)) * (0.5 + 0.04 * side)
    weak = rng.random(len(truth)) < 0.2
    scores = np.where(weak, rng.uniform(0.1, 0.4, len(truth)), rng.uniform(0.5, 0.95, len(truth)))
    count = rng.poisson(1.0)
    size = rng.uniform(8, 30, (count, 2))
    corner = rng.uniform(0, 1, (count, 2)) * ([truth.width, truth.height] - size)
    return Detections(
        np.concatenate([boxes, np.concatenate([corner, corner + size], axis=1)]),
        np.concatenate([scores, rng.uniform(0.1, 0.6, count)]),
        np.concatenate([truth.class_ids, rng.integers(0, len(DETECTION_CLASSES), count)]),
    )


def known_motions(flight: RecordedFlight, every: int) -> dict[str, list[np.ndarray | None]]:
    """What the vehicle's messages say of the motion since the last image: the turn alone, or turn and flight."""
    poses = [camera_pose(flight.state.at(image.stamp_ns), flight.mount) for image in flight.images[::every]]
    known = [KnownPose(pose.rotation, pose.position) for pose in poses]
    k = flight.camera.intrinsics
    return {
        "attitude": [None, *(rotation_homography(k, b.rotation.T @ a.rotation) for a, b in itertools.pairwise(known))],
        "pose": [None, *(ground_homography(k, a, b) for a, b in itertools.pairwise(known))],
    }


def run(
    tracker: Tracker,
    flight: RecordedFlight,
    found: list[Detections],
    pixels: list[np.ndarray] | None,
    motions: list[np.ndarray | None] | None,
    every: int,
) -> tuple[list[Detections], float]:
    """Track one flight.

    Returns:
        The tracked detections, and the time an image took [ms].
    """
    began, out = time.perf_counter(), []
    for i, image in enumerate(flight.images[::every]):
        seen = None if pixels is None else pixels[i]
        motion = None if motions is None else motions[i]
        out.append(tracker.update(found[i], image.stamp_ns, seen, motion))
    return out, 1e3 * (time.perf_counter() - began) / max(len(out), 1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bags", nargs="*", type=Path, help="bags of simulated flights; default: the standard set")
    parser.add_argument("--kinds", nargs="+", choices=list(STANDARD), default=[], help="part of the standard set")
    parser.add_argument("--no-images", action="store_true", help="leave out what needs images; saves drawing them")
    parser.add_argument("--seconds", type=float, default=20.0, help="duration of a simulated flight")
    parser.add_argument("--rate", type=float, default=10.0, help="images per second of a simulated flight")
    parser.add_argument("--every", type=int, default=1, help="use each N-th image")
    parser.add_argument("--model", help="detection model instead of faulty truth")
    parser.add_argument("--similarities", action="store_true", help="compare the measures of likeness as well")
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--out", default="benchmarks/results/tracking.json")
    args = parser.parse_args()
    if args.model and args.no_images:
        parser.error("a detector needs images: leave out --model or --no-images")
    return args


def main() -> None:
    args = arguments()
    detector = Detector(args.model, score_threshold=TrackerOptions().low_score) if args.model else None
    answers: dict[str, list] = {}
    times: dict[str, list[float]] = {}
    names = []
    drawn = not args.no_images
    for number, flight in enumerate(flights(args.bags, drawn, args.seconds, args.rate, args.seed, args.kinds)):
        names.append(flight.name)
        used = flight.images[:: args.every]
        truths = [image.truth for image in used]
        pixels = [image.pixels for image in used] if drawn else None
        motions = known_motions(flight, args.every)
        rng = np.random.default_rng([args.seed, number])
        found = [detector.detect(p) for p in pixels] if detector else [faulty(image, rng) for image in used]
        plain = PlainIou()
        answers.setdefault("plain IoU", []).append((truths, [plain.update(seen) for seen in found]))
        default = TrackerOptions()
        variants = {
            "no compensation": (default, None, None),
            "camera motion from images": (default, pixels, None),
            "camera motion from attitude": (default, None, motions["attitude"]),
            "camera motion from pose": (default, None, motions["pose"]),
            "from images and pose": (default, pixels, motions["pose"]),
        }
        if not drawn:
            variants = {name: variant for name, variant in variants.items() if "images" not in name}
        if args.similarities:
            for name in SIMILARITIES:
                variants[f"from pose, {name}"] = (replace(default, similarity=name), None, motions["pose"])
        for name, (options, seen, turns) in variants.items():
            tracked, milliseconds = run(Tracker(options), flight, found, seen, turns, args.every)
            answers.setdefault(name, []).append((truths, tracked))
            times.setdefault(name, []).append(milliseconds)
    table = {}
    for name, sequences in answers.items():
        measured = tracking_metrics(sequences, DETECTION_CLASSES)
        measured["ms_per_image"] = float(np.mean(times[name])) if name in times else None
        measured["per_flight"] = {
            flight: {k: v for k, v in tracking_metrics([pair], DETECTION_CLASSES).items() if k != "per_class"}
            for flight, pair in zip(names, sequences, strict=True)
        }
        table[name] = measured
        print(
            f"{name:32s} HOTA {100 * measured['HOTA']:5.1f}  AssA {100 * measured['AssA']:5.1f}  "
            f"IDF1 {100 * measured['IDF1']:5.1f}  ID switches {measured['id_switches']}"
        )
    source = Path(args.model).name if args.model else "true boxes with a detector's faults"
    write_json(args.out, {"provenance": provenance(args.seed), "detections": source, "trackers": table})


if __name__ == "__main__":
    main()
