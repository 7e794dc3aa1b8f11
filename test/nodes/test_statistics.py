import numpy as np
import pytest

from uav_perception.nodes.statistics import Statistics


def test_nothing_yet_is_not_a_number_but_no_error():
    summary = Statistics().summary(0.0)
    assert summary.rate == 0.0 and np.isnan([summary.latency_p50, summary.latency_p99, summary.age]).all()


def test_rate_and_percentiles_over_the_window_alone():
    statistics = Statistics(window=5.0)
    latencies = np.random.default_rng(1).uniform(0.01, 0.1, 1000)
    for index, latency in enumerate(latencies):
        statistics.record(index * 0.1, float(latency), 0.2)
    summary = statistics.summary(99.9)
    inside = latencies[-51:]
    assert summary.rate == pytest.approx(10.0, rel=0.03)
    assert summary.latency_p50 == pytest.approx(np.percentile(inside, 50))
    assert summary.latency_p99 == pytest.approx(np.percentile(inside, 99))
    assert summary.age == 0.2


def test_the_rate_is_right_before_the_window_is_full():
    statistics = Statistics(window=5.0)
    for index in range(11):
        statistics.record(index * 0.1, 0.01, 0.0)
    assert statistics.summary(1.0).rate == pytest.approx(10.0)


def test_a_stall_lets_the_rate_fall_to_zero():
    statistics = Statistics(window=5.0)
    statistics.record(0.0, 0.01, 0.0)
    assert statistics.summary(10.0).rate == 0.0
