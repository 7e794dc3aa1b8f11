"""`uav-perception evaluate`: judge recorded flights and data sets."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

HELP = "judge models on recorded flights or data sets, and write a report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See `uav-perception evaluate --help`."""
    parser.add_argument(
        "flights", nargs="+", metavar="FLIGHT", help="bag, video, folder of pictures, data set, or a folder of those"
    )
    parser.add_argument("--model", help="detection model (.onnx)")
    parser.add_argument("--action-model", help="action model (.onnx)")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the report")
    truth = parser.add_argument_group("truth")
    truth.add_argument(
        "--truth",
        action="append",
        default=[],
        metavar="PATH",
        help="COCO or ActivityNet json, VisDrone, UAVDT or MOT text, action segments csv, or a folder with one for "
        "each flight; may be repeated. Without it the bag's /ground_truth topics",
    )
    truth.add_argument("--truth-format", choices=("coco", "visdrone", "uavdt", "mot", "csv", "activitynet"))
    truth.add_argument("--truth-topic", metavar="TOPIC", help="topic of the truth in a bag")
    truth.add_argument(
        "--truth-tolerance-ms",
        type=float,
        default=1.0,
        metavar="MS",
        help="how far stamps of image and truth may differ (default: %(default)s)",
    )
    truth.add_argument(
        "--class-map", default="", metavar="TRUTH=MODEL,...", help="names of the truth's classes in the model"
    )
    truth.add_argument(
        "--part",
        default="test",
        choices=("test", "train", "val"),
        help="part of an action data set (default: %(default)s)",
    )
    truth.add_argument("--split", type=int, default=1, help="split of an action data set (default: %(default)s)")
    images = parser.add_argument_group("images")
    images.add_argument("--image-topic", metavar="TOPIC", help="where a bag has several")
    images.add_argument("--every", type=int, default=1, metavar="N", help="process each N-th image")
    images.add_argument(
        "--start", type=float, default=0.0, metavar="S", help="skip what is before, after the first image"
    )
    images.add_argument("--end", type=float, metavar="S", help="skip what is after")
    images.add_argument("--limit", type=int, metavar="N", help="process at most N images of each flight")
    run = parser.add_argument_group("run")
    run.add_argument("--backend", default="onnxruntime", help="inference engine (default: %(default)s)")
    run.add_argument(
        "--threads",
        type=int,
        default=0,
        metavar="N",
        help="CPU threads of one inference (default: the engine's choice)",
    )
    run.add_argument(
        "--score-threshold", type=float, default=0.01, metavar="P", help="drop detections below (default: %(default)s)"
    )
    run.add_argument("--no-tracking", action="store_true", help="do not follow objects")
    run.add_argument(
        "--action-scope",
        default="frame",
        choices=("frame", "track", "both"),
        help="judge the whole image, each tracked actor, or both (default: %(default)s)",
    )
    run.add_argument(
        "--actor-classes",
        default="person,pedestrian,people",
        metavar="NAME,...",
        help="the detector's classes that act (default: %(default)s; empty for all)",
    )
    run.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="processes, one recording (or slice of a data set) each"
    )
    run.add_argument("--ray", metavar="ADDRESS", help='run on this Ray cluster; "local" starts one')
    run.add_argument("--resume", action="store_true", help="keep what an interrupted run has done")
    output = parser.add_argument_group("output")
    output.add_argument(
        "--require",
        action="append",
        default=[],
        metavar='"NAME>=X"',
        help="exit with 1 unless it holds; may be repeated",
    )
    output.add_argument(
        "--bag",
        action="store_true",
        help="also write an MCAP with detections, actions, truth and annotated images, for Foxglove and RViz",
    )
    output.add_argument("--video", action="store_true", help="also write an annotated video of each flight")
    output.add_argument(
        "--gallery",
        type=int,
        default=24,
        metavar="N",
        help="how many of the worst misses to show (default: %(default)s)",
    )
    live = parser.add_argument_group("live, through the ROS nodes over DDS")
    live.add_argument(
        "--live",
        action="store_true",
        help="also play each bag in real time through the nodes and measure latency, drops, CPU and memory",
    )
    live.add_argument("--rate", type=float, default=1.0, help="speed of --live (default: %(default)s)")
    live.add_argument(
        "--loop", type=int, default=1, metavar="N", help="how often --live plays it (default: %(default)s)"
    )


def _settings(args: argparse.Namespace):
    from uav_perception.evaluation.errors import EvaluationError
    from uav_perception.evaluation.settings import Settings

    pairs = [pair.split("=", 1) for pair in args.class_map.split(",") if pair.strip()]
    if any(len(pair) != 2 for pair in pairs):
        raise EvaluationError(f'--class-map is written like "human=person,vehicle=car", not {args.class_map!r}.')
    return Settings(
        model=args.model,
        action_model=args.action_model,
        backend=args.backend,
        threads=args.threads,
        score_threshold=args.score_threshold,
        track=not args.no_tracking,
        action_scope=args.action_scope,
        actor_classes=tuple(name.strip() for name in args.actor_classes.split(",") if name.strip()),
        every=args.every,
        start_s=args.start,
        end_s=args.end,
        limit=args.limit,
        image_topic=args.image_topic,
        truth=tuple(args.truth),
        split=args.split,
        part=args.part,
        truth_format=args.truth_format,
        truth_topic=args.truth_topic,
        tolerance_ms=args.truth_tolerance_ms,
        class_map=tuple((old.strip(), new.strip()) for old, new in pairs),
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate, write the report, print its headlines.

    Returns:
        0; 1 where a recording failed or a requirement is not met; 130 after Ctrl-C (a partial report is written).
    """
    from uav_perception.evaluation.evaluation import Options, evaluate
    from uav_perception.evaluation.requirement import parse_requirement, unmet

    requirements = [parse_requirement(text) for text in args.require]
    options = Options(
        out=Path(args.out),
        jobs=args.jobs,
        ray=args.ray,
        resume=args.resume,
        bag=args.bag,
        video=args.video,
        gallery=args.gallery,
        live=_play_live() if args.live else None,
        rate=args.rate,
        loop=args.loop,
    )
    began = time.perf_counter()
    result = evaluate(args.flights, _settings(args), options)
    _print(result, time.perf_counter() - began)
    lines = unmet(requirements, result.headlines)
    for line in lines:
        print(f"uav-perception: {line}", file=sys.stderr)
    if result.interrupted:
        return 130
    return 1 if lines or result.metrics["failed"] else 0


def _play_live():
    """The function that plays flights through the ROS nodes; only here is ROS needed, and missed before the run."""
    importlib.import_module("rclpy")
    from uav_perception.nodes.live_evaluation import measure_live

    return measure_live


def _print(result, seconds: float) -> None:
    for flight in result.metrics["flights"]:
        counts = flight["images"]
        print(
            f"{flight['name']}: {counts['total']} images = {counts['processed']} processed "
            f"+ {counts['skipped']} skipped + {counts['unreadable']} unreadable"
        )
        for warning in flight["warnings"]:
            print(f"  warning: {warning}")
    for failed in result.metrics["failed"]:
        print(f"{failed['name']} FAILED: {failed['error']}", file=sys.stderr)
    for name, value in result.headlines.items():
        print(f"  {name:24s} {value:.4f}" if isinstance(value, float) else f"  {name:24s} {value}")
    if not result.metrics["complete"]:
        print("The report is PARTIAL; go on with --resume.", file=sys.stderr)
    print(f"{result.folder / 'report.html'} ({seconds:.1f} s)")
