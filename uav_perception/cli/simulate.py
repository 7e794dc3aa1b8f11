"""`uav-perception simulate`: flights and data sets with exact truth."""

from __future__ import annotations

import argparse

HELP = "simulate drone flights with exact ground truth: bags and data sets"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands and their options."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)

    actions = kinds.add_parser("actions", help="HMDB51-style clips of the eleven actions")
    actions.add_argument("out", help="folder of the data set")
    actions.add_argument(
        "--clips", type=int, default=2400, help="number of clips, training and test (default %(default)s)"
    )
    actions.add_argument("--frames", type=int, default=24, help="images in a clip (default %(default)s)")
    actions.add_argument("--rate", type=float, default=10.0, help="images per second (default %(default)s)")
    _common(actions)

    detection = kinds.add_parser("detection", help="images with boxes: VisDrone layout and COCO json")
    detection.add_argument("out", help="folder of the data set")
    detection.add_argument("--images", type=int, default=1600, help="number of images (default %(default)s)")
    detection.add_argument("--width", type=int, default=640, help="[px] (default %(default)s)")
    detection.add_argument("--height", type=int, default=384, help="[px] (default %(default)s)")
    _common(detection)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, help="the same seed makes the same images (default %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Make what was asked for."""
    return {"actions": _actions, "detection": _detection}[args.kind](args)


def _actions(args: argparse.Namespace) -> int:
    from uav_perception.simulation.clips import write_action_set

    write_action_set(args.out, args.clips, args.seed, args.frames, args.rate, args.jobs)
    print(f"{args.clips} clips in {args.out}")
    return 0


def _detection(args: argparse.Namespace) -> int:
    from uav_perception.simulation.detection_set import write_detection_set

    write_detection_set(args.out, args.images, args.seed, args.width, args.height, args.jobs)
    print(f"{args.images} images in {args.out}")
    return 0
