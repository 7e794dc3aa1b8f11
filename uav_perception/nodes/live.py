"""A recorded flight played in real time through running nodes, and everything that came back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from uav_perception.errors import UavPerceptionError
from uav_perception.msg import ActionArray, ClassNames, DetectionArray
from uav_perception.nodes.conversions import from_time
from uav_perception.nodes.player import FlightPlayer, Played
from uav_perception.nodes.qos import latched, results


class LiveError(UavPerceptionError):
    """A live replay could not begin."""


@dataclass(frozen=True)
class Arrived:
    """One result message.

    Attributes:
        stamp_ns: stamp of the image that it judges [ns].
        arrived_ns: when it reached this process, of the monotonic clock [ns].
        message: `DetectionArray` or `ActionArray`.
    """

    stamp_ns: int
    arrived_ns: int
    message: object


@dataclass
class LiveRecord:
    """What went in and what came out of one live replay.

    Attributes:
        sent_ns: for each image, by its stamp [ns], when it was published, of the monotonic clock [ns].
        detections: in order of arrival.
        actions: in order of arrival.
        class_names: by task, ``detection`` and ``action``.
        complete: the flight was played to its end.
        duration_s: from the first to the last message played [s].
        cpu_cores: processor time of the nodes' processes over the replay [cores].
        memory_mb: largest resident memory of the nodes' processes together [MB].
    """

    sent_ns: dict[int, int] = field(default_factory=dict)
    detections: list[Arrived] = field(default_factory=list)
    actions: list[Arrived] = field(default_factory=list)
    class_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    complete: bool = False
    duration_s: float = 0.0
    cpu_cores: float = 0.0
    memory_mb: float = 0.0

    def latencies_ms(self, arrived: Sequence[Arrived]) -> np.ndarray:
        """float64, one for each message: from publishing the image to the arrival of its result [ms]."""
        return np.array(
            [(a.arrived_ns - self.sent_ns[a.stamp_ns]) / 1e6 for a in arrived if a.stamp_ns in self.sent_ns]
        )


def image_stamp(serialised: bytes) -> int:
    """The stamp [ns] of a serialised message that begins with a header: CDR puts it right behind its own four bytes."""
    order = "little" if serialised[1] & 1 else "big"
    seconds = int.from_bytes(serialised[4:8], order, signed=True)
    return seconds * 1_000_000_000 + int.from_bytes(serialised[8:12], order)


class Usage:
    """Processor time and memory of a process and its children, sampled on a thread.

    Args:
        pid: the parent.
        interval_s: time between samples [s].
    """

    def __init__(self, pid: int, interval_s: float = 0.5) -> None:
        self._root = psutil.Process(pid)
        self._interval = interval_s
        self._stop = threading.Event()
        self._seconds: dict[int, float] = {}
        self._begin: dict[int, float] = {}
        self.memory_mb = 0.0
        self._sample()
        self._begin = dict(self._seconds)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        memory = 0
        try:
            processes = [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in processes:
            try:
                times = process.cpu_times()
                memory += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
            self._seconds[process.pid] = times.user + times.system
        self.memory_mb = max(self.memory_mb, memory / 1e6)

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            self._sample()

    def stop(self) -> float:
        """End the sampling.

        Returns:
            Processor time since the start [s].
        """
        self._stop.set()
        self._thread.join()
        self._sample()
        return sum(seconds - self._begin.get(pid, 0.0) for pid, seconds in self._seconds.items())


class _Recorder:
    """Collects the nodes' results on the executor's thread."""

    def __init__(self, node: Node, record: LiveRecord, detector: str, action: str | None) -> None:
        self._record = record
        self.last_arrival = time.monotonic()
        names = [(detector, DetectionArray, "detections", record.detections)]
        if action is not None:
            names.append((action, ActionArray, "actions", record.actions))
        for name, kind, topic, into in names:
            node.create_subscription(kind, f"{name}/{topic}", lambda m, into=into: self._take(m, into), results())
            node.create_subscription(ClassNames, f"{name}/class_names", self._take_names, latched())

    def _take(self, message: object, into: list[Arrived]) -> None:
        now = time.monotonic_ns()
        into.append(Arrived(from_time(message.header.stamp), now, message))
        self.last_arrival = time.monotonic()

    def _take_names(self, message: ClassNames) -> None:
        self._record.class_names[message.task] = tuple(message.names)


def replay(
    flight: Path,
    pid: int,
    detector: str = "/detector",
    action: str | None = "/action",
    rate: float = 1.0,
    ready_timeout_s: float = 60.0,
    is_alive: Callable[[], bool] = lambda: True,
    on_image: Callable[[], None] = lambda: None,
) -> LiveRecord:
    """Play a flight through nodes that are already started, and record what they publish.

    ``rclpy`` must be initialised in this process.

    Args:
        flight: a rosbag2 folder.
        pid: process of the nodes, or their parent, for CPU and memory.
        detector: full name of the detector node.
        action: full name of the action node; None when there is none.
        rate: speed of playing.
        ready_timeout_s: how long the nodes may take to load their models [s].
        is_alive: whether the nodes' process still runs.
        on_image: called for every image that was sent.

    Returns:
        What was sent and what came back.

    Raises:
        LiveError: the nodes did not become ready, or ended.
        PlayError: the flight cannot be played.
    """
    record = LiveRecord()
    node = rclpy.create_node("uav_perception_live")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    recorder = _Recorder(node, record, detector, action)
    spinning = threading.Thread(target=_spin, args=(executor,), daemon=True)
    spinning.start()
    player = None
    try:
        player = FlightPlayer(node, flight, rate=rate, clock=True)
        tasks = 1 if action is None else 2
        _wait(lambda: len(record.class_names) == tasks, ready_timeout_s, is_alive, "publish their class names")
        _wait(lambda: player.wait_for_subscriber(0.1), ready_timeout_s, is_alive, "subscribe to the flight's images")
        usage = Usage(pid)
        images = player.image_topics
        started = time.monotonic()

        def sent(played: Played, data: bytes) -> None:
            if played.topic in images:
                record.sent_ns[image_stamp(data)] = played.sent_ns
                on_image()

        record.complete = player.play(sent, should_stop=lambda: not is_alive())
        record.duration_s = time.monotonic() - started
        _drain(recorder)
        record.cpu_cores = usage.stop() / (time.monotonic() - started)
        record.memory_mb = usage.memory_mb
    finally:
        if player is not None:
            player.close()
        executor.shutdown(timeout_sec=2.0)
        spinning.join(timeout=5.0)
        node.destroy_node()
    return record


def _spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        return


def _wait(condition: Callable[[], bool], timeout_s: float, is_alive: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if not is_alive():
            raise LiveError("The nodes ended before the flight began; their last lines above say why.")
        if time.monotonic() > deadline:
            raise LiveError(f"The nodes did not {what} within {timeout_s:g} s; is the model path right?")
        time.sleep(0.05)


def _drain(recorder: _Recorder, quiet_s: float = 1.0, longest_s: float = 10.0) -> None:
    end = time.monotonic() + longest_s
    recorder.last_arrival = time.monotonic()
    while time.monotonic() < end and time.monotonic() - recorder.last_arrival < quiet_s:
        time.sleep(0.05)
