"""Unit quaternions in ROS's order ``x, y, z, w``, and rotation matrices."""

from __future__ import annotations

import numpy as np

from uav_perception.flight.errors import StateError

_SMALLEST_NORM = 0.5  # a unit quaternion sent as float32 is within 1e-6 of 1; half is no rounding error


def normalised(quaternion: np.ndarray) -> np.ndarray:
    """A quaternion brought to length 1.

    Raises:
        StateError: ``bad_quaternion``, when it is not finite or its length is nowhere near 1 (drivers send zeros before
            they know their attitude).
    """
    quaternion = np.asarray(quaternion, np.float64).reshape(-1)
    norm = float(np.linalg.norm(quaternion)) if quaternion.shape == (4,) else float("nan")
    if not _SMALLEST_NORM < norm < 1 / _SMALLEST_NORM:
        raise StateError(
            "bad_quaternion", f"The attitude {quaternion.tolist()} is no unit quaternion (length {norm:g})."
        )
    return quaternion / norm


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The rotation ``b`` followed by ``a``, both ``x, y, z, w``."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return np.array(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ]
    )


def inverse(quaternion: np.ndarray) -> np.ndarray:
    """The opposite rotation."""
    return np.asarray(quaternion) * [-1.0, -1.0, -1.0, 1.0]


def matrix(quaternion: np.ndarray) -> np.ndarray:
    """Rotation matrix, shape (3, 3), of a unit quaternion."""
    x, y, z, w = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def from_matrix(rotation: np.ndarray) -> np.ndarray:
    """Unit quaternion with ``w >= 0`` of a rotation matrix.

    The eigenvector of the largest eigenvalue of Bar-Itzhack's symmetric matrix (Journal of Guidance 23(6), 2000, eq.
    11), which has no special cases.
    """
    r = np.asarray(rotation, np.float64)
    symmetric = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], r[1, 0] + r[0, 1], r[2, 0] + r[0, 2], r[2, 1] - r[1, 2]],
            [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], r[2, 1] + r[1, 2], r[0, 2] - r[2, 0]],
            [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r[0, 0] + r[1, 1] + r[2, 2]],
        ]
    )
    quaternion = np.linalg.eigh(symmetric)[1][:, -1]
    return quaternion if quaternion[3] >= 0 else -quaternion


def from_rotation_vector(vector: np.ndarray) -> np.ndarray:
    """Unit quaternion of a rotation by ``|vector|`` [rad] about ``vector``."""
    vector = np.asarray(vector, np.float64)
    angle = float(np.linalg.norm(vector))
    # sinc keeps the limit at angle 0: sin(angle / 2) / angle = sinc(angle / 2 pi) / 2.
    return np.append(vector * np.sinc(angle / (2 * np.pi)) / 2, np.cos(angle / 2))


def rotation_vector(quaternion: np.ndarray) -> np.ndarray:
    """Axis times angle [rad], the angle between 0 and pi."""
    quaternion = np.asarray(quaternion, np.float64)
    quaternion = quaternion if quaternion[3] >= 0 else -quaternion
    sine = float(np.linalg.norm(quaternion[:3]))
    angle = 2 * np.arctan2(sine, quaternion[3])
    return quaternion[:3] * (angle / sine if sine > 1e-12 else 2.0)


def from_roll_pitch_yaw(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """Rotations [rad] about the fixed axes x, then y, then z (REP-103)."""
    half = np.array([roll, pitch, yaw]) / 2
    (sr, sp, sy), (cr, cp, cy) = np.sin(half), np.cos(half)
    about_x, about_y, about_z = np.array([sr, 0, 0, cr]), np.array([0, sp, 0, cp]), np.array([0, 0, sy, cy])
    return multiply(about_z, multiply(about_y, about_x))


def roll_pitch_yaw(rotation: np.ndarray) -> tuple[float, float, float]:
    """The angles [rad] of which :func:`from_roll_pitch_yaw` makes a rotation matrix, pitch within a right angle.

    Straight up or down, where roll and yaw turn about the same axis, all of it counts as yaw.
    """
    r = np.asarray(rotation, np.float64)
    level = float(np.hypot(r[0, 0], r[1, 0]))
    pitch = float(np.arctan2(-r[2, 0], level))
    if level < 1e-6:
        return 0.0, pitch, float(np.arctan2(-r[0, 1], r[1, 1]))
    return float(np.arctan2(r[2, 1], r[2, 2])), pitch, float(np.arctan2(r[1, 0], r[0, 0]))


def yaw_of(quaternion: np.ndarray) -> float:
    """Heading of the rotated x axis [rad], from the first reference axis towards the second."""
    x, y, z, w = quaternion
    return float(np.arctan2(2 * (x * y + z * w), 1 - 2 * (y * y + z * z)))


def slerp(a: np.ndarray, b: np.ndarray, fraction: float) -> np.ndarray:
    """The attitude ``fraction`` of the way from ``a`` to ``b`` along the shorter arc; beyond 0..1 the turn goes on."""
    return multiply(from_rotation_vector(rotation_vector(multiply(b, inverse(a))) * fraction), a)


def skew(vector: np.ndarray) -> np.ndarray:
    """The matrix S with ``S @ v == cross(vector, v)``, shape (3, 3)."""
    x, y, z = vector
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
