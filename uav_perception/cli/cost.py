"""`uav-perception cost`: parameters, operations and speed of every network of the papers' tables."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

# What every record of --json holds; the file of --output holds the printed numbers and the notes too.
KEYS = ("network", "classes", "input", "parameters", "macs_paper", "macs_true", "rate")
HELP = "parameters, operations and speed of every network of the papers' tables"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to count and how long to time."""
    parser.add_argument("--only", choices=("action", "detection"), help="one kind of networks")
    parser.add_argument("--json", action="store_true", help="print the list of records as JSON")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the records with their provenance as JSON")
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="timing of each action network; 0 counts only (default %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=0, help="torch's threads for timing; 0 leaves its default")


def run(args: argparse.Namespace) -> int:
    """Count, time, print."""
    import json

    import torch

    from uav_perception.deployment.cost_action import action_records
    from uav_perception.deployment.cost_detection import detector_records
    from uav_perception.deployment.errors import DeploymentError
    from uav_perception.files import write_json
    from uav_perception.provenance import provenance

    if args.seconds < 0 or args.threads < 0:
        raise DeploymentError(f"--seconds and --threads must not be negative, got {args.seconds:g} and {args.threads}.")
    if args.threads:
        torch.set_num_threads(args.threads)
    records = [] if args.only == "detection" else action_records(args.seconds)
    if args.only != "action":
        records += detector_records()
    if args.output:
        write_json(args.output, {"provenance": provenance(), "threads": torch.get_num_threads(), "records": records})
    shown = [{key: record[key] for key in KEYS} for record in records]
    print(json.dumps(shown, indent=2) if args.json else _table(records))
    return 0


def _table(records: list[dict[str, Any]]) -> str:
    """Fixed-width text: one line a record, notes below."""
    header = ("network", "classes", "input", "params M", "MACs M (paper)", "printed", "MACs M (true)", "a second")
    rows = [header] + [_cells(record) for record in records]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = []
    for row in rows:
        first = row[0].ljust(widths[0])
        lines.append("  ".join([first, *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]))
    larmuv = next((record for record in records if "faster_than_resnet50" in record), None)
    if larmuv:
        lines.append(
            f"LARMUV is {larmuv['faster_than_resnet50']:.2f} times as fast as ResNet-50 (paper: 1.33) and "
            f"{larmuv['faster_than_i3d']:.1f} times as fast as I3D's two streams (paper: 19.6)."
        )
    notes = dict.fromkeys(f"{record['network']}: {record['note']}" for record in records if record.get("note"))
    return "\n".join([*lines, *notes])


def _cells(record: dict[str, Any]) -> tuple[str, ...]:
    printed = record.get("printed_macs_m")
    if record.get("printed_gflops") is not None:
        printed = record["printed_gflops"] * 1000
    rate = record["rate"]
    return (
        record["network"],
        str(record["classes"]),
        record["input"],
        f"{record['parameters'] / 1e6:.3f}",
        "" if record["macs_paper"] is None else f"{record['macs_paper'] / 1e6:.1f}",
        "" if printed is None else f"{printed:.1f}",
        f"{record['macs_true'] / 1e6:.1f}",
        "" if rate is None else f"{rate:.2f}",
    )
