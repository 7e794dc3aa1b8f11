import numpy as np
import pytest

from uav_perception.flight.errors import FlightError
from uav_perception.flight.filter import FilterOptions, TargetFilter
from uav_perception.flight.geolocation import Place

MS = 1_000_000
CHI2_95 = -2 * np.log(0.05)


def jacobian(azimuth: float) -> np.ndarray:
    """A view from 25 m up and 25 m away, as the geolocator gives it for 45 degrees."""
    toward = np.array([np.cos(azimuth), np.sin(azimuth)])
    aside = np.array([-toward[1], toward[0]])
    j = np.zeros((3, 8))
    j[:2, 0], j[:2, 1], j[:2, 2] = 25 * aside, 50 * toward, 25 * aside
    j[:2, 3:5] = np.eye(2)
    j[:2, 5] = toward
    j[:2, 6] = -toward
    j[:2, 7] = 5 * toward
    return j


COMMON = np.diag(np.array([*np.radians([0.5, 0.5, 0.5]), 0.5, 0.5, 0.5, 0.5, 0.02]) ** 2)
NOISE = np.diag([0.3**2, 0.3**2, 0.0])


def place_at(position, azimuth: float = 0.0, common: np.ndarray = COMMON) -> Place:
    return Place(np.array([*position, 0.0]), NOISE, jacobian(azimuth), common)


def fly(seed: int, orbit: bool, seconds: float = 8.0, common: np.ndarray = COMMON) -> list[tuple[float, float]]:
    """Squared normalised error and plain error of a walking target at every view, common errors that last 10 s."""
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(common)
    theta = root @ rng.normal(size=8)
    position, velocity = np.zeros(2), rng.normal(0, 1, 2)
    filtered, out = TargetFilter(FilterOptions(acceleration=0.5)), []
    for i in range(int(seconds * 10)):
        azimuth = 0.3 * i / 10 if orbit else 0.0
        seen = position + jacobian(azimuth)[:2] @ theta + rng.normal(0, 0.3, 2)
        estimate = filtered.update({4: place_at(seen, azimuth, common)}, i * 100 * MS)[4]
        error = estimate.position[:2] - position
        out.append((error @ np.linalg.solve(estimate.covariance[:2, :2], error), float(np.linalg.norm(error))))
        change = rng.normal(0, 1, (2, 2))
        position = position + 0.1 * velocity + 0.5 * np.sqrt(0.1**3) * (change[0] / 2 + change[1] / np.sqrt(12))
        velocity = velocity + 0.5 * np.sqrt(0.1) * change[0]
        fade = np.exp(-0.1 / 10)
        theta = fade * theta + np.sqrt(1 - fade**2) * (root @ rng.normal(size=8))
    return out


@pytest.mark.parametrize("orbit", [False, True])
def test_the_covariance_stays_honest_over_many_views(orbit):
    flights = np.array([fly(seed, orbit) for seed in range(60)])
    late = flights[:, 40:, 0]
    assert 0.90 <= np.mean(late <= CHI2_95) <= 0.99


def test_errors_of_pixels_average_out_and_common_ones_do_not():
    small = np.diag([1e-6] * 8) ** 2
    medians = {}
    for name, common in (("pixels", small), ("common", COMMON)):
        flights = np.array([fly(seed, False, common=common) for seed in range(40)])[:, :, 1]
        medians[name] = np.median(flights[:, -1]) / np.median(flights[:, 0])
    assert medians["pixels"] < 0.8
    assert medians["common"] > 0.9


def test_velocity_is_learnt_and_zero_at_first():
    filtered = TargetFilter()
    for i in range(30):
        estimate = filtered.update({1: place_at((0.2 * i, -0.1 * i))}, i * 100 * MS)[1]
        if i == 0:
            np.testing.assert_array_equal(estimate.velocity, 0)
    np.testing.assert_allclose(estimate.velocity, [2, -1, 0], atol=0.1)
    assert estimate.views == 30


def test_the_first_view_is_passed_on_unchanged():
    place = place_at((3, 4))
    estimate = TargetFilter().update({1: place}, 0)[1]
    np.testing.assert_allclose(estimate.position, place.position)
    np.testing.assert_allclose(estimate.covariance[:2, :2], place.covariance[:2, :2])


def test_targets_do_not_touch_each_other():
    both, alone = TargetFilter(), TargetFilter()
    for i in range(10):
        together = both.update({1: place_at((i, 0)), 2: place_at((0, 9))}, i * 100 * MS)
        single = alone.update({1: place_at((i, 0))}, i * 100 * MS)
    np.testing.assert_allclose(together[1].position, single[1].position)


def test_outliers_are_left_out_until_they_insist():
    filtered = TargetFilter(FilterOptions(max_outliers=3))
    for i in range(20):
        filtered.update({1: place_at((0, 0))}, i * 100 * MS)
    for i in range(20, 22):
        estimate = filtered.update({1: place_at((100, 0))}, i * 100 * MS)[1]
        assert np.linalg.norm(estimate.position) < 1
    estimate = filtered.update({1: place_at((100, 0))}, 2200 * MS)[1]
    assert estimate.position[0] == pytest.approx(100)
    assert (filtered.outliers, filtered.restarts) == (3, {"outliers": 1})


@pytest.mark.parametrize(
    ("stamp_ms", "epoch", "reason"), [(6000, 0, "gap"), (-500, 0, "time_jump"), (1000, 1, "epoch")]
)
def test_targets_start_anew(stamp_ms, epoch, reason):
    filtered = TargetFilter()
    for i in range(10):
        filtered.update({1: place_at((i, 0))}, i * 100 * MS)
    assert filtered.update({1: place_at((0, 0))}, stamp_ms * MS, epoch)[1].views == 1
    assert filtered.restarts == {reason: 1}


def test_reset():
    filtered = TargetFilter()
    filtered.update({1: place_at((0, 0))}, 0)
    filtered.reset()
    assert filtered.update({1: place_at((0, 0))}, 100 * MS)[1].views == 1


def test_wrong_options():
    with pytest.raises(FlightError, match=r"`correlation_s`.*0\.0"):
        FilterOptions(correlation_s=0.0)
    with pytest.raises(FlightError, match="but got 0"):
        FilterOptions(max_outliers=0)
