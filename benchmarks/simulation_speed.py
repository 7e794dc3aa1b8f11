"""What a simulated image costs: CPU time of its stages.

    python benchmarks/simulation_speed.py --out benchmarks/results/simulation_speed.json

CPU time of the process, not time on the clock, so that other work on the machine matters less.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from uav_perception.files import write_json
from uav_perception.provenance import provenance
from uav_perception.simulation.clips import ClipJob, render_clip
from uav_perception.simulation.detection_set import render_scene
from uav_perception.simulation.flight import Flight, FlightConfig
from uav_perception.simulation.ground import paint, random_plan


def cpu_ms(work: Callable[[], object], repeats: int) -> float:
    """Median CPU time of a call [ms]; the first call is not counted."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1e3 * float(np.median(times))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, help="JSON file")
    parser.add_argument("--repeats", type=int, default=5, help="calls of each stage (default %(default)s)")
    args = parser.parse_args()
    plan = random_plan(np.random.default_rng(0), 110.0, roads=2, parking=2)
    long, short = (FlightConfig(seed=1, seconds=s, rate=10.0) for s in (1.2, 0.2))
    flights = [Flight(config) for config in (long, short)]
    ten_images = cpu_ms(lambda: list(flights[0].frames()), args.repeats) - cpu_ms(
        lambda: list(flights[1].frames()), args.repeats
    )
    result = {
        "ground texture 2048 px": cpu_ms(lambda: paint(plan, 2048, np.random.default_rng(0)), args.repeats),
        "flight image 640x384, boxes included": ten_images / 10,
        "detection image 640x384, its share of the scene included": cpu_ms(
            lambda: render_scene(1, 2, 4, 640, 384), args.repeats
        )
        / 4,
        "clip image about 232x174, its share of the clip included": cpu_ms(
            lambda: render_clip(ClipJob(1, 2, 3, "walk")), args.repeats
        )
        / 24,
    }
    write_json(args.out, {"cpu_ms": result, "provenance": provenance(seed=1)})
    for stage, cost in result.items():
        print(f"{cost:8.1f} ms  {stage}")


if __name__ == "__main__":
    main()
