"""From the fields of PX4's messages (uXRCE-DDS) to samples: NED and FRD to ENU and FLU, microseconds to nanoseconds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from uav_perception.flight.errors import StateError
from uav_perception.flight.frames import (
    FRD_TO_FLU,
    attitude_from_ned_frd,
    enu_covariance_from_ned,
    enu_from_ned,
    flu_from_frd,
    xyzw_from_wxyz,
)
from uav_perception.flight.geodesy import Origin
from uav_perception.flight.rotations import matrix, normalised
from uav_perception.flight.state import HeightSample, PoseSample

POSE_FRAME_NED = 1
VELOCITY_FRAME_NED = 1
VELOCITY_FRAME_BODY_FRD = 3


def topic_name(base: str, message_version: int) -> str:
    """The topic of a message of a version: PX4 appends ``_v<N>`` from version 1 on.

    Args:
        base: for example ``"/fmu/out/vehicle_status"``.
        message_version: ``MESSAGE_VERSION`` of the message's class, 0 where it has none.
    """
    return f"{base}_v{message_version}" if message_version else base


def pose_from_vehicle_odometry(
    timestamp_us: int,
    pose_frame: int,
    position: Sequence[float],
    q: Sequence[float],
    velocity_frame: int,
    velocity: Sequence[float],
    position_variance: Sequence[float],
    orientation_variance: Sequence[float],
    reset_counter: int,
) -> PoseSample:
    """``vehicle_odometry``, field by field.

    Args:
        timestamp_us: ``timestamp_sample`` [us].
        pose_frame: must be NED.
        position: north, east, down [m].
        q: body FRD to NED, ``w, x, y, z``.
        velocity_frame: NED or body FRD; a velocity in another frame is left out.
        velocity: [m/s], NaN when not known.
        position_variance: north, east, down [m^2].
        orientation_variance: about the body's axes [rad^2].
        reset_counter: of the estimator.

    Raises:
        StateError: ``pose_frame``, ``not_finite`` or ``bad_quaternion``.
    """
    if pose_frame != POSE_FRAME_NED:
        raise StateError(
            "pose_frame",
            f"The odometry's pose frame is {pose_frame}, not NED (1): its heading does not count from north.",
        )
    orientation = attitude_from_ned_frd(normalised(xyzw_from_wxyz(q)))
    speed = np.asarray(velocity, np.float64)
    enu_velocity = None
    if np.isfinite(speed).all() and velocity_frame == VELOCITY_FRAME_NED:
        enu_velocity = enu_from_ned(speed)
    elif np.isfinite(speed).all() and velocity_frame == VELOCITY_FRAME_BODY_FRD:
        enu_velocity = matrix(orientation) @ flu_from_frd(speed)
    turn = matrix(orientation) @ FRD_TO_FLU
    return PoseSample(
        stamp_ns=int(timestamp_us) * 1000,
        position=enu_from_ned(position),
        orientation=orientation,
        velocity=enu_velocity,
        position_covariance=enu_covariance_from_ned(np.diag(np.asarray(position_variance, np.float64))),
        attitude_covariance=turn @ np.diag(np.asarray(orientation_variance, np.float64)) @ turn.T,
        reset_counter=int(reset_counter),
    )


def pose_from_message(message: object) -> PoseSample:
    """The same of a px4_msgs/VehicleOdometry, as rclpy or a bag gives it.

    Raises:
        StateError: as :func:`pose_from_vehicle_odometry`.
    """
    return pose_from_vehicle_odometry(
        message.timestamp_sample,
        message.pose_frame,
        message.position,
        message.q,
        message.velocity_frame,
        message.velocity,
        message.position_variance,
        message.orientation_variance,
        message.reset_counter,
    )


def origin_from_local_position(
    xy_global: bool, z_global: bool, ref_lat: float, ref_lon: float, ref_alt: float, geoid_height: float
) -> Origin:
    """``vehicle_local_position``'s reference.

    Args:
        xy_global: the horizontal reference is valid.
        z_global: the vertical reference is valid.
        ref_lat: [deg].
        ref_lon: [deg].
        ref_alt: above mean sea level [m].
        geoid_height: mean sea level above the ellipsoid [m]: ``alt_ellipsoid - alt`` of ``vehicle_global_position``.

    Raises:
        StateError: ``no_fix`` or ``bad_origin``.
    """
    if not (xy_global and z_global):
        raise StateError("no_fix", "The local position has no global reference yet.")
    return Origin(float(ref_lat), float(ref_lon), float(ref_alt) + float(geoid_height))


def height_from_local_position(
    timestamp_us: int, dist_bottom: float, dist_bottom_valid: bool, variance: float = float("nan")
) -> HeightSample:
    """``vehicle_local_position``'s distance to the ground.

    Args:
        timestamp_us: ``timestamp_sample`` [us].
        dist_bottom: [m].
        dist_bottom_valid: as in the message.
        variance: ``dist_bottom_var`` [m^2], NaN where the message has none.

    Raises:
        StateError: ``height_invalid``, ``not_finite`` or ``bad_height``.
    """
    if not dist_bottom_valid:
        raise StateError("height_invalid", "The distance to the ground is not valid.")
    return HeightSample(int(timestamp_us) * 1000, float(dist_bottom), float(variance))
