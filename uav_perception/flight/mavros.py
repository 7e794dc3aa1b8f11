"""From the fields of standard messages (MAVROS, or any odometry) to samples. Frames are ROS's already: ENU and FLU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from uav_perception.flight.errors import StateError
from uav_perception.flight.geodesy import Origin, origin_of
from uav_perception.flight.rotations import matrix, normalised
from uav_perception.flight.state import HeightSample, PoseSample

_NO_FIX = -1  # NavSatStatus.STATUS_NO_FIX


def pose_from_odometry(
    stamp_ns: int,
    position: Sequence[float],
    orientation: Sequence[float],
    covariance: Sequence[float] | None = None,
    body_velocity: Sequence[float] | None = None,
) -> PoseSample:
    """`nav_msgs/Odometry`, `geometry_msgs/PoseStamped` or a tf transform.

    Args:
        stamp_ns: when [ns].
        position: of the body in the map, x, y, z [m].
        orientation: of the body in the map, ``x, y, z, w``.
        covariance: 36 numbers of the pose, row-major, rotations about the map's axes. All zero means not known.
        body_velocity: twist.linear, in the body's frame as REP-105 and MAVROS have it [m/s]. NaN means not known.

    Raises:
        StateError: ``not_finite`` or ``bad_quaternion``.
    """
    orientation = normalised(orientation)
    velocity = None
    if body_velocity is not None and np.isfinite(body_velocity).all():
        velocity = matrix(orientation) @ np.asarray(body_velocity, np.float64)
    blocks = (None, None)
    if covariance is not None:
        full = np.array(covariance, np.float64).reshape(6, 6)
        blocks = (full[:3, :3], full[3:, 3:])
    return PoseSample(stamp_ns, position, orientation, velocity, blocks[0], blocks[1])


def origin_from_fix(
    latitude: float, longitude: float, altitude: float, status: int, position: Sequence[float]
) -> Origin:
    """Where the map's origin lies, from the fused global position and the local one at the same time.

    Args:
        latitude: `NavSatFix` of ``global_position/global`` [deg].
        longitude: [deg].
        altitude: above the ellipsoid, as NavSatFix has it [m].
        status: ``NavSatFix.status.status``.
        position: the vehicle's local position at the fix's stamp, east, north, up [m].

    Raises:
        StateError: ``no_fix`` or ``bad_origin``.
    """
    if status <= _NO_FIX:
        raise StateError("no_fix", f"The global position has no fix (status {status}).")
    return origin_of(latitude, longitude, altitude, position)


def height_from_range(
    stamp_ns: int,
    distance: float,
    limits: tuple[float, float],
    orientation: Sequence[float],
    variance: float = float("nan"),
) -> HeightSample:
    """`sensor_msgs/Range` of a range finder fixed to the body and looking down, made level.

    Args:
        stamp_ns: when [ns].
        distance: range [m].
        limits: min_range and max_range [m].
        orientation: of the body in the map at that time, ``x, y, z, w``.
        variance: of the distance [m^2]; NaN when not known.

    Raises:
        StateError: ``range_out_of_limits`` (REP-117 sends infinities then), ``not_finite`` or ``tilted``.
    """
    if not limits[0] <= distance <= limits[1]:
        raise StateError(
            "range_out_of_limits", f"The range of {distance:g} m lies outside {limits[0]:g}..{limits[1]:g} m."
        )
    down = float(matrix(normalised(orientation))[2, 2])
    if down < 0.5:
        raise StateError(
            "tilted", f"The range finder looks {np.degrees(np.arccos(down)):.0f} deg away from straight down."
        )
    return HeightSample(stamp_ns, distance * down, variance * down**2)


def height_from_relative_altitude(stamp_ns: int, altitude: float, variance: float = float("nan")) -> HeightSample:
    """``global_position/rel_alt``, the height above home, taken as height above ground: right where the ground is
    level.

    Raises:
        StateError: ``not_finite``; ``bad_height`` when it is below home by more than the noise of a barometer.
    """
    if -1.0 < altitude < 0.0:
        altitude = 0.0
    return HeightSample(stamp_ns, altitude, variance)
