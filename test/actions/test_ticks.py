import pytest

from uav_perception.actions.errors import ActionError
from uav_perception.actions.ticks import TickGrid


@pytest.mark.parametrize(("camera_hz", "tick_hz"), [(30, 10), (24, 10), (25, 10), (60, 7), (10, 10)])
def test_mean_rate_is_exact(camera_hz, tick_hz):
    grid = TickGrid(tick_hz)
    due = sum(grid.due(round(i * 1e9 / camera_hz)) for i in range(60 * camera_hz))
    assert due == pytest.approx(60 * tick_hz, abs=1)


def test_slow_camera_ticks_on_every_image():
    grid = TickGrid(10)
    assert all(grid.due(i * 500_000_000) for i in range(20))


def test_jitter_just_before_a_tick_counts():
    grid = TickGrid(10)
    assert [grid.due(stamp) for stamp in (0, 99_000_000, 133_000_000, 199_500_000)] == [True, True, False, True]


def test_the_same_image_twice_ticks_once():
    grid = TickGrid(10)
    assert [grid.due(7), grid.due(7)] == [True, False]


def test_time_running_backwards_starts_anew():
    grid = TickGrid(10)
    grid.due(5_000_000_000)
    grid.due(6_000_000_000)
    assert grid.due(5_200_000_000)
    assert not grid.due(5_250_000_000)
    assert grid.due(5_300_000_000)
    assert grid.due(0)


def test_wrong_rate():
    with pytest.raises(ActionError, match=r"0\.0 Hz"):
        TickGrid(0.0)
