import numpy as np
import pytest

from uav_perception.evaluation.latency import latency_histogram, latency_summary, throughput


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
