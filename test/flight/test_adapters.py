"""MAVROS and PX4 saying the same thing give the same samples."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from uav_perception.flight import mavros, px4
from uav_perception.flight.errors import StateError
from uav_perception.flight.geodesy import Origin, to_wgs84
from uav_perception.flight.rotations import matrix

POSE = {
    "timestamp_us": 1_700_000_000_123_456,
    "pose_frame": 1,
    "position": [10.0, 20.0, -30.0],
    "q": np.roll(Rotation.from_euler("ZYX", [30, -10, 5], degrees=True).as_quat(), 1),
    "velocity_frame": 1,
    "velocity": [1.0, 2.0, -0.5],
    "position_variance": [0.1, 0.2, 0.3],
    "orientation_variance": [1e-4, 2e-4, 9e-4],
    "reset_counter": 3,
}


def test_px4_odometry():
    sample = px4.pose_from_vehicle_odometry(**POSE)
    assert sample.stamp_ns == 1_700_000_000_123_456_000
    np.testing.assert_allclose(sample.position, [20, 10, 30])
    np.testing.assert_allclose(sample.velocity, [2, 1, 0.5])
    nose = np.array([np.cos(np.radians(10)) * np.sin(np.radians(30)), np.cos(np.radians(10)) * np.cos(np.radians(30)),
                     -np.sin(np.radians(10))])  # fmt: skip
    np.testing.assert_allclose(matrix(sample.orientation)[:, 0], nose, atol=1e-12)
    np.testing.assert_allclose(np.diag(sample.position_covariance), [0.2, 0.1, 0.3])
    assert np.trace(sample.attitude_covariance) == pytest.approx(12e-4)
    # The largest variance is about the body's z axis, wherever that points.
    body_z = matrix(sample.orientation)[:, 2]
    assert body_z @ sample.attitude_covariance @ body_z == pytest.approx(9e-4)
    assert sample.reset_counter == 3


def test_px4_velocity_in_the_body():
    in_body = Rotation.from_quat(np.roll(POSE["q"], -1)).inv().apply(POSE["velocity"])
    sample = px4.pose_from_vehicle_odometry(**{**POSE, "velocity_frame": 3, "velocity": in_body})
    np.testing.assert_allclose(sample.velocity, [2, 1, 0.5])


def test_px4_without_velocity_or_variances():
    nan = [np.nan] * 3
    changes = {"velocity": nan, "position_variance": nan, "orientation_variance": nan}
    sample = px4.pose_from_vehicle_odometry(**{**POSE, **changes})
    assert sample.velocity is sample.position_covariance is sample.attitude_covariance is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pose_frame": 2}, "pose_frame"),
        ({"position": [np.nan, 0, 0]}, "not_finite"),
        ({"q": [np.nan, 0, 0, 0]}, "bad_quaternion"),
        ({"q": [0, 0, 0, 0]}, "bad_quaternion"),
    ],
)
def test_px4_poses_that_cannot_be_used(changes, reason):
    with pytest.raises(StateError) as caught:
        px4.pose_from_vehicle_odometry(**{**POSE, **changes})
    assert caught.value.reason == reason


def test_px4_topic_names():
    assert px4.topic_name("/fmu/out/vehicle_status", 0) == "/fmu/out/vehicle_status"
    assert px4.topic_name("/fmu/out/vehicle_status", 1) == "/fmu/out/vehicle_status_v1"


def test_px4_origin_is_carried_to_the_ellipsoid():
    assert px4.origin_from_local_position(True, True, 47.4, 8.5, 440.0, 47.5) == Origin(47.4, 8.5, 487.5)
    with pytest.raises(StateError, match="no global reference"):
        px4.origin_from_local_position(True, False, 47.4, 8.5, 440.0, 47.5)


def test_px4_height():
    assert px4.height_from_local_position(5, 24.5, True, 0.01).height == 24.5
    with pytest.raises(StateError, match="not valid") as caught:
        px4.height_from_local_position(5, 24.5, False)
    assert caught.value.reason == "height_invalid"


def test_mavros_odometry_equals_px4():
    expected = px4.pose_from_vehicle_odometry(**POSE)
    covariance = np.zeros((6, 6))
    covariance[:3, :3], covariance[3:, 3:] = expected.position_covariance, expected.attitude_covariance
    body_velocity = matrix(expected.orientation).T @ expected.velocity
    sample = mavros.pose_from_odometry(
        expected.stamp_ns, expected.position, expected.orientation, covariance.ravel(), body_velocity
    )
    for name in ("position", "orientation", "velocity", "position_covariance", "attitude_covariance"):
        np.testing.assert_allclose(getattr(sample, name), getattr(expected, name), atol=1e-12)


def test_covariances_left_at_zero_are_not_known():
    sample = mavros.pose_from_odometry(0, [0, 0, 0], [0, 0, 0, 1], np.zeros(36), [np.nan] * 3)
    assert sample.velocity is sample.position_covariance is sample.attitude_covariance is None


def test_mavros_origin():
    origin = Origin(47.4, 8.5, 487.5)
    found = mavros.origin_from_fix(*to_wgs84(origin, [30, -20, 25]), 0, [30, -20, 25])
    assert found.latitude == pytest.approx(47.4, abs=1e-9)
    assert found.altitude == pytest.approx(487.5, abs=1e-4)
    with pytest.raises(StateError, match="no fix") as caught:
        mavros.origin_from_fix(0, 0, 0, -1, [0, 0, 0])
    assert caught.value.reason == "no_fix"


def test_range_finders_are_made_level():
    tilted = Rotation.from_euler("y", 20, degrees=True).as_quat()
    sample = mavros.height_from_range(0, 25.0, (0.2, 50.0), tilted, 0.04)
    assert sample.height == pytest.approx(25 * np.cos(np.radians(20)))
    assert sample.variance == pytest.approx(0.04 * np.cos(np.radians(20)) ** 2)


@pytest.mark.parametrize(
    ("distance", "roll", "reason"),
    [
        (np.inf, 0, "range_out_of_limits"),
        (np.nan, 0, "range_out_of_limits"),
        (0.1, 0, "range_out_of_limits"),
        (9, 70, "tilted"),
    ],
)
def test_ranges_that_cannot_be_used(distance, roll, reason):
    orientation = Rotation.from_euler("x", roll, degrees=True).as_quat()
    with pytest.raises(StateError) as caught:
        mavros.height_from_range(0, distance, (0.2, 50.0), orientation)
    assert caught.value.reason == reason


@pytest.mark.parametrize(("altitude", "height"), [(25.0, 25.0), (-0.4, 0.0)])
def test_relative_altitude(altitude, height):
    assert mavros.height_from_relative_altitude(0, altitude).height == height


def test_relative_altitude_far_below_home():
    with pytest.raises(StateError, match="-12 m"):
        mavros.height_from_relative_altitude(0, -12.0)
