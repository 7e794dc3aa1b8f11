"""Camera faults."""

from __future__ import annotations

import numpy as np
import pytest

from uav_perception.simulation.degrade import Degradation, random_degradation

IMAGE = np.random.default_rng(0).integers(40, 200, (60, 80, 3)).astype(np.uint8)


def test_a_perfect_camera_changes_nothing():
    np.testing.assert_array_equal(Degradation().apply(IMAGE, np.random.default_rng(0)), IMAGE)


def test_noise_has_its_spread_and_its_seed():
    flat = np.full((200, 200, 3), 120, np.uint8)
    one, two = (Degradation(noise=5.0).apply(flat, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.astype(float).std() == pytest.approx(5.0, rel=0.03)
    assert one.mean() == pytest.approx(120, abs=0.2)


def test_gains_and_gamma_by_hand():
    got = Degradation(gains=(1.0, 0.5, 2.0), gamma=2.0).apply(
        np.full((1, 1, 3), 128, np.uint8), np.random.default_rng(0)
    )
    middle = (128 / 255) ** 2 * 255
    np.testing.assert_array_equal(got[0, 0], np.round([middle, middle * 0.5, middle * 2]))


def test_blur_smooths():
    assert Degradation(blur=1.0).apply(IMAGE, np.random.default_rng(0)).std() < 0.6 * IMAGE.std()


@pytest.mark.parametrize("level", [10, 240])
def test_exposure_is_set_by_the_first_image(level):
    rng, first = np.random.default_rng(2), np.full((30, 30, 3), level, np.uint8)
    for _ in range(20):
        gains = np.array(random_degradation(rng, first).gains)
        assert (gains > 1.5).all() if level == 10 else (gains < 0.75).all()


@pytest.mark.parametrize(
    ("faults", "message"),
    [({"gamma": 0}, "gamma 0"), ({"gains": (1, 0, 1)}, "must be positive"), ({"noise": -1}, "noise -1")],
)
def test_impossible_faults_are_refused(faults, message):
    with pytest.raises(ValueError, match=message):
        Degradation(**faults)
