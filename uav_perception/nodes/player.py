"""Plays a recorded flight over DDS in real time, byte for byte, without rosbag2."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from builtin_interfaces.msg import Time
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import Connection, QosDurability
from rosbags.rosbag2 import Reader, ReaderError
from rosgraph_msgs.msg import Clock

from uav_perception.errors import UavPerceptionError
from uav_perception.nodes.publishing import publish

_SECOND = 1_000_000_000
_LATCHED = 100  # messages kept for late subscribers; /tf_static has one for each broadcaster
_IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


_REPAIR = "If its recording was cut off, repair it with `ros2 bag reindex` (sqlite3) or `mcap recover` (MCAP)."


class PlayError(UavPerceptionError):
    """A flight cannot be played."""


@dataclass(frozen=True)
class Played:
    """One message that went out.

    Attributes:
        topic: its topic.
        bag_ns: when it was recorded [ns].
        sent_ns: when it was published, of the monotonic clock [ns].
    """

    topic: str
    bag_ns: int
    sent_ns: int


class FlightPlayer:
    """Publishes the messages of a bag at the pace at which they were recorded.

    Args:
        node: publishes them.
        flight: a rosbag2 folder, sqlite3 or MCAP, the one that holds ``metadata.yaml``.
        topics: play only these; by default all.
        rate: speed, 2.0 is twice as fast.
        clock: publish ``/clock`` from the bag's time, for nodes with ``use_sim_time``.
        prefix: put before every topic, for example ``/drone1``.

    Raises:
        PlayError: the bag cannot be read, a topic is not in it, ``rate`` is not positive, or ``prefix`` makes no name.
    """

    def __init__(
        self,
        node: Node,
        flight: Path,
        topics: Iterable[str] | None = None,
        rate: float = 1.0,
        clock: bool = False,
        prefix: str = "",
    ) -> None:
        if not rate > 0:
            raise PlayError(f"The rate is {rate:g}; give a number above 0.")
        self._node = node
        self._rate = rate
        try:
            self._reader = Reader(Path(flight))
            self._reader.open()
        except (ReaderError, FileNotFoundError) as error:
            raise PlayError(
                f"{flight} cannot be played ({str(error).rstrip('.')}). "
                f"Give the folder that holds metadata.yaml. {_REPAIR}"
            ) from error
        self._flight = flight
        self.skipped_types: set[str] = set()
        self._publishers: dict[int, Publisher] = {}
        try:
            self._connections = self._choose(flight, topics)
            for connection in self._connections:
                publisher = self._make_publisher(connection, prefix.rstrip("/"))
                if publisher is not None:
                    self._publishers[connection.id] = publisher
        except Exception:
            self.close()
            raise
        self._clock = node.create_publisher(Clock, "/clock", 1) if clock else None
        self.image_topics = {c.topic for c in self._connections if c.msgtype in _IMAGE_TYPES}
        self.image_count = sum(c.msgcount for c in self._connections if c.topic in self.image_topics)
        self.message_count = sum(c.msgcount for c in self._connections)

    def _choose(self, flight: Path, topics: Iterable[str] | None) -> list[Connection]:
        connections = list(self._reader.connections)
        if topics is None:
            return connections
        there = {connection.topic for connection in connections}
        missing = sorted(set(topics) - there)
        if missing:
            raise PlayError(f"{flight} has no topic {', '.join(missing)}; it has {', '.join(sorted(there))}.")
        return [connection for connection in connections if connection.topic in set(topics)]

    def _make_publisher(self, connection: Connection, prefix: str) -> Publisher | None:
        package, _, name = connection.msgtype.partition("/msg/")
        try:
            message_class = getattr(importlib.import_module(f"{package}.msg"), name)
        except (ModuleNotFoundError, AttributeError):
            self.skipped_types.add(connection.msgtype)
            self._node.get_logger().warning(
                f"{connection.topic} is not played: its type {connection.msgtype} is not installed."
            )
            return None
        # Cameras publish best effort; the rest reliable, which suits subscribers of either kind.
        is_image = connection.msgtype in _IMAGE_TYPES
        qos = QoSProfile(depth=5 if is_image else 10)
        qos.reliability = ReliabilityPolicy.BEST_EFFORT if is_image else ReliabilityPolicy.RELIABLE
        if any(offered.durability is QosDurability.TRANSIENT_LOCAL for offered in connection.ext.offered_qos_profiles):
            qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
            qos.depth = _LATCHED
        try:
            return self._node.create_publisher(message_class, prefix + connection.topic, qos)
        except InvalidTopicNameException as error:
            raise PlayError(f"{prefix + connection.topic} is no name of a topic: {error}") from error

    @property
    def duration_s(self) -> float:
        """Length of the recording [s]."""
        return (self._reader.end_time - self._reader.start_time) / _SECOND

    def play(
        self,
        on_message: Callable[[Played, bytes], None] | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Publish every message once, each at its time.

        Args:
            on_message: told of every message that went out, with its serialised bytes.
            should_stop: asked before every message.

        Returns:
            False when ``should_stop`` ended it early.

        Raises:
            PlayError: the bag is damaged in the middle.
        """
        connections = [connection for connection in self._connections if connection.id in self._publishers]
        started = time.monotonic_ns()
        first = None
        next_tick = 0
        for connection, bag_ns, data in self._messages(connections):
            first = bag_ns if first is None else first
            due = started + (bag_ns - first) / self._rate
            while (wait := due - time.monotonic_ns()) > 0:
                if should_stop():
                    return False
                time.sleep(min(wait / _SECOND, 0.1))
            if should_stop():
                return False
            if self._clock is not None and bag_ns >= next_tick:
                seconds, nanoseconds = divmod(bag_ns, _SECOND)
                publish(self._clock, Clock(clock=Time(sec=seconds, nanosec=nanoseconds)), self._node)
                next_tick = bag_ns + _SECOND // 100
            sent_ns = time.monotonic_ns()
            publish(self._publishers[connection.id], data, self._node)
            if on_message is not None:
                on_message(Played(connection.topic, bag_ns, sent_ns), data)
        return True

    def _messages(self, connections: list[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        try:
            yield from self._reader.messages(connections)
        except Exception as error:  # zstd, struct and SQLite errors have no common base
            raise PlayError(f"{self._flight} is damaged from here on ({error}). {_REPAIR}") from error

    def wait_for_subscriber(self, timeout_s: float) -> bool:
        """Wait until every image topic has a subscriber.

        Returns:
            Whether that came true within ``timeout_s``.
        """
        image_topics = [c for c in self._connections if c.msgtype in _IMAGE_TYPES and c.id in self._publishers]
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if all(self._publishers[c.id].get_subscription_count() > 0 for c in image_topics):
                return True
            time.sleep(0.05)
        return False

    def close(self) -> None:
        """Close the bag."""
        self._reader.close()
