import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from uav_perception.flight import frames, gimbal
from uav_perception.flight.errors import StateError
from uav_perception.flight.rotations import matrix

TOLERANCE = {"atol": 1e-9, "rtol": 0}
RANDOM = Rotation.random(30, random_state=2)


def ned_frd(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """PX4's convention: yaw from north clockwise, pitch nose up, roll right wing down [deg]; x, y, z, w."""
    return Rotation.from_euler("ZYX", [yaw, pitch, roll], degrees=True).as_quat()


@pytest.mark.parametrize(
    ("attitude", "nose", "left"),
    [
        ((0, 0, 0), [0, 1, 0], [-1, 0, 0]),  # north: nose north, left wing west
        ((0, 0, 90), [1, 0, 0], [0, 1, 0]),  # east: left wing north
        ((0, 0, 180), [0, -1, 0], [1, 0, 0]),  # south
        ((0, 90, 0), [0, 0, 1], [-1, 0, 0]),  # nose up
        ((90, 0, 0), [0, 1, 0], [0, 0, 1]),  # right wing down: left wing up
        ((0, -45, 90), [np.sqrt(0.5), 0, -np.sqrt(0.5)], [0, 1, 0]),  # east, nose down 45
    ],
)
def test_attitudes_worked_by_hand(attitude, nose, left):
    rotation = matrix(frames.attitude_from_ned_frd(ned_frd(*attitude)))
    np.testing.assert_allclose(rotation[:, 0], nose, **TOLERANCE)
    np.testing.assert_allclose(rotation[:, 1], left, **TOLERANCE)


def test_vectors_worked_by_hand():
    np.testing.assert_array_equal(frames.enu_from_ned([1, 2, 3]), [2, 1, -3])
    np.testing.assert_array_equal(frames.flu_from_frd([1, 2, 3]), [1, -2, -3])
    np.testing.assert_array_equal(frames.OPTICAL_TO_FLU @ [0, 0, 1], [1, 0, 0])  # ahead
    np.testing.assert_array_equal(frames.OPTICAL_TO_FLU @ [1, 0, 0], [0, -1, 0])  # right
    np.testing.assert_array_equal(frames.OPTICAL_TO_FLU @ [0, 1, 0], [0, 0, -1])  # down


def test_quaternion_orders():
    np.testing.assert_array_equal(frames.xyzw_from_wxyz([1, 2, 3, 4]), [2, 3, 4, 1])
    np.testing.assert_array_equal(frames.wxyz_from_xyzw(frames.xyzw_from_wxyz([1, 2, 3, 4])), [1, 2, 3, 4])


@pytest.mark.parametrize("i", range(30))
def test_against_products_of_an_independent_library(i):
    q = RANDOM[i]
    to_enu, to_flu = Rotation.from_euler("xyz", [np.pi, 0, np.pi / 2]), Rotation.from_euler("xyz", [np.pi, 0, 0])
    np.testing.assert_allclose(
        matrix(frames.attitude_from_ned_frd(q.as_quat())), (to_enu * q * to_flu).as_matrix(), **TOLERANCE
    )
    np.testing.assert_allclose(
        matrix(frames.attitude_from_frd_frd(q.as_quat())), (to_flu * q * to_flu.inv()).as_matrix(), **TOLERANCE
    )
    np.testing.assert_allclose(
        matrix(frames.optical_attitude(q.as_quat())), q.as_matrix() @ frames.OPTICAL_TO_FLU, **TOLERANCE
    )
    # A vector seen through either chain is the same vector.
    v = RANDOM[(i + 1) % 30].as_rotvec()
    through_ned = frames.enu_from_ned(q.apply(frames.flu_from_frd(v)))
    np.testing.assert_allclose(matrix(frames.attitude_from_ned_frd(q.as_quat())) @ v, through_ned, **TOLERANCE)
    covariance = np.outer(v, v) + np.eye(3)
    turned = frames.enu_covariance_from_ned(covariance)
    w = frames.enu_from_ned(v)
    np.testing.assert_allclose(turned, np.outer(w, w) + np.eye(3), **TOLERANCE)


@pytest.mark.parametrize("i", range(30))
def test_round_trips(i):
    q = RANDOM[i].as_quat()
    for convert in (frames.attitude_from_ned_frd, frames.attitude_from_frd_frd):
        back = convert(convert(q))
        np.testing.assert_allclose(matrix(back), matrix(q), **TOLERANCE)
    v = RANDOM[i].as_rotvec()
    np.testing.assert_allclose(frames.enu_from_ned(frames.enu_from_ned(v)), v, **TOLERANCE)
    np.testing.assert_allclose(frames.flu_from_frd(frames.flu_from_frd(v)), v, **TOLERANCE)
    np.testing.assert_allclose(
        frames.enu_covariance_from_ned(frames.enu_covariance_from_ned(np.outer(v, v))), np.outer(v, v), **TOLERANCE
    )


def camera_axis(sample) -> np.ndarray:
    return matrix(sample.orientation)[:, 2]


def test_gimbal_that_counts_from_north():
    """Camera to the east, 30 degrees down."""
    sample = gimbal.gimbal_sample(5, ned_frd(0, -30, 90), gimbal.YAW_IN_EARTH_FRAME)
    assert (sample.reference, sample.stamp_ns) == ("map", 5)
    np.testing.assert_allclose(camera_axis(sample), [np.cos(np.pi / 6), 0, -0.5], **TOLERANCE)


def test_gimbal_that_counts_from_the_nose():
    """Camera 90 degrees to the right of the nose, 30 down: in a frame with x ahead and y left."""
    sample = gimbal.gimbal_sample(5, ned_frd(0, -30, 90), gimbal.YAW_IN_VEHICLE_FRAME)
    assert sample.reference == "heading"
    np.testing.assert_allclose(camera_axis(sample), [0, -np.cos(np.pi / 6), -0.5], **TOLERANCE)


@pytest.mark.parametrize(
    ("flags", "reference"),
    [(0, "heading"), (16, "map"), (32, "heading"), (64, "map"), (4 | 8 | 16 | 64, "map"), (12 | 32, "heading")],
)
def test_gimbal_flags(flags, reference):
    assert gimbal.yaw_reference(flags) == reference


@pytest.mark.parametrize(("flags", "reason"), [(96, "gimbal_flags"), (1 | 32, "gimbal_retracted")])
def test_gimbal_flags_that_cannot_be_used(flags, reason):
    with pytest.raises(StateError, match=str(flags)) as caught:
        gimbal.gimbal_sample(0, [0, 0, 0, 1], flags)
    assert caught.value.reason == reason
