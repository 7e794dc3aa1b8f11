import numpy as np
import pytest

from uav_perception.flight.errors import StateError
from uav_perception.flight.geodesy import Origin, origin_of, to_map, to_wgs84

ZURICH = Origin(47.3977, 8.5456, 488.0)
RADIUS, FLATTENING = 6378137.0, 1 / 298.257223563


def ecef(latitude: float, longitude: float, altitude: float) -> np.ndarray:
    """WGS84's defining formulas."""
    phi, lam = np.radians([latitude, longitude])
    e2 = FLATTENING * (2 - FLATTENING)
    n = RADIUS / np.sqrt(1 - e2 * np.sin(phi) ** 2)
    return np.array(
        [
            (n + altitude) * np.cos(phi) * np.cos(lam),
            (n + altitude) * np.cos(phi) * np.sin(lam),
            (n * (1 - e2) + altitude) * np.sin(phi),
        ]
    )


def test_against_the_defining_formulas():
    phi, lam = np.radians([ZURICH.latitude, ZURICH.longitude])
    east = np.array([-np.sin(lam), np.cos(lam), 0])
    up = np.array([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])
    axes = np.stack([east, np.cross(up, east), up])
    position = np.array([350.0, -1200.0, 40.0])
    place = ecef(ZURICH.latitude, ZURICH.longitude, ZURICH.altitude) + axes.T @ position
    np.testing.assert_allclose(ecef(*to_wgs84(ZURICH, position)), place, atol=1e-6)
    np.testing.assert_allclose(to_map(ZURICH, *to_wgs84(ZURICH, position)), position, atol=1e-6)


@pytest.mark.parametrize("position", [[0, 0, 0], [120, -40, 30], [5000, 8000, 100]])
def test_the_origin_is_found_from_a_fix(position):
    found = origin_of(*to_wgs84(ZURICH, position), position)
    np.testing.assert_allclose(to_map(ZURICH, found.latitude, found.longitude, found.altitude), 0, atol=1e-4)


@pytest.mark.parametrize("values", [(91, 0, 0), (0, 200, 0), (np.nan, 0, 0), (0, 0, np.inf)])
def test_no_place_on_earth(values):
    with pytest.raises(StateError, match="no place on Earth") as caught:
        Origin(*values)
    assert caught.value.reason == "bad_origin"


def test_no_origin_without_a_position():
    with pytest.raises(StateError, match="not finite"):
        origin_of(47.0, 8.0, 400.0, [np.nan, 0, 0])
