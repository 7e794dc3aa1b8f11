"""What the adapters to autopilots share: samples go into one buffer, bad messages are counted and said once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from rclpy.node import Node

from uav_perception.flight.buffer import StateBuffer
from uav_perception.flight.errors import StateError


class VehicleInput(Protocol):
    """A source of the vehicle's state. It subscribes when it is made."""

    def prepare(self, stamp_ns: int, camera_frame: str) -> None:
        """Called before the state at a stamp is asked for.

        Raises:
            StateError: the source has no state for that stamp.
        """
        ...

    def close(self) -> None:
        """End the subscriptions."""
        ...


class Inbox:
    """Takes samples into a `StateBuffer`, on the executor's thread.

    Args:
        node: subscribes and logs.
        buffer: where samples go.

    Attributes:
        refused: messages that could not be used, by reason.
        lock: held while the buffer is written; whoever reads it on another thread holds it too.
    """

    def __init__(self, node: Node, buffer: StateBuffer) -> None:
        self.node = node
        self.buffer = buffer
        self.refused: Counter[str] = Counter()
        self.lock = threading.Lock()
        self._subscriptions: list[object] = []
        self._bad_topics: dict[str, str] = {}

    def subscribe(self, kind: type, topic: str, take: Callable[[object], None], qos: object) -> None:
        """Subscribe; ``take`` may raise `StateError`, which is counted, and logged when it begins."""

        def guarded(message: object) -> None:
            try:
                with self.lock:
                    take(message)
            except StateError as error:
                self._refuse(topic, error)
            else:
                self._bad_topics.pop(topic, None)

        self._subscriptions.append(self.node.create_subscription(kind, topic, guarded, qos))

    def close(self) -> None:
        """End all subscriptions."""
        for subscription in self._subscriptions:
            self.node.destroy_subscription(subscription)
        self._subscriptions = []

    def _refuse(self, topic: str, error: StateError) -> None:
        self.refused[error.reason] += 1
        if self._bad_topics.get(topic) != error.reason:
            self._bad_topics[topic] = error.reason
            self.node.get_logger().warning(f"{self.node.resolve_topic_name(topic)} is not used: {error}")
