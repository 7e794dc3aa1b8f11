"""How far from the truth targets are placed on simulated flights, and whether the stated covariance is honest.

    python benchmarks/geolocation.py --out benchmarks/results/geolocation.json

The flights are bags of `uav-perception simulate flight`; without any given, a standard set (hover, orbit, fast, low,
high; each with a gimbal and a fixed camera) is flown in memory, without drawing images. The boxes are the exact
ones, so that the errors are those of geolocation alone.

With noise, every image's state is wrong by attitude, position, height and stamp as given, with a first-order
Gauss-Markov process of 10 s, and boxes by a pixel. The same noise is told to the geolocator. `single` is every image
on its own, `filtered` the estimate of the track after two seconds or more.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from recorded import RecordedFlight, flights

from uav_perception.evaluation.geolocation import PlacedTargets, geolocation_metrics
from uav_perception.files import write_json
from uav_perception.flight.filter import FilterOptions, TargetFilter
from uav_perception.flight.geolocation import GeolocationOptions, Geolocator, Place
from uav_perception.flight.rotations import from_rotation_vector, multiply
from uav_perception.flight.state import VehicleState
from uav_perception.provenance import provenance
from uav_perception.simulation.classes import DETECTION_CLASSES

# Heights of usual people and vehicles [m], for placing by the middle of the box.
HEIGHTS = {"person": 1.7, "bicycle": 1.6, "car": 1.5, "van": 2.2, "truck": 3.0, "bus": 3.1}
CORRELATION_S = 10.0
NOISE = {"attitude_deg": 0.5, "position_m": 0.5, "height_m": 0.5, "stamp_s": 0.02, "pixel": 1.0}
SETTLED_NS = 2_000_000_000


class Noise:
    """Errors of attitude (3, rad), position (3, m), height (m) and stamp (s) that wander like a real vehicle's."""

    def __init__(self, deviations: np.ndarray, rng: np.random.Generator) -> None:
        self._deviations, self._rng = deviations, rng
        self._value = rng.normal(0, 1, 8)
        self._stamp_ns: int | None = None

    def at(self, stamp_ns: int) -> np.ndarray:
        """The errors at a stamp, shape (8,)."""
        if self._stamp_ns is not None:
            fade = np.exp(-(stamp_ns - self._stamp_ns) * 1e-9 / CORRELATION_S)
            self._value = fade * self._value + np.sqrt(1 - fade**2) * self._rng.normal(0, 1, 8)
        self._stamp_ns = stamp_ns
        return self._deviations * self._value


def disturbed(state: VehicleState, error: np.ndarray) -> VehicleState:
    """A state with errors. A wrong height of the ground is a wrong height above it, so it goes to the position."""
    turn = from_rotation_vector(error[:3])
    camera = None if state.camera_orientation is None else multiply(turn, state.camera_orientation)
    return replace(
        state,
        position=state.position + error[3:6] - [0, 0, error[6]],
        orientation=multiply(turn, state.orientation),
        camera_orientation=camera,
    )


def place(
    flight: RecordedFlight, geolocator: Geolocator, deviations: np.ndarray, pixel: float, every: int, seed: list[int]
) -> dict[str, PlacedTargets]:
    """Place all objects of a flight once; each image alone, and filtered."""
    rng = np.random.default_rng(seed)
    noise, filtered = Noise(deviations, rng), TargetFilter(FilterOptions(correlation_s=CORRELATION_S))
    rows: dict[str, list[tuple]] = {"single": [], "filtered": []}
    first: dict[int, int] = {}
    for image in flight.images[::every]:
        error = noise.at(image.stamp_ns)
        state = disturbed(flight.state.at(image.stamp_ns + round(error[7] * 1e9)), error)
        seen = image.detections()
        shift = rng.normal(0, pixel, (len(seen), 2)) if pixel else np.zeros((len(seen), 2))
        located = geolocator.locate(seen.boxes + np.tile(shift, 2), seen.class_ids, state)
        places: dict[int, Place] = {
            int(t): found for t, found in zip(seen.track_ids, located.places, strict=True) if found is not None
        }
        for track_id, found in places.items():
            rows["single"].append((found.position, image.places[track_id], found.covariance))
        for track_id, estimate in filtered.update(places, image.stamp_ns).items():
            if image.stamp_ns - first.setdefault(track_id, image.stamp_ns) >= SETTLED_NS:
                rows["filtered"].append((estimate.position, image.places[track_id], estimate.covariance))
    return {
        kind: PlacedTargets(
            np.array([p[:2] for p, _, _ in found]),
            np.array([t[:2] for _, t, _ in found]),
            np.array([c[:2, :2] for _, _, c in found]),
        )
        for kind, found in rows.items()
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bags", nargs="*", type=Path, help="bags of simulated flights; default: the standard set")
    parser.add_argument("--seconds", type=float, default=20.0, help="duration of a simulated flight")
    parser.add_argument("--rate", type=float, default=4.0, help="images per second of a simulated flight")
    parser.add_argument("--every", type=int, default=1, help="use each N-th image")
    parser.add_argument("--draws", type=int, default=20, help="how often the noise is drawn for every flight")
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--out", default="benchmarks/results/geolocation.json")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    noisy = np.repeat([np.radians(NOISE["attitude_deg"]), NOISE["position_m"], NOISE["height_m"], NOISE["stamp_s"]],
                      [3, 3, 1, 1])  # fmt: skip
    heights = {DETECTION_CLASSES.index(name): height for name, height in HEIGHTS.items()}
    results: dict[str, dict] = {}
    totals: dict[str, list[PlacedTargets]] = {}
    for number, flight in enumerate(flights(args.bags, False, args.seconds, args.rate, args.seed)):
        results[flight.name] = {}
        for anchor, known in (("lower_edge", {}), ("middle", heights)):
            for kind, deviations, pixel, draws in (
                ("perfect", 0 * noisy, 0.0, 1),
                ("noisy", noisy, NOISE["pixel"], args.draws),
            ):
                options = GeolocationOptions(object_heights=known)
                geolocator = Geolocator(flight.camera, flight.mount, options)
                drawn = [
                    place(flight, geolocator, deviations, pixel, args.every, [args.seed, number, draw])
                    for draw in range(draws)
                ]
                for view in ("single", "filtered"):
                    key = f"{anchor}, {kind}, {view}"
                    joined = PlacedTargets.joined([found[view] for found in drawn])
                    results[flight.name][key] = geolocation_metrics(joined)
                    totals.setdefault(key, []).append(joined)
    results["all"] = {key: geolocation_metrics(PlacedTargets.joined(parts)) for key, parts in totals.items()}
    write_json(
        args.out,
        {"provenance": provenance(args.seed), "noise": {**NOISE, "correlation_s": CORRELATION_S}, "flights": results},
    )
    for name, rows in results.items():
        print(name)
        for key, row in rows.items():
            if row["targets"]:
                print(
                    f"  {key:32s} median {row['error_median_m']:6.2f} m   p95 {row['error_p95_m']:6.2f} m   "
                    f"in 95 % ellipse {100 * row['coverage_95']:5.1f} %   n {row['targets']}"
                )


if __name__ == "__main__":
    main()
