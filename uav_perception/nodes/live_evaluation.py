"""The same flight over DDS in real time: the nodes are started, the bag is played, and what comes back is measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from uav_perception.evaluation.bag import Bag
from uav_perception.evaluation.errors import EvaluationError
from uav_perception.evaluation.latency import latency_summary
from uav_perception.evaluation.recordings import Recording
from uav_perception.evaluation.settings import Settings
from uav_perception.nodes.live_processes import nodes_command, running, stay_on_this_machine


def measure_live(recordings: Sequence[Recording], settings: Settings, rate: float, loop: int) -> dict[str, object]:
    """Play bags through freshly started nodes.

    Args:
        recordings: bags.
        settings: of the run, for the models and the image topic.
        rate: speed of playing.
        loop: how often each is played.

    Returns:
        For each play what was sent, what came back, latency, jitter, drops, CPU and memory.

    Raises:
        EvaluationError: there is no bag, or no detection model.
        LiveError: the nodes did not start, or ended.
        ModuleNotFoundError: there is no ROS 2.
    """
    if not recordings:
        raise EvaluationError("--live plays bags, and none of the recordings is one.")
    if settings.model is None:
        raise EvaluationError("--live runs the detector node; give --model.")
    stay_on_this_machine()
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    # rclpy's own handlers would take SIGTERM without ending the process.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        flights = [_play(recording, turn, settings, rate) for recording in recordings for turn in range(1, loop + 1)]
    finally:
        rclpy.try_shutdown()
    return {"rate": rate, "loop": loop, "flights": flights}


def _play(recording: Recording, turn: int, settings: Settings, rate: float) -> dict[str, object]:
    from uav_perception.nodes.live import replay

    bag = Bag(recording.path, settings.image_topic)
    command = nodes_command(bag, str(settings.model), settings.action_model)
    for parameter in node_parameters(settings):
        command += ["-p", parameter]
    with running(command) as nodes:
        record = replay(
            Path(recording.path),
            nodes.pid,
            action="/action" if settings.action_model is not None else None,
            rate=rate,
            is_alive=lambda: nodes.poll() is None,
        )
    name = recording.name if turn == 1 else f"{recording.name} ({turn})"
    return {
        "name": name,
        "complete": record.complete,
        "duration_s": record.duration_s,
        **stream_summary(
            sorted(record.sent_ns.values()),
            record.latencies_ms(record.detections),
            np.array([a.arrived_ns for a in record.detections]),
        ),
        "action_latency_ms": latency_summary(record.latencies_ms(record.actions)),
        "cpu_cores": record.cpu_cores,
        "memory_mb": record.memory_mb,
    }


def node_parameters(settings: Settings) -> list[str]:
    """What of a run's settings the nodes know too, as ``node.name=value``.

    The score threshold is not among them: a run judges all scores, and nodes publish what their model believes.
    """
    shared = {"backend": settings.backend, "threads": settings.threads}
    parameters = {"detector": {**shared, "tracking": settings.track}}
    if settings.action_model is not None:
        actors = ",".join(settings.actor_classes)
        parameters["action"] = {**shared, "scope": settings.action_scope, "actor_classes": actors}
    # JSON is YAML, in which the command reads values, and keeps an empty text a text.
    return [f"{node}.{name}={json.dumps(value)}" for node, own in parameters.items() for name, value in own.items()]


def stream_summary(sent_ns: Sequence[int], latencies_ms: np.ndarray, arrived_ns: np.ndarray) -> dict[str, object]:
    """Counts, latency and jitter of one stream of results.

    Args:
        sent_ns: when each image was published [ns].
        latencies_ms: from publishing an image to its result, for each result [ms].
        arrived_ns: when each result came [ns].

    Returns:
        ``sent``, ``results``, ``dropped``, ``latency_ms`` and ``jitter_ms``: the standard deviation of the time
        between results.
    """
    gaps = np.diff(np.sort(arrived_ns)) / 1e6
    return {
        "sent": len(sent_ns),
        "results": len(latencies_ms),
        "dropped": len(sent_ns) - len(latencies_ms),
        "latency_ms": latency_summary(latencies_ms),
        "jitter_ms": float(gaps.std()) if len(gaps) else None,
    }
