"""`uav-perception simulate`: flights and data sets with exact truth."""

from __future__ import annotations

import argparse

HELP = "simulate drone flights with exact ground truth: bags and data sets"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands and their options."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)

    flight = kinds.add_parser("flight", help="one flight as a bag, truth included")
    flight.add_argument("out", help="folder of the new bag")
    flight.add_argument("--seconds", type=float, default=20.0, help="duration (default %(default)s)")
    flight.add_argument("--rate", type=float, default=12.0, help="images per second (default %(default)s)")
    flight.add_argument("--width", type=int, default=640, help="[px] (default %(default)s)")
    flight.add_argument("--height", type=int, default=384, help="[px] (default %(default)s)")
    flight.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap", help="(default %(default)s)")
    flight.add_argument("--image", choices=("raw", "jpeg"), default="jpeg", help="(default %(default)s)")
    flight.add_argument(
        "--path", choices=("hover", "orbit", "fast", "low", "high"), default="orbit", help="(default %(default)s)"
    )
    flight.add_argument(
        "--mount", choices=("gimbal", "fixed"), default="gimbal",
        help="a gimbal follows the main actors, a fixed camera looks forward and down (default %(default)s)",
    )  # fmt: skip
    flight.add_argument("--fov", type=float, default=35.0, help="vertical field of view [deg] (default %(default)s)")
    flight.add_argument("--altitude", type=float, help="height above the ground [m] (default: usual for the path)")
    flight.add_argument(
        "--actions", nargs="+", default=[], metavar="ACTION",
        help="what the main actors do, one after the other for equal times (default: drawn)",
    )  # fmt: skip
    flight.add_argument("--people", type=int, default=10, help="further groups of people (default %(default)s)")
    flight.add_argument("--vehicles", type=int, default=12, help="parked and driving (default %(default)s)")
    flight.add_argument("--clean", action="store_true", help="a faultless camera: no noise, softness or exposure")
    flight.add_argument(
        "--state-rate", type=float, default=50.0, help="rate of MAVROS's topics [Hz] (default %(default)s)"
    )
    flight.add_argument("--seed", type=int, default=0, help="the same seed makes the same flight (default %(default)s)")

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
    """Make what was asked for.

    Raises:
        SimulationError: a request cannot be met, or the folder cannot be written.
    """
    from uav_perception.simulation.errors import SimulationError

    try:
        return {"flight": _flight, "actions": _actions, "detection": _detection}[args.kind](args)
    except OSError as error:
        raise SimulationError(f"{args.out} cannot be written: {error.strerror or error}.") from error


def _flight(args: argparse.Namespace) -> int:
    from uav_perception.simulation.bag import write_bag
    from uav_perception.simulation.flight import Flight, FlightConfig

    config = FlightConfig(
        seed=args.seed,
        seconds=args.seconds,
        rate=args.rate,
        width=args.width,
        height=args.height,
        path=args.path,
        mount=args.mount,
        vertical_fov=args.fov,
        altitude=args.altitude,
        actions=tuple(args.actions),
        people=args.people,
        vehicles=args.vehicles,
        degrade=not args.clean,
    )
    for topic, count in write_bag(args.out, Flight(config), args.storage, args.image, args.state_rate).items():
        print(f"{count:6d}  {topic}")
    return 0


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
