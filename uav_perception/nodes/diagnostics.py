"""The state of a node on ``/diagnostics``."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from uav_perception.nodes.publishing import publish

OK, WARN, ERROR, STALE = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE


@dataclass(frozen=True)
class Health:
    """What a node says about itself.

    Attributes:
        level: one of `OK`, `WARN`, `ERROR`, `STALE`.
        message: one line for a human.
        values: further facts; floats are shown with four digits, NaN as ``n/a``.
    """

    level: bytes
    message: str
    values: dict[str, object] = field(default_factory=dict)


def worst(*healths: Health) -> Health:
    """The most severe of several, with the values of all."""
    first = max(healths, key=lambda health: health.level)
    return Health(first.level, first.message, {k: v for health in healths for k, v in health.values.items()})


def as_text(value: object) -> str:
    """A value as a diagnostics viewer should show it."""
    if isinstance(value, float):
        return "n/a" if math.isnan(value) else f"{value:.4g}"
    return str(value)


class Diagnostics:
    """Publishes the node's `Health` once a period.

    Args:
        node: the node it speaks for; its full name is the status name.
        health: called on the executor's thread for each report.
        hardware_id: what the node runs on; the machine's name by default.
        period: time between two reports [s].
    """

    def __init__(self, node: Node, health: Callable[[], Health], hardware_id: str = "", period: float = 1.0) -> None:
        self._node = node
        self._health = health
        self._hardware_id = hardware_id or platform.node() or "unknown"
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # A steady period also while simulated time stands still.
        self._timer = node.create_timer(period, self.report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def report(self) -> None:
        """Publish the present state."""
        health = self._health()
        status = DiagnosticStatus(
            level=health.level,
            name=self._node.get_fully_qualified_name().lstrip("/"),
            message=health.message,
            hardware_id=self._hardware_id,
            values=[KeyValue(key=key, value=as_text(value)) for key, value in health.values.items()],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        publish(self._publisher, message, self._node)
