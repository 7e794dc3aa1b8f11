import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from uav_perception.flight import rotations
from uav_perception.flight.errors import StateError

RANDOM = Rotation.random(50, random_state=1)
TOLERANCE = {"atol": 1e-9, "rtol": 0}


def same(quaternion: np.ndarray, expected: Rotation) -> None:
    np.testing.assert_allclose((Rotation.from_quat(quaternion).inv() * expected).magnitude(), 0, **TOLERANCE)


@pytest.mark.parametrize("i", range(50))
def test_against_an_independent_library(i):
    a, b = RANDOM[i], RANDOM[(i + 7) % 50]
    qa, qb = a.as_quat(), b.as_quat()
    np.testing.assert_allclose(rotations.matrix(qa), a.as_matrix(), **TOLERANCE)
    same(rotations.from_matrix(a.as_matrix()), a)
    same(rotations.multiply(qa, qb), a * b)
    same(rotations.inverse(qa), a.inv())
    np.testing.assert_allclose(rotations.rotation_vector(qa), a.as_rotvec(), **TOLERANCE)
    same(rotations.from_rotation_vector(a.as_rotvec()), a)
    roll, pitch, yaw = a.as_euler("xyz")
    same(rotations.from_roll_pitch_yaw(roll, pitch, yaw), a)
    assert rotations.yaw_of(qa) == pytest.approx(yaw, abs=1e-9)
    assert rotations.roll_pitch_yaw(a.as_matrix()) == pytest.approx((roll, pitch, yaw), abs=1e-9)
    arc = Slerp([0, 1], Rotation.concatenate([a, b]))
    for fraction in (0.0, 0.3, 1.0):
        same(rotations.slerp(qa, qb, fraction), arc(fraction))
    v = RANDOM[(i + 3) % 50].as_rotvec()
    np.testing.assert_allclose(rotations.skew(qa[:3]) @ v, np.cross(qa[:3], v), **TOLERANCE)


@pytest.mark.parametrize("half_turn", [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0.8, 0]])
def test_matrices_of_half_turns(half_turn):
    turn = Rotation.from_rotvec(np.pi * np.array(half_turn))
    same(rotations.from_matrix(turn.as_matrix()), turn)


@pytest.mark.parametrize("pitch", [-90, -89.9999, 89.99999, 90])
@pytest.mark.parametrize("noise", [0.0, 1e-16, -1e-12])
def test_angles_straight_up_and_down_give_the_rotation_back(pitch, noise):
    turn = Rotation.from_euler("xyz", [20, pitch, -130], degrees=True)
    angles = rotations.roll_pitch_yaw(turn.as_matrix() + noise)
    np.testing.assert_allclose((Rotation.from_euler("xyz", angles).inv() * turn).magnitude(), 0, atol=3e-6)


def test_tiny_rotations():
    tiny = np.array([1e-15, -2e-15, 0])
    np.testing.assert_allclose(rotations.rotation_vector(rotations.from_rotation_vector(tiny)), tiny, rtol=1e-6)


def test_slerp_goes_on_beyond_the_end():
    a, b = Rotation.identity(), Rotation.from_euler("z", 20, degrees=True)
    same(rotations.slerp(a.as_quat(), b.as_quat(), 1.5), Rotation.from_euler("z", 30, degrees=True))


def test_slerp_takes_the_shorter_arc():
    a, b = np.array([0, 0, 0, 1.0]), -Rotation.from_euler("z", 20, degrees=True).as_quat()
    same(rotations.slerp(a, b, 0.5), Rotation.from_euler("z", 10, degrees=True))


def test_lengths_are_mended():
    np.testing.assert_allclose(rotations.normalised([0, 0, 0, 1.01]), [0, 0, 0, 1])


@pytest.mark.parametrize("broken", [[0, 0, 0, 0], [np.nan, 0, 0, 1], [0, 0, 0, 100], [0, 0, 1]])
def test_broken_quaternions_are_refused(broken):
    with pytest.raises(StateError, match="no unit quaternion") as caught:
        rotations.normalised(broken)
    assert caught.value.reason == "bad_quaternion"
