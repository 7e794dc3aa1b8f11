import numpy as np
import pytest

from uav_perception.actions.errors import ActionError
from uav_perception.actions.smoothing import UNKNOWN, LabelSmoother, SmoothingOptions

S = 1_000_000_000


def plain(**changes) -> LabelSmoother:
    return LabelSmoother(SmoothingOptions(**{"time_constant_s": 0.0, "min_dwell_s": 0.0, **changes}))


def test_enter_and_exit_thresholds():
    smoother = plain()
    labels = [smoother.update(i * S, np.array([p, 1 - p]) * 0.99)[0] for i, p in enumerate([0.55, 0.62, 0.5, 0.42])]
    assert labels == [UNKNOWN, 0, 0, 0]
    spread = np.array([0.39, 0.31, 0.30])
    assert plain().update(0, spread) == (UNKNOWN, 0.0)


def test_label_is_given_up_below_exit():
    smoother = plain()
    assert smoother.update(0, np.array([0.7, 0.2, 0.1])) == (0, 0.7)
    assert smoother.update(S, np.array([0.41, 0.30, 0.29])) == (0, 0.41)
    assert smoother.update(2 * S, np.array([0.39, 0.31, 0.30])) == (UNKNOWN, 0.0)


def test_average_follows_an_exponential_whatever_the_tick_rate():
    """A step from class 1 to class 0 after 1 s: average of class 0 is 1 - exp(-t / tau)."""
    for rate in (5, 10, 50):
        smoother = plain(time_constant_s=0.4, enter=0.0, exit=0.0)
        smoother.update(0, np.array([0.0, 1.0]))
        for tick in range(1, rate + 1):
            label, score = smoother.update(tick * S // rate, np.array([1.0, 0.0]))
        assert label == 0
        assert score == pytest.approx(1 - np.exp(-1 / 0.4), abs=1e-9)


def test_minimum_dwell_holds_a_label():
    smoother = plain(min_dwell_s=0.5)
    assert smoother.update(0, np.array([0.9, 0.1]))[0] == 0
    assert smoother.update(int(0.4 * S), np.array([0.1, 0.9])) == (0, pytest.approx(0.1))
    assert smoother.update(int(0.5 * S), np.array([0.1, 0.9]))[0] == 1


def test_fewer_flips_than_the_raw_argmax():
    rng = np.random.default_rng(3)
    smoother = LabelSmoother(SmoothingOptions())
    raw, smooth = [], []
    for tick in range(400):
        truth = (tick // 100) % 2
        p = np.full(2, 0.5) + (np.array([1 - truth, truth]) - 0.5) * rng.normal(0.6, 0.7)
        p = np.clip(p, 0.01, 0.99)
        raw.append(int(np.argmax(p)))
        smooth.append(smoother.update(tick * S // 10, p / p.sum())[0])
    flips = [int(np.count_nonzero(np.diff(labels))) for labels in (raw, smooth)]
    assert flips[1] < flips[0] / 5


def test_reset_forgets():
    smoother = LabelSmoother(SmoothingOptions())
    smoother.update(0, np.array([0.9, 0.1]))
    smoother.reset()
    assert smoother.update(S, np.array([0.1, 0.9])) == (1, pytest.approx(0.9))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"enter": 0.3, "exit": 0.4}, "enter 0.3, exit 0.4"),
        ({"min_dwell_s": -1.0}, "`min_dwell_s`.*-1.0"),
        ({"time_constant_s": float("nan")}, "`time_constant_s`.*nan"),
    ],
)
def test_wrong_options(changes, message):
    with pytest.raises(ActionError, match=message):
        SmoothingOptions(**changes)
