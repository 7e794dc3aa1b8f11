import numpy as np
import pytest

from uav_perception.evaluation.latency import latency_histogram, latency_summary, throughput
from uav_perception.evaluation.measures import timing
from uav_perception.evaluation.record import Accounting, FlightRecord


def test_summary_by_hand():
    found = latency_summary(np.arange(1.0, 102.0))
    assert found == {"count": 101, "mean": 51.0, "p50": 51.0, "p95": 96.0, "p99": 100.0, "max": 101.0}
    assert latency_summary(np.zeros(0))["p99"] is None


def test_histogram_keeps_every_value_also_the_outlier():
    values = np.append(np.linspace(5, 10, 999), 500.0)
    found = latency_histogram(values)
    assert sum(found["counts"]) == 1000
    assert len(found["edges_ms"]) == len(found["counts"]) + 1
    assert found["edges_ms"][-1] < 20
    assert latency_histogram(np.zeros(0)) == {"edges_ms": [], "counts": []}


def test_throughput_is_compared_with_the_backend():
    found = throughput(100, 10.0, np.full(100, 80.0))
    assert found["images_per_second"] == 10.0
    assert found["backend_images_per_second"] == pytest.approx(12.5)
    assert found["share_of_backend"] == pytest.approx(0.8)
    assert throughput(0, 0.0, np.zeros(0))["share_of_backend"] is None


def test_latency_of_recordings_that_differ_in_their_steps():
    """A flight is tracked, single pictures are not; the time of an image is the sum of its own steps."""
    flight = {"decode": [9.0, 9.0], "inference": [10.0, 20.0], "tracking": [1.0, 2.0]}
    pictures = {"decode": [9.0], "inference": [30.0]}
    records = [
        FlightRecord(
            name, Accounting(n, n, 0, 0), (), timings_ms={k: np.array(v) for k, v in steps.items()}, wall_s=1.0
        )
        for name, n, steps in (("flight", 2, flight), ("pictures", 1, pictures))
    ]
    found = timing(records)
    assert found["stages_ms"]["total"]["count"] == 3
    assert found["stages_ms"]["total"]["p50"] == 22.0
    assert found["stages_ms"]["total"]["max"] == 30.0
    assert timing([])["stages_ms"]["total"]["count"] == 0
