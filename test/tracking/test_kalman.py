import numpy as np
import pytest

from uav_perception.tracking import kalman
from uav_perception.tracking.errors import TrackingError
from uav_perception.tracking.kalman import NoiseOptions

NOISE = NoiseOptions()
BOXES = np.array([[10.0, 20, 30, 60], [100, 100, 108, 112]])


def test_corners_and_measured_are_inverse():
    means, _ = kalman.start(BOXES, NOISE)
    np.testing.assert_allclose(kalman.corners(means), BOXES)
    np.testing.assert_allclose(means[:, 4:], 0)


def test_update_equals_the_information_form():
    """P' = (P^-1 + H' R^-1 H)^-1, x' = P' (P^-1 x + H' R^-1 z), written out for one box."""
    means, covariances = kalman.predict(*kalman.start(BOXES, NOISE), 0.1, NOISE)
    seen = BOXES + np.array([1.0, -2, 3, 1])
    got_means, got_covariances = kalman.update(means, covariances, seen, NOISE)
    for i in range(2):
        side = np.sqrt(means[i, 2] * means[i, 3])
        noise = np.diag([(0.05 * side + 1) ** 2] * 2 + [(0.1 * side + 1) ** 2] * 2)
        see = np.eye(4, 8)
        information = np.linalg.inv(covariances[i])
        expected = np.linalg.inv(information + see.T @ np.linalg.inv(noise) @ see)
        z = kalman.measured(seen)[i]
        np.testing.assert_allclose(got_covariances[i], expected, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(
            got_means[i], expected @ (information @ means[i] + see.T @ np.linalg.inv(noise) @ z), rtol=1e-6
        )


def test_two_half_steps_are_one_whole_step():
    state = kalman.start(BOXES, NOISE)
    halves = kalman.predict(*kalman.predict(*state, 0.05, NOISE), 0.05, NOISE)
    whole = kalman.predict(*state, 0.1, NOISE)
    for half, one in zip(halves, whole, strict=True):
        np.testing.assert_allclose(half, one, rtol=1e-12)


def test_move_equals_a_numerical_derivative():
    homography = np.array([[1.05, 0.04, 12], [-0.05, 0.98, -7], [2e-4, -1e-4, 1]])
    means, covariances = kalman.predict(*kalman.start(BOXES, NOISE), 0.1, NOISE)
    means[:, 4:6] = [[5, -3], [2, 8]]
    moved, spread = kalman.move(means, covariances, homography, NoiseOptions(motion_px=0.0))

    def through(point):
        x, y, w = homography @ [*point, 1.0]
        return np.array([x, y]) / w

    for i in range(2):
        centre = means[i, :2]
        np.testing.assert_allclose(moved[i, :2], through(centre))
        derivative = np.stack([(through(centre + d) - through(centre - d)) / 2e-4 for d in np.eye(2) * 1e-4], axis=1)
        np.testing.assert_allclose(moved[i, 4:6], derivative @ means[i, 4:6], rtol=1e-6)
        np.testing.assert_allclose(spread[i, :2, :2], derivative @ covariances[i, :2, :2] @ derivative.T, rtol=1e-5)
        np.testing.assert_allclose(moved[i, 2:4], means[i, 2:4] * np.sqrt(np.linalg.det(derivative)), rtol=1e-6)


def test_the_filter_is_honest():
    """Objects that follow the model: the normalised error is chi-square with two degrees of freedom."""
    rng = np.random.default_rng(1)
    count, side = 400, 20.0
    noise = NoiseOptions(position=0.05, floor_px=1.0, acceleration=1.0, resize=0.0, velocity=1.0)
    place = rng.uniform(0, 500, (count, 2))
    speed = rng.normal(0, side, (count, 2))

    def seen():
        centre = place + rng.normal(0, 2.0, (count, 2))
        return np.concatenate([centre - side / 2, centre + side / 2], axis=1)

    means, covariances = kalman.start(seen(), noise)
    for _ in range(40):
        change = rng.normal(0, 1, (2, count, 2))
        place = place + 0.1 * speed + side * np.sqrt(0.1**3) * (change[0] / 2 + change[1] / np.sqrt(12))
        speed = speed + side * np.sqrt(0.1) * change[0]
        means, covariances = kalman.predict(means, covariances, 0.1, noise)
        means, covariances = kalman.update(means, covariances, seen(), noise)
    error = place - means[:, :2]
    squared = np.einsum("ni,nij,nj->n", error, np.linalg.inv(covariances[:, :2, :2]), error)
    assert squared.mean() == pytest.approx(2.0, abs=0.3)
    assert np.mean(squared < 5.99) == pytest.approx(0.95, abs=0.03)


def test_distance_is_that_of_mahalanobis():
    means, covariances = kalman.start(BOXES, NOISE)
    squared = kalman.distance(means, covariances, BOXES + 3.0, NOISE)
    side = np.sqrt(20 * 40)
    assert squared[0, 0] == pytest.approx(2 * 9 / (2 * (0.05 * side + 1) ** 2))
    assert squared.shape == (2, 2)


def test_no_boxes():
    state = kalman.start(np.zeros((0, 4)), NOISE)
    assert [part.shape for part in kalman.predict(*state, 0.1, NOISE)] == [(0, 8), (0, 8, 8)]
    assert kalman.move(*state, np.eye(3), NOISE)[0].shape == (0, 8)


def test_wrong_noise():
    with pytest.raises(TrackingError, match=r"`floor_px`.*-1\.0"):
        NoiseOptions(floor_px=-1.0)
