"""The attitude of a MAVLink gimbal, as MAVROS and PX4 pass it on: not converted, its frame told by flags."""

from __future__ import annotations

import numpy as np

from uav_perception.flight.errors import StateError
from uav_perception.flight.frames import attitude_from_frd_frd, attitude_from_ned_frd, optical_attitude
from uav_perception.flight.rotations import normalised
from uav_perception.flight.state import GimbalSample

RETRACT = 1
NEUTRAL = 2
YAW_LOCK = 16
YAW_IN_VEHICLE_FRAME = 32
YAW_IN_EARTH_FRAME = 64


def yaw_reference(flags: int) -> str:
    """What the quaternion's heading counts from.

    By MAVLink's GIMBAL_DEVICE_ATTITUDE_STATUS: one of the two frame flags, or for older senders the yaw lock.

    Args:
        flags: GIMBAL_DEVICE_FLAGS.

    Returns:
        ``"map"`` (north) or ``"heading"`` (the vehicle's nose).

    Raises:
        StateError: ``gimbal_flags``, both frames are claimed at once; ``gimbal_retracted``, the camera is folded away.
    """
    if flags & RETRACT:
        raise StateError("gimbal_retracted", f"The gimbal is retracted (flags {flags}).")
    vehicle, earth = bool(flags & YAW_IN_VEHICLE_FRAME), bool(flags & YAW_IN_EARTH_FRAME)
    if vehicle and earth:
        raise StateError(
            "gimbal_flags", f"The gimbal claims yaw in the vehicle's and in the Earth's frame at once (flags {flags})."
        )
    if vehicle or earth:
        return "map" if earth else "heading"
    return "map" if flags & YAW_LOCK else "heading"


def gimbal_sample(
    stamp_ns: int, quaternion: np.ndarray, flags: int, attitude_covariance: np.ndarray | None = None
) -> GimbalSample:
    """A gimbal's report. Roll and pitch count from the horizon in both frames.

    Args:
        stamp_ns: when [ns].
        quaternion: of the camera's forward-right-down frame, ``x, y, z, w`` (MAVROS's message order; reorder PX4's
            ``q`` with `xyzw_from_wxyz`).
        flags: GIMBAL_DEVICE_FLAGS.
        attitude_covariance: shape (3, 3) [rad^2], None when not known.

    Raises:
        StateError: ``bad_quaternion``, ``gimbal_flags`` or ``gimbal_retracted``.
    """
    reference = yaw_reference(flags)
    quaternion = normalised(quaternion)
    turned = attitude_from_ned_frd(quaternion) if reference == "map" else attitude_from_frd_frd(quaternion)
    return GimbalSample(stamp_ns, optical_attitude(turned), reference, attitude_covariance)
