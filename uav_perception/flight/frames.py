"""Conversions between the frames of autopilots and those of ROS.

Autopilots: north-east-down (NED) and forward-right-down (FRD), quaternions ``w, x, y, z``. ROS (REP-103):
    east-north-up (ENU),
forward-left-up (FLU), optical frames right-down-ahead, quaternions ``x, y, z, w``.
"""

from __future__ import annotations

import numpy as np

from uav_perception.flight.rotations import multiply

NED_TO_ENU = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]])
"""Rotates coordinates in NED to coordinates in ENU; its own inverse."""

FRD_TO_FLU = np.diag([1.0, -1.0, -1.0])
"""Rotates coordinates in FRD to coordinates in FLU; its own inverse."""

OPTICAL_TO_FLU = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
"""Rotates coordinates in an optical frame to coordinates in the forward-left-up frame of the same camera."""

_HALF = np.sqrt(0.5)
_Q_NED_TO_ENU = np.array([_HALF, _HALF, 0.0, 0.0])
_Q_FRD_TO_FLU = np.array([1.0, 0.0, 0.0, 0.0])
_Q_OPTICAL_TO_FLU = np.array([-0.5, 0.5, -0.5, 0.5])


def xyzw_from_wxyz(quaternion: np.ndarray) -> np.ndarray:
    """PX4's and MAVLink's order to ROS's."""
    return np.roll(np.asarray(quaternion, np.float64), -1)


def wxyz_from_xyzw(quaternion: np.ndarray) -> np.ndarray:
    """ROS's order to PX4's and MAVLink's."""
    return np.roll(np.asarray(quaternion, np.float64), 1)


def enu_from_ned(vectors: np.ndarray) -> np.ndarray:
    """Vectors, shape (..., 3), from NED to ENU. Also the way back."""
    return np.asarray(vectors, np.float64)[..., [1, 0, 2]] * [1.0, 1.0, -1.0]


def flu_from_frd(vectors: np.ndarray) -> np.ndarray:
    """Vectors, shape (..., 3), from FRD to FLU. Also the way back."""
    return np.asarray(vectors, np.float64) * [1.0, -1.0, -1.0]


def enu_covariance_from_ned(covariance: np.ndarray) -> np.ndarray:
    """Covariance, shape (3, 3), of a vector in NED to that in ENU. Also the way back."""
    return NED_TO_ENU @ np.asarray(covariance, np.float64) @ NED_TO_ENU.T


def attitude_from_ned_frd(quaternion: np.ndarray) -> np.ndarray:
    """Attitude of FRD in NED to that of FLU in ENU, both ``x, y, z, w``. Also the way back.

    ``q_ENU<-FLU = q(pi, 0, pi/2) * q_NED<-FRD * q(pi, 0, 0)``.
    """
    return multiply(_Q_NED_TO_ENU, multiply(quaternion, _Q_FRD_TO_FLU))


def attitude_from_frd_frd(quaternion: np.ndarray) -> np.ndarray:
    """Attitude of one FRD frame in another to that of the FLU frames, both ``x, y, z, w``. Also the way back."""
    return multiply(_Q_FRD_TO_FLU, multiply(quaternion, np.asarray(_Q_FRD_TO_FLU) * [-1.0, -1.0, -1.0, 1.0]))


def optical_attitude(quaternion: np.ndarray) -> np.ndarray:
    """Attitude of a camera's forward-left-up frame to that of its optical frame, in the same reference."""
    return multiply(quaternion, _Q_OPTICAL_TO_FLU)
