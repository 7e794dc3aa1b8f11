"""Between a local map frame (east, north, up) and WGS84."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pymap3d

from uav_perception.flight.errors import StateError


@dataclass(frozen=True)
class Origin:
    """Where the map frame's origin lies.

    Attributes:
        latitude: WGS84 [deg].
        longitude: WGS84 [deg].
        altitude: height above the WGS84 ellipsoid [m] (not above mean sea level).

    Raises:
        StateError: ``bad_origin``, when a value is not finite or out of its range.
    """

    latitude: float
    longitude: float
    altitude: float

    def __post_init__(self) -> None:
        values = (self.latitude, self.longitude, self.altitude)
        if not np.isfinite(values).all() or abs(self.latitude) > 90 or abs(self.longitude) > 180:
            raise StateError("bad_origin", f"Latitude, longitude and altitude {values} are no place on Earth.")


def to_wgs84(origin: Origin, position: np.ndarray) -> tuple[float, float, float]:
    """Latitude [deg], longitude [deg] and height above the ellipsoid [m] of a position east, north, up [m]."""
    east, north, up = (float(value) for value in position)
    found = pymap3d.enu2geodetic(east, north, up, origin.latitude, origin.longitude, origin.altitude)
    return tuple(float(value) for value in found)


def to_map(origin: Origin, latitude: float, longitude: float, altitude: float) -> np.ndarray:
    """Position east, north, up [m], shape (3,), of a place on WGS84."""
    return np.array(
        pymap3d.geodetic2enu(latitude, longitude, altitude, origin.latitude, origin.longitude, origin.altitude), float
    )


def origin_of(latitude: float, longitude: float, altitude: float, position: np.ndarray) -> Origin:
    """The origin of the map in which a place known on WGS84 has a given position.

    For autopilots that publish a global fix and a local position, but not the origin that joins them.

    Args:
        latitude: of the vehicle [deg].
        longitude: of the vehicle [deg].
        altitude: of the vehicle, above the ellipsoid [m].
        position: of the vehicle in the map, east, north, up [m].

    Raises:
        StateError: ``bad_origin``, when a value is not finite or out of its range.
    """
    Origin(latitude, longitude, altitude)
    position = np.asarray(position, np.float64)
    if not np.isfinite(position).all():
        raise StateError("bad_origin", f"The local position {position.tolist()} is not finite.")
    guess = Origin(*to_wgs84(Origin(latitude, longitude, altitude), -position))
    # The axes turn a little between the two places; each round shrinks the rest by distance over the Earth's radius.
    for _ in range(3):
        rest = to_map(guess, latitude, longitude, altitude) - position
        guess = Origin(*to_wgs84(guess, rest))
    return guess
