"""Measurements and the error log of a pipeline; the node is only its logger and its clock."""

import threading

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from rclpy.clock import Clock
from rclpy.logging import get_logger

from uav_perception.frames.errors import FrameError
from uav_perception.nodes.diagnostics import ERROR, OK, WARN
from uav_perception.nodes.stream import Pipeline


class Owner:
    """What a pipeline needs of its node."""

    def get_logger(self):
        return get_logger("test_stream")

    def get_clock(self):
        return Clock()


def _failing(item):
    raise item


def test_a_repeated_error_is_logged_once_and_shown_in_diagnostics(capfd):
    pipeline = Pipeline(Owner(), _failing, "test")
    for _ in range(3):
        pipeline.worker.put(FrameError("the encoding cmyk8 is unknown."))
        assert pipeline.worker.wait_idle(10)
    health = pipeline.health()
    assert health.level == ERROR and health.message == "the encoding cmyk8 is unknown."
    assert (health.values["failed"], health.values["processed"]) == (3, 0)
    pipeline.stop()
    text = capfd.readouterr()
    assert (text.out + text.err).count("the encoding cmyk8 is unknown.") == 1


def test_an_unexpected_error_is_logged_with_its_place(capfd):
    pipeline = Pipeline(Owner(), _failing, "test")
    pipeline.worker.put(ZeroDivisionError("by zero"))
    assert pipeline.worker.wait_idle(10)
    pipeline.stop()
    text = capfd.readouterr()
    assert "ZeroDivisionError: by zero" in text.out + text.err and "_failing" in text.out + text.err


def test_results_beside_errors_are_a_warning_and_without_errors_fine():
    pipeline = Pipeline(Owner(), lambda item: None, "test")
    for _ in range(2):
        pipeline.published(received=0.0, stamp_ns=1)
    assert pipeline.health().level == OK
    pipeline.stop()
    pipeline = Pipeline(Owner(), _failing, "test")
    for _ in range(2):
        pipeline.published(received=0.0, stamp_ns=1)
    pipeline.worker.put(FrameError("no"))
    assert pipeline.worker.wait_idle(10)
    assert pipeline.health().level == WARN
    pipeline.stop()


def test_a_network_that_hangs_is_an_error(monkeypatch):
    entered, gate = threading.Event(), threading.Event()

    def hang(item):
        entered.set()
        assert gate.wait(10)

    monkeypatch.setattr(Pipeline, "_STUCK", 0.0)
    pipeline = Pipeline(Owner(), hang, "test")
    pipeline.worker.put(1)
    assert entered.wait(10)
    health = pipeline.health()
    assert health.level == ERROR and "busy with one image" in health.message
    gate.set()
    assert pipeline.worker.wait_idle(10)
    assert pipeline.health().level == OK
    pipeline.stop()
