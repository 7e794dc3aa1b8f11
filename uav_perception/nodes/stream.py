"""What every node with images does: take them in order, hand the newest to a worker, measure, report."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from rclpy.node import Node

from uav_perception.errors import UavPerceptionError
from uav_perception.nodes.diagnostics import ERROR, OK, WARN, Health
from uav_perception.nodes.statistics import Statistics
from uav_perception.nodes.worker import NewestWorker

Item = TypeVar("Item")


@dataclass
class LastError:
    """The newest failure, for diagnostics."""

    text: str = "none"
    time: float = float("-inf")


class Pipeline(Generic[Item]):
    """A worker with measurements and an error log that does not flood.

    Args:
        node: for the log.
        process: turns one item into published results; runs on the worker's thread.
        name: the worker's name in debuggers and logs.
    """

    _ERROR_SHOWN = 5.0  # an error colours diagnostics for this long [s]
    _STUCK = 5.0  # a network that works on one image for longer is worth an error [s]
    _MOST_LOGGED = 100  # different errors that are logged; damaged messages can have endless variety

    def __init__(self, node: Node, process: Callable[[Item], None], name: str) -> None:
        self._node = node
        self.statistics = Statistics()
        self._last_error = LastError()
        self._logged: set[str] = set()
        self.worker: NewestWorker[Item] = NewestWorker(process, self._failed, name)

    def published(self, received: float, stamp_ns: int) -> None:
        """Note a published result.

        Args:
            received: when its image arrived [s, monotonic].
            stamp_ns: its image's stamp [ns].
        """
        age = (self._node.get_clock().now().nanoseconds - stamp_ns) / 1e9 if stamp_ns else float("nan")
        now = time.monotonic()
        self.statistics.record(now, now - received, age)

    def health(self) -> Health:
        """Counts, rate and latencies; an error when the last image failed."""
        now = time.monotonic()
        summary = self.statistics.summary(now)
        values = {
            "rate_hz": summary.rate,
            "latency_p50_ms": summary.latency_p50 * 1e3,
            "latency_p99_ms": summary.latency_p99 * 1e3,
            "stamp_age_ms": summary.age * 1e3,
            **self.worker.counts,
            "last_error": self._last_error.text,
        }
        busy = self.worker.busy_for()
        if busy > self._STUCK:
            return Health(ERROR, f"the network has been busy with one image for {busy:.0f} s", values)
        if now - self._last_error.time < self._ERROR_SHOWN:
            level = WARN if summary.rate > 0 else ERROR
            return Health(level, self._last_error.text, values)
        return Health(OK, "active", values)

    def stop(self) -> None:
        """End the worker's thread."""
        if not self.worker.stop():
            self._node.get_logger().warning("the network is still busy with an image after 10 s; it ends by itself")

    def _failed(self, error: Exception) -> None:
        text = str(error) if isinstance(error, UavPerceptionError) else f"{type(error).__name__}: {error}"
        self._last_error = LastError(text, time.monotonic())
        if text in self._logged or len(self._logged) >= self._MOST_LOGGED:
            return
        self._logged.add(text)
        details = "" if isinstance(error, UavPerceptionError) else "\n" + "".join(traceback.format_exception(error))
        self._node.get_logger().error(f"an image could not be processed (said once): {text}{details}")
