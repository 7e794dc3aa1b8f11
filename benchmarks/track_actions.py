"""Actions of every actor: how right, against judging the whole image, and what a tick costs as actors grow in number.

    python benchmarks/track_actions.py models/larmuv.onnx FLIGHT ... --out benchmarks/results/track_actions.json

The flights are bags of `uav-perception simulate flight`. Actors are the true boxes of people and bicycles, so that the
accuracy is that of the recogniser alone. A label counts for the action at the end of the window that it was judged
from. The cost is CPU time of one thread, on random images with 1 to 50 actors; it stays flat from the budget on.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np
from recorded import read_flight
from tqdm import tqdm

from uav_perception.actions.model import ActionModel
from uav_perception.actions.recogniser import Recogniser, RecogniserOptions
from uav_perception.evaluation.bag import messages, opened
from uav_perception.files import write_json
from uav_perception.inference.backends import BackendOptions
from uav_perception.inference.detections import Detections
from uav_perception.provenance import provenance
from uav_perception.simulation.classes import DETECTION_CLASSES

ACTORS = [DETECTION_CLASSES.index(name) for name in ("person", "bicycle")]


def true_actions(path: Path) -> dict[int, dict[int, str]]:
    """The action of the frame (-1) and of every actor, by stamp."""
    actions = {}
    with opened(path) as reader:
        connections = [c for c in reader.connections if c.topic == "/ground_truth/actions"]
        for connection, _, data in messages(reader, connections, path):
            message = reader.deserialize(data, connection.msgtype)
            stamp = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
            actions[stamp] = {row.track_id: row.label for row in message.actions}
    return actions


def judge(model: ActionModel, path: Path, options: RecogniserOptions) -> dict[str, Counter]:
    """Count right, wrong and unknown labels of one flight for both scopes."""
    flight, actions = read_flight(path, images=True), true_actions(path)
    recogniser, counts = Recogniser(model, options=options), {"frame": Counter(), "track": Counter()}
    for image in tqdm(flight.images, desc=path.name, unit="image"):
        seen, pixels = image.detections(), image.pixels
        actors = seen[np.isin(seen.class_ids, ACTORS)]
        frame = recogniser.update(pixels, image.stamp_ns)
        results = ([frame] if frame else []) + recogniser.update_tracks(pixels, image.stamp_ns, actors)
        for result in results:
            truth = actions[result.window_end_ns].get(result.track_id)
            if truth:
                known = result.label != "unknown"
                counts[result.scope][("right" if result.label == truth else "wrong") if known else "unknown"] += 1
    return counts


def cost(model: ActionModel, tracks: int, options: RecogniserOptions, ticks: int) -> dict[str, float]:
    """CPU time of a tick with so many actors in a 640x384 image [ms]."""
    rng = np.random.default_rng(tracks)
    recogniser = Recogniser(model, options=options)
    corner = rng.uniform(0, [600, 330], (tracks, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(15, 40, (tracks, 2))], axis=1)
    actors = Detections(boxes, np.ones(tracks), np.zeros(tracks), np.arange(tracks))
    image = rng.integers(0, 256, (384, 640, 3), np.uint8)
    spent = []
    for tick in range(ticks):
        began = time.process_time()
        results = recogniser.update_tracks(image, round(tick * 1e9 / recogniser.tick_hz), actors)
        spent.append(1e3 * (time.process_time() - began))
    half = spent[ticks // 2 :]
    return {"median_ms": float(np.median(half)), "p95_ms": float(np.percentile(half, 95)), "looked_at": len(results)}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="action model (.onnx)")
    parser.add_argument("bags", nargs="*", type=Path, help="bags of simulated flights")
    parser.add_argument("--budget", type=int, default=8, help="most actors in one backbone pass")
    parser.add_argument("--crop-scale", type=float, default=RecogniserOptions().crop_scale)
    parser.add_argument("--ticks", type=int, default=20, help="ticks for each number of actors")
    parser.add_argument("--out", default="benchmarks/results/track_actions.json")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    options = RecogniserOptions(track_budget=args.budget, crop_scale=args.crop_scale)
    model = ActionModel(args.model, options=BackendOptions(threads=1))
    costs = {n: cost(model, n, options, args.ticks) for n in tqdm((1, 2, 5, 8, 10, 20, 35, 50), unit="size")}
    accuracy = {}
    for path in args.bags:
        accuracy[path.name] = {
            scope: {**count, "accuracy": count["right"] / max(count["right"] + count["wrong"], 1)}
            for scope, count in judge(model, path, options).items()
        }
    write_json(
        args.out,
        {
            "provenance": provenance(),
            "model": Path(args.model).name,
            "budget": args.budget,
            "crop_scale": args.crop_scale,
            "cost_of_a_tick": costs,
            "accuracy": accuracy,
        },
    )
    for tracks, row in costs.items():
        print(
            f"{tracks:3d} actors: {row['median_ms']:6.1f} ms a tick, p95 {row['p95_ms']:.1f}, {row['looked_at']} seen"
        )
    for name, scopes in accuracy.items():
        for scope, row in scopes.items():
            print(f"{name} {scope}: accuracy {row['accuracy']:.3f} {dict(row)}")


if __name__ == "__main__":
    main()
