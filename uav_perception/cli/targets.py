"""`uav-perception targets`: places of a recorded flight for maps and ground stations."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uav_perception.flight.geojson import TargetRecord

HELP = "targets of a recorded flight as GeoJSON"
_TYPE = "uav_perception/msg/GeoTargetArray"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-subcommands."""
    commands = parser.add_subparsers(dest="targets_command", metavar="ACTION", required=True)
    geojson = commands.add_parser("to-geojson", help="write the targets of a bag as GeoJSON")
    geojson.add_argument("flight", metavar="FLIGHT", help="bag with a topic of GeoTargetArray")
    geojson.add_argument("--out", metavar="FILE", help="default: the bag's name with .geojson, in this folder")
    geojson.add_argument("--topic", help="of the targets, where the bag has several")
    geojson.add_argument("--every", action="store_true", help="a point for every image, not only where each was last")
    geojson.add_argument("--lines", action="store_true", help="a line for every track as well")


def run(args: argparse.Namespace) -> int:
    """Run the sub-subcommand."""
    from uav_perception.files import write_json
    from uav_perception.flight.geojson import feature_collection

    flight = Path(args.flight)
    out = Path(args.out) if args.out else Path(f"{flight.resolve().stem}.geojson")
    topic, records = _read(flight, args.topic)
    placed = sum(record.placed for record in records)
    collection = feature_collection(records, args.every, args.lines)
    write_json(out, collection)
    print(f"{topic}: {len(records)} targets, {placed} with a place on Earth, {len(collection['features'])} in {out}")
    return 0


def _read(flight: Path, topic: str | None) -> tuple[str, list[TargetRecord]]:
    """The targets of a bag by rising stamp, and the topic they came from."""
    from uav_perception.evaluation.bag import messages, opened
    from uav_perception.flight.errors import FlightError

    with opened(flight) as reader:
        found = {connection.topic: connection for connection in reader.connections if connection.msgtype == _TYPE}
        if topic is None:
            # The truth of a simulated flight is not what somebody asks for who has results beside it.
            results = [name for name in found if not name.startswith("/ground_truth")]
            choices = results or list(found)
            if len(choices) > 1:
                raise FlightError(f"{flight} has targets on {', '.join(sorted(choices))}. Choose one with --topic.")
            topic = choices[0] if choices else ""
        if topic not in found:
            there = ", ".join(sorted(found)) or "none"
            raise FlightError(
                f"{flight} has no targets{f' on {topic}' if topic else ''}; topics of {_TYPE}: {there}. Record the "
                "geolocation node's ~/targets."
            )
        rows = messages(reader, [found[topic]], flight)
        records = [record for _, _, data in rows for record in _records(reader.deserialize(data, _TYPE))]
    return topic, sorted(records, key=lambda record: record.stamp_ns)


def _records(message: object) -> Iterator[TargetRecord]:
    from uav_perception.flight.geojson import TargetRecord

    stamp = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
    for target in message.targets:
        yield TargetRecord(
            stamp_ns=stamp,
            track_id=target.track_id,
            class_name=target.class_name,
            score=target.score,
            action=target.action,
            latitude=target.latitude,
            longitude=target.longitude,
            altitude=target.altitude,
            error_radius=target.error_radius,
            speed=math.hypot(target.velocity.x, target.velocity.y),
        )
