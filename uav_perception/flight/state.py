"""What is known of the vehicle, in ROS's frames, whichever autopilot said it.

Samples are what adapters make of single messages; a `VehicleState` is what the buffer makes of them for the stamp of
an image. The map frame is east, north, up (REP-103, REP-105); the body is forward, left, up.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from uav_perception.flight.errors import StateError
from uav_perception.flight.geodesy import Origin
from uav_perception.flight.rotations import normalised


def _finite(values: object, size: int, what: str) -> np.ndarray:
    array = np.array(values, np.float64).reshape(-1)
    if array.shape != (size,) or not np.isfinite(array).all():
        raise StateError("not_finite", f"The {what} must be {size} finite numbers, but is {array.tolist()}.")
    return array


def _covariance(values: object) -> np.ndarray | None:
    """A covariance, or None when the sender does not know it (NaN, negative, or all zero as many drivers leave it)."""
    if values is None:
        return None
    matrix = np.array(values, np.float64).reshape(3, 3)
    if not np.isfinite(matrix).all() or not matrix.any() or (np.diag(matrix) < 0).any():
        return None
    return (matrix + matrix.T) / 2


@dataclass(frozen=True)
class PoseSample:
    """Where the vehicle was.

    Attributes:
        stamp_ns: when [ns].
        position: east, north, up in the map [m], shape (3,).
        orientation: body to map, ``x, y, z, w``.
        velocity: east, north, up [m/s], shape (3,); None when not known.
        position_covariance: shape (3, 3) [m^2]; None when not known.
        attitude_covariance: of a small rotation about the map's axes, shape (3, 3) [rad^2]; None when not known.
        reset_counter: changes when the estimator jumps (PX4); 0 where there is none.

    Raises:
        StateError: ``not_finite`` or ``bad_quaternion``.
    """

    stamp_ns: int
    position: np.ndarray
    orientation: np.ndarray
    velocity: np.ndarray | None = None
    position_covariance: np.ndarray | None = None
    attitude_covariance: np.ndarray | None = None
    reset_counter: int = 0

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "position", _finite(self.position, 3, "position"))
        set_(self, "orientation", normalised(self.orientation))
        if self.velocity is not None:
            set_(self, "velocity", _finite(self.velocity, 3, "velocity"))
        set_(self, "position_covariance", _covariance(self.position_covariance))
        set_(self, "attitude_covariance", _covariance(self.attitude_covariance))


@dataclass(frozen=True)
class HeightSample:
    """How high the vehicle was above the ground right below it.

    Attributes:
        stamp_ns: when [ns].
        height: [m], positive.
        variance: [m^2], NaN when not known.

    Raises:
        StateError: ``not_finite`` or ``bad_height``.
    """

    stamp_ns: int
    height: float
    variance: float = float("nan")

    def __post_init__(self) -> None:
        _finite([self.height], 1, "height above ground")
        if self.height < 0:
            raise StateError("bad_height", f"The height above ground is {self.height:g} m, below zero.")


@dataclass(frozen=True)
class GimbalSample:
    """How the camera was turned.

    Attributes:
        stamp_ns: when [ns].
        orientation: optical frame to the reference, ``x, y, z, w``.
        reference: ``"map"``, or ``"heading"``: level, its x axis where the vehicle's nose points.
        attitude_covariance: of a small rotation about the map's axes, shape (3, 3) [rad^2]; None when not known.

    Raises:
        StateError: ``bad_quaternion``.
    """

    stamp_ns: int
    orientation: np.ndarray
    reference: str = "map"
    attitude_covariance: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.reference not in ("map", "heading"):
            raise ValueError(f"Expected `reference` to be 'map' or 'heading', but got {self.reference!r}.")
        object.__setattr__(self, "orientation", normalised(self.orientation))
        object.__setattr__(self, "attitude_covariance", _covariance(self.attitude_covariance))


@dataclass(frozen=True)
class VehicleState:
    """The vehicle at one moment.

    Attributes:
        stamp_ns: the moment [ns].
        position: east, north, up in the map [m], shape (3,).
        orientation: body to map, ``x, y, z, w``.
        velocity: east, north, up [m/s], shape (3,).
        angular_velocity: about the map's axes [rad/s], shape (3,).
        position_covariance: shape (3, 3) [m^2]; None when not known.
        attitude_covariance: of a small rotation about the map's axes, shape (3, 3) [rad^2]; None when not known.
        height_above_ground: [m]; None when not known.
        height_variance: [m^2]; None when not known.
        camera_orientation: optical frame to map as the gimbal says, ``x, y, z, w``; None without a gimbal.
        camera_angular_velocity: about the map's axes [rad/s], shape (3,).
        camera_attitude_covariance: as ``attitude_covariance``, of the camera; None when not known.
        origin: where the map's origin lies on Earth; None when not known.
        epoch: counts jumps of the map frame. Places of different epochs cannot be compared.
    """

    stamp_ns: int
    position: np.ndarray
    orientation: np.ndarray
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(3))
    angular_velocity: np.ndarray = field(default_factory=lambda: np.zeros(3))
    position_covariance: np.ndarray | None = None
    attitude_covariance: np.ndarray | None = None
    height_above_ground: float | None = None
    height_variance: float | None = None
    camera_orientation: np.ndarray | None = None
    camera_angular_velocity: np.ndarray = field(default_factory=lambda: np.zeros(3))
    camera_attitude_covariance: np.ndarray | None = None
    origin: Origin | None = None
    epoch: int = 0
