"""`uav-perception detect`: run a detection model over pictures and videos, without ROS."""

from __future__ import annotations

import argparse

HELP = "find objects in pictures, videos or folders of pictures, and write annotated copies"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from uav_perception.cli._model_options import add_model_options

    parser.add_argument("input", nargs="+", help="picture, video or folder of pictures")
    add_model_options(parser)
    parser.add_argument("--out", required=True, help="folder for the annotated copies and detections.json")
    parser.add_argument("--tile", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"), help="cut pictures into tiles [px]")
    parser.add_argument("--overlap", type=float, default=0.2, help="shared part of neighbouring tiles (%(default)s)")
    parser.add_argument("--scale", type=float, default=1.0, help="enlarge the annotated copies (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Detect, draw, write."""
    from uav_perception.cli._model_options import make_detector
    from uav_perception.inference.offline import detect_files
    from uav_perception.inference.tiling import Tiling

    tiling = Tiling(*args.tile, overlap=args.overlap) if args.tile else None
    detector = make_detector(args, tiling)
    summary = detect_files(detector, args.input, args.out, scale=args.scale)
    classes = ", ".join(f"{name} {count}" for name, count in summary["detections"].items()) or "nothing"
    print(f"{summary['pictures']} pictures: {classes}")
    print(f"median: {', '.join(f'{stage} {value:.1f} ms' for stage, value in summary['median_ms'].items())}")
    print(f"written to {args.out}")
    return 0
