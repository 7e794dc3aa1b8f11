"""`uav-perception bag`: bags without ROS."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

HELP = "make a bag from a video, or tell what a bag holds"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-subcommands."""
    commands = parser.add_subparsers(dest="bag_command", metavar="ACTION", required=True)
    video = commands.add_parser("from-video", help="turn a video into a bag of camera images")
    video.add_argument("video", help="video file")
    video.add_argument("out", help="folder of the bag, which must not exist")
    video.add_argument("--storage", default="mcap", choices=("mcap", "sqlite3"), help="file format (%(default)s)")
    video.add_argument("--image", default="raw", choices=("raw", "jpeg"), help="kind of message (%(default)s)")
    video.add_argument("--topic", default="/camera/image_raw", help="of the images (%(default)s)")
    video.add_argument("--frame-id", default="camera_optical_frame", help="of the header (%(default)s)")
    video.add_argument("--quality", type=int, default=90, help="of JPEGs, 1..100 (%(default)s)")
    video.add_argument("--hfov", type=float, help="horizontal field of view [deg]; writes camera_info as well")
    video.add_argument("--start", type=float, help="stamp of the first image [s since 1970] (the file's own time)")
    info = commands.add_parser("info", help="list the topics of a bag")
    info.add_argument("bag", help="folder of the bag")


def run(args: argparse.Namespace) -> int:
    """Run one of the sub-subcommands."""
    return _from_video(args) if args.bag_command == "from-video" else _info(args)


def _from_video(args: argparse.Namespace) -> int:
    from uav_perception.frames.bags import VideoBagOptions, video_to_bag
    from uav_perception.frames.errors import FrameError
    from uav_perception.frames.video import video_info

    video_info(args.video)
    start = Path(args.video).stat().st_mtime if args.start is None else args.start
    if not math.isfinite(start):
        raise FrameError(f"--start must be a number of seconds, not {start}.")
    options = VideoBagOptions(
        storage=args.storage,
        image=args.image,
        topic=args.topic,
        frame_id=args.frame_id,
        start_ns=round(start * 1e9),
        quality=args.quality,
        horizontal_fov_deg=args.hfov,
    )
    count = video_to_bag(args.video, args.out, options)
    print(f"{args.out}: {count} images on {args.topic}{'' if args.image == 'raw' else '/compressed'}")
    return 0


def _info(args: argparse.Namespace) -> int:
    from datetime import datetime, timezone

    from uav_perception.frames.bags import describe_bag

    bag = describe_bag(args.bag)
    start = datetime.fromtimestamp(bag["start_ns"] / 1e9, timezone.utc).isoformat(timespec="milliseconds")
    print(f"{args.bag}: {bag['storage']}, {bag['messages']} messages, {bag['duration_s']:.3f} s from {start}")
    width = max((len(topic["name"]) for topic in bag["topics"]), default=0)
    for topic in bag["topics"]:
        picture = f"  {topic['picture']}" if "picture" in topic else ""
        print(f"  {topic['name']:{width}}  {topic['count']:6d}  {topic['rate_hz']:7.2f} Hz  {topic['type']}{picture}")
    return 0
