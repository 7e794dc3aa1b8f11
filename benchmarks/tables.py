"""The table of measured results in README.md, made from the result files and from what the models carry.

    python benchmarks/tables.py            # renews the table
    python benchmarks/tables.py --check    # exit status 1 where README.md says something else

A row is there when its file is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from uav_perception.files import write_text
from uav_perception.inference.contract import read_contract

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- measured: made by benchmarks/tables.py -->", "<!-- /measured -->"
DETECTOR_GOAL = 0.8

Values = Mapping[str, Any]


def tracking(found: Values) -> tuple[str, str]:
    """Of `tracking.py`."""
    trackers = [found["trackers"][name] for name in ("plain IoU", "no compensation", "camera motion from images")]
    switches = ", ".join(str(tracker["id_switches"]) for tracker in trackers)
    hota = ", ".join(f"{100 * tracker['HOTA']:.0f}" for tracker in trackers)
    return (
        "tracking under a moving camera: ID switches of plain IoU, ours without and with camera motion",
        f"{switches} (HOTA {hota})",
    )


def geolocation(found: Values) -> tuple[str, str]:
    """Of `geolocation.py`."""
    perfect, noisy = (found["flights"]["hover_fixed"][f"middle, {state}, single"] for state in ("perfect", "noisy"))
    return (
        "places on the ground, 25 m high and 45 degrees down: median with perfect state, with realistic noise",
        f"{perfect['error_median_m']:.2f} m, {noisy['error_median_m']:.2f} m; "
        f"{100 * noisy['coverage_95']:.0f} % inside the stated 95 % ellipse",
    )


def transport(found: Values) -> tuple[str, str]:
    """Of `transport.py`."""
    arrived = [found["results"]["1280x720"][profile]["delivered"] for profile in ("default", "shipped")]
    return (
        "720p images between two processes: Fast DDS's defaults, shipped profile",
        ", ".join(f"{100 * share:.0f} %" for share in arrived) + " arrive",
    )


def cost(found: Values) -> tuple[str, str]:
    """Of `uav-perception cost`. A two-stream network runs both of its streams."""
    rates = {record["network"]: record["rate"] for record in found["records"]}
    two_streams = 1 / (1 / rates["I3D, RGB"] + 1 / rates["I3D, flow"])
    return (
        "LARMUV beside ResNet-50 and two-stream I3D, clips a second on one CPU thread",
        f"{rates['LARMUV'] / rates['ResNet-50']:.1f} and {rates['LARMUV'] / two_streams:.0f} times as fast",
    )


def distillation_cost(found: Values) -> tuple[str, str]:
    """Of `distillation_cost.py`."""
    times = [step["relative_to_plain"] for method, step in found["step"].items() if method != "plain"]
    return "a distilled training step beside a plain one", f"{min(times):.1f} to {max(times):.1f} times"


def evaluate_throughput(found: Values) -> tuple[str, str]:
    """Of `evaluate_throughput.py`."""
    runs = list(found["results"].values())
    shares = ", ".join(f"{run['share_of_forward_alone']:.2f}" for run in runs)
    memory = runs[0]["memory_mb"]
    return (
        "evaluating a bag: share of the forward pass's own rate reached by "
        + ", ".join(f"{name} ({run['images']:,} images)" for name, run in found["results"].items()),
        f"{shares}; memory {memory['after_first_tenth']:.0f} MB after a tenth, "
        f"{memory['last_tenth']:.0f} MB at the end",
    )


def inference(found: Values) -> tuple[str, str]:
    """Of `inference.py`."""
    frame, networks = found["frame_ms"]["1280x720"], found["detector_ms"]
    parts = [frame["JPEG, quality 90"], frame["preprocess"]]
    parts += [networks[f"{kind}, all threads"]["inference"] for kind in ("float32", "INT8")]
    width, height = found["input"]
    return (
        f"one 720p image: JPEG, preprocessing, {found['model']} {width}x{height} on the CPU in float32, in INT8",
        ", ".join(f"{part['p50']:.1f}" for part in parts) + " ms",
    )


def track_actions(found: Values) -> tuple[str, str]:
    """Of `track_actions.py`."""

    def right(scope: str) -> float:
        counts = [scopes[scope] for scopes in found["accuracy"].values()]
        hits, errors = (sum(count.get(key, 0) for count in counts) for key in ("right", "wrong"))
        return 100 * hits / max(hits + errors, 1)

    ticks = found["cost_of_a_tick"]
    return (
        "actions on simulated flights: right labels of the whole image, of each actor; a tick with 1, 8, 50 actors",
        f"{right('frame'):.0f} %, {right('track'):.0f} %; "
        + ", ".join(f"{ticks[count]['median_ms']:.0f}" for count in ("1", "8", "50"))
        + " ms of CPU",
    )


def larmuv_ablation(found: Values) -> tuple[str, str]:
    """Of `larmuv_ablation.py`."""
    plain, full = found["rows"]["model 1: MobileNetV3"], found["rows"]["model 5: all"]
    return (
        f"LARMUV's Table III on simulated clips, {len(full['top1'])} seeds: top-1 of plain MobileNetV3, of all parts",
        ", ".join(f"{row['mean']:.2f} ± {row['spread']:.2f}" for row in (plain, full)),
    )


def distillation_sim(found: Values) -> tuple[str, str]:
    """Of `distillation_sim.py`."""
    arms = {"student": "none", "ld": "LD", "ld_ours": "LD + CID + Light-ML", "bckd": "BCKD",
            "bckd_ours": "BCKD + CID + Light-ML", "fgd": "FGD"}  # fmt: skip
    parts = []
    for arm, name in arms.items():
        if arm in found["summary"]:
            values = [_percent(found["summary"][arm][f"coco {column}"]) for column in ("AP", "AP_small")]
            parts.append(f"{name} {values[0]} ({values[1]})")
    return (
        "COCO AP (and of small objects) of a small student after a short training on simulated images, by distillation",
        ", ".join(parts),
    )


def _percent(value: Values) -> str:
    """Mean and, of several seeds, spread."""
    spread = "" if value["spread"] is None else f" ± {100 * value['spread']:.1f}"
    return f"{100 * value['mean']:.1f}{spread}"


def action_model(found: Values) -> tuple[str, str]:
    """What the demo's action model says of itself."""
    return f"demo action model, {len(found['per_class'])} classes, held-out scenes", f"top-1 {found['top1']:.2f}"


def detector(found: Values) -> tuple[str, str]:
    """What the demo's detector says of itself."""
    ap50 = found["metrics"]["coco"]["AP50"]
    below = f" (goal {DETECTOR_GOAL:.2f} not reached: too little training)" if ap50 < DETECTOR_GOAL else ""
    return "demo detector, 6 classes, held-out scenes, 640x384", f"AP50 {ap50:.2f}{below}"


# Row, the file that it comes from, the file that it links to.
ROWS: tuple[tuple[Callable[[Values], tuple[str, str]], str, str], ...] = (
    *(
        (row, f"benchmarks/results/{row.__name__}.json", f"benchmarks/results/{row.__name__}.json")
        for row in (tracking, geolocation, transport, evaluate_throughput, inference, cost, larmuv_ablation,
                    track_actions, distillation_sim, distillation_cost)
    ),
    (action_model, "models/larmuv_sim.onnx", "models/larmuv_sim.md"),
    (detector, "models/gfl_light_sim.onnx", "models/gfl_light_sim.md"),
)  # fmt: skip


def table(root: Path) -> str:
    """The table as Markdown, from the files below ``root``."""
    lines = ["| what | result | file |", "|---|---|---|"]
    for row, source, link in ROWS:
        path = root / source
        if path.is_file():
            values = json.loads(path.read_text(encoding="utf-8")) if path.suffix == ".json" else provenance_of(path)
            what, result = row(values)
            lines.append(f"| {what} | {result} | [{row.__name__.replace('_', ' ')}]({link}) |")
    return "\n".join(lines)


def provenance_of(model: Path) -> Values:
    """What the training left in a model file."""
    return read_contract(model).provenance


def with_table(text: str, made: str) -> str:
    """The README with the table between its marks replaced.

    Raises:
        ValueError: the marks are not there once each, in order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in before + after:
        raise ValueError(f"The text needs the lines {BEGIN!r} and {END!r} once each, in this order.")
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def main() -> int:
    """Renew or check the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 where the table is old")
    parser.add_argument("--root", type=Path, default=ROOT, help="of the repository (default: where this script is)")
    args = parser.parse_args()
    readme = args.root / "README.md"
    text = readme.read_text(encoding="utf-8")
    new = with_table(text, table(args.root))
    if new == text:
        return 0
    if args.check:
        print(f"{readme} differs from the results; run python benchmarks/tables.py", file=sys.stderr)
        return 1
    write_text(readme, new)
    print(f"{readme} renewed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
