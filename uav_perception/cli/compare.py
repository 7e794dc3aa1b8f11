"""`uav-perception compare`: is the new model better?"""

from __future__ import annotations

import argparse
import sys

HELP = "compare two reports of `evaluate`, with intervals and a verdict for each measure"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See `uav-perception compare --help`."""
    parser.add_argument("a", metavar="A.json", help="metrics.json of the old model, or its folder")
    parser.add_argument("b", metavar="B.json", help="metrics.json of the new model, or its folder")
    parser.add_argument("--json", metavar="FILE", help="also write the comparison here")
    parser.add_argument("--resamples", type=int, default=1000, metavar="N", help="draws (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (default: %(default)s)")
    parser.add_argument(
        "--require",
        action="append",
        default=[],
        metavar='"NAME>=X"',
        help="exit with 1 unless it holds for B; may be repeated",
    )
    parser.add_argument("--fail-on-worse", action="store_true", help="exit with 1 when a verdict is `worse`")


def run(args: argparse.Namespace) -> int:
    """Print a table of measures.

    Returns:
        0; 1 with ``--fail-on-worse`` when a measure got worse, and where a requirement does not hold for B.
    """
    from uav_perception.evaluation.compare import compare, differing_flights, load_report
    from uav_perception.evaluation.errors import EvaluationError
    from uav_perception.evaluation.requirement import parse_requirement, unmet
    from uav_perception.files import write_json

    if args.resamples < 1:
        raise EvaluationError(f"--resamples must be 1 or more, not {args.resamples}.")
    requirements = [parse_requirement(text) for text in args.require]
    a, b = load_report(args.a), load_report(args.b)
    for report in (a, b):
        if not report.metrics["complete"]:
            print(f"warning: {report.path} is a partial report", file=sys.stderr)
    differing = differing_flights(a, b)
    if differing:
        print(
            f"warning: only one report has {', '.join(differing)}; values are not of the same flights", file=sys.stderr
        )
    rows = compare(a, b, args.resamples, args.seed)
    print(f"{'measure':24s} {'A':>10s} {'B':>10s} {'B - A':>10s}  {'95 % interval':23s} verdict")
    for row in rows:
        low_high = "" if row.interval is None else f"{row.interval[0]:+.4f} to {row.interval[1]:+.4f}"
        print(f"{row.name:24s} {row.a:10.4f} {row.b:10.4f} {row.b - row.a:+10.4f}  {low_high:23s} {row.verdict}")
    if args.json:
        write_json(args.json, {"a": str(a.path), "b": str(b.path), "measures": [vars(row) for row in rows]})
    lines = unmet(requirements, b.headlines())
    for line in lines:
        print(f"uav-perception: {line}", file=sys.stderr)
    worse = args.fail_on_worse and any(row.verdict == "worse" for row in rows)
    return 1 if worse or lines else 0
