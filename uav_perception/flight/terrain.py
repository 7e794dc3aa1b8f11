"""Ground that is not flat: a grid of heights, and where a ray meets it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pymap3d

from uav_perception.flight.errors import FlightError, StateError
from uav_perception.flight.geodesy import Origin

_HGT_VOID = -32768


@dataclass(frozen=True)
class TerrainGrid:
    """Heights on a grid of latitude and longitude.

    Attributes:
        heights: float32, shape (rows, columns) [m], NaN where not known. Rows run from north to south.
        north: latitude of the first row [deg].
        west: longitude of the first column [deg].
        latitude_step: between rows [deg], positive.
        longitude_step: between columns [deg], positive.
        offset: added to all heights [m]; carries them from the file's sea level to the ellipsoid, see `levelled`.
    """

    heights: np.ndarray
    north: float
    west: float
    latitude_step: float
    longitude_step: float
    offset: float = 0.0

    def __post_init__(self) -> None:
        if self.heights.ndim != 2 or min(self.heights.shape) < 2:
            raise FlightError(f"A terrain grid needs 2x2 heights or more, but has the shape {self.heights.shape}.")
        if self.latitude_step <= 0 or self.longitude_step <= 0:
            raise FlightError(
                f"A terrain grid's steps must be positive, but are {self.latitude_step} and {self.longitude_step} deg."
            )

    def at(self, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
        """Height at places, bilinear [m]; NaN outside the grid and beside unknown heights."""
        row = (self.north - np.asarray(latitude, np.float64)) / self.latitude_step
        column = (np.asarray(longitude, np.float64) - self.west) / self.longitude_step
        rows, columns = self.heights.shape
        inside = (row >= 0) & (row <= rows - 1) & (column >= 0) & (column <= columns - 1)
        row, column = np.where(inside, row, 0.0), np.where(inside, column, 0.0)
        top = np.minimum(row.astype(int), rows - 2)
        left = np.minimum(column.astype(int), columns - 2)
        y, x = row - top, column - left
        height = (
            (1 - y) * ((1 - x) * self.heights[top, left] + x * self.heights[top, left + 1])
            + y * ((1 - x) * self.heights[top + 1, left] + x * self.heights[top + 1, left + 1])
        )  # fmt: skip
        return np.where(inside, height + self.offset, np.nan)

    def levelled(self, latitude: float, longitude: float, altitude: float) -> TerrainGrid:
        """The grid shifted so that it has a known height at a known place, best the take-off point.

        That takes out the difference between the file's sea level and the ellipsoid (tens of metres), and the grid's
        own error there.

        Args:
            latitude: [deg].
            longitude: [deg].
            altitude: of the ground there, above the ellipsoid [m].

        Raises:
            StateError: ``terrain_unknown``, the place lies outside the grid.
        """
        height = float(self.at(latitude, longitude))
        if not np.isfinite(height):
            raise StateError(
                "terrain_unknown",
                f"The terrain has no height at {latitude:.5f}, {longitude:.5f}. Give a file that covers the flight.",
            )
        return replace(self, offset=self.offset + altitude - height)


def read_terrain(path: str | Path) -> TerrainGrid:
    """Read a terrain file: SRTM (``N47E008.hgt``) or GeoTIFF in geographic coordinates (needs rasterio).

    Raises:
        FlightError: the file is missing, not of a known kind, or broken.
    """
    path = Path(path)
    if not path.is_file():
        raise FlightError(f"The terrain file {path} does not exist.")
    if path.suffix.lower() == ".hgt":
        return _read_hgt(path)
    if path.suffix.lower() in (".tif", ".tiff"):
        return _read_geotiff(path)
    raise FlightError(f"Unknown kind of terrain file: {path.name}. Known are .hgt and .tif.")


def _read_hgt(path: Path) -> TerrainGrid:
    """SRTM: big-endian int16, the south-west corner in the name, the outermost rows and columns on whole degrees."""
    match = re.fullmatch(r"([NS])(\d{2})([EW])(\d{3})", path.stem.upper())
    if match is None:
        raise FlightError(f"The name of an SRTM file says its corner, like N47E008.hgt, but this one is {path.name}.")
    side = round((path.stat().st_size / 2) ** 0.5)
    if side < 2 or side * side * 2 != path.stat().st_size:
        raise FlightError(f"{path} has {path.stat().st_size} bytes, no square of 16-bit heights. Download it again.")
    raw = np.fromfile(path, ">i2").reshape(side, side)
    south = int(match[2]) * (1 if match[1] == "N" else -1)
    west = int(match[4]) * (1 if match[3] == "E" else -1)
    heights = np.where(raw == _HGT_VOID, np.nan, raw).astype(np.float32)
    return TerrainGrid(heights, south + 1.0, float(west), 1 / (side - 1), 1 / (side - 1))


def _read_geotiff(path: Path) -> TerrainGrid:
    try:
        import rasterio
    except ModuleNotFoundError as error:
        raise FlightError(
            f"Reading {path.name} needs rasterio: `pip install 'uav_perception[terrain]'`, or give an SRTM .hgt file."
        ) from error
    try:
        with rasterio.open(path) as file:
            heights = file.read(1, masked=True).astype(np.float32).filled(np.nan)
            transform, geographic = file.transform, file.crs is not None and file.crs.is_geographic
    except rasterio.errors.RasterioError as error:
        raise FlightError(f"{path} is no readable GeoTIFF: {error}.") from error
    if not geographic or transform.b or transform.d or transform.e >= 0:
        raise FlightError(
            f"{path} is not in latitude and longitude with north up. Convert it: "
            f"`gdalwarp -t_srs EPSG:4326 {path.name} geographic.tif`."
        )
    # The transform gives corners of cells, heights belong to their middles.
    return TerrainGrid(heights, transform.f + transform.e / 2, transform.c + transform.a / 2, -transform.e, transform.a)


class MapTerrain:
    """A terrain grid seen from a map frame.

    Args:
        grid: the heights, levelled to the ellipsoid.
        origin: where the map frame lies.
    """

    def __init__(self, grid: TerrainGrid, origin: Origin) -> None:
        self._grid = grid
        self._origin = origin
        north = 111_320.0  # metres in a degree of latitude, near enough for a step length
        east = north * max(np.cos(np.radians(origin.latitude)), 0.01)
        self._cell = min(grid.latitude_step * north, grid.longitude_step * east)

    def height(self, east: np.ndarray, north: np.ndarray) -> np.ndarray:
        """The ground's z in the map [m], NaN where not known."""
        east, north = np.asarray(east, np.float64), np.asarray(north, np.float64)
        latitude, longitude, ellipsoid = pymap3d.enu2geodetic(
            east, north, np.zeros_like(east), self._origin.latitude, self._origin.longitude, self._origin.altitude
        )
        # A point of the map's plane lies `ellipsoid` high; the ground differs from it along the same vertical.
        return self._grid.at(latitude, longitude) - ellipsoid

    def normal(self, east: float, north: float) -> np.ndarray:
        """A vector upwards from the ground, shape (3,), its z component 1; NaN where not known."""
        step = self._cell / 2
        slope_east = (self.height(east + step, north) - self.height(east - step, north)) / (2 * step)
        slope_north = (self.height(east, north + step) - self.height(east, north - step)) / (2 * step)
        return np.array([-float(slope_east), -float(slope_north), 1.0])

    def meet(self, start: np.ndarray, direction: np.ndarray, max_range: float) -> float | None:
        """How far along a ray the ground is.

        The ray is sampled at half the grid's spacing, then the crossing is bisected to a millimetre.

        Args:
            start: shape (3,) [m].
            direction: shape (3,), any length.
            max_range: [m].

        Returns:
            The distance [m], NaN where the ray leaves the known terrain before it meets ground, None when it meets
            none.
        """
        direction = direction / np.linalg.norm(direction)
        level = max(float(np.hypot(*direction[:2])), 1e-3)
        distances = np.append(np.arange(0.0, max_range, max(self._cell / 2 / level, 0.5)), max_range)
        clearance = self._clearance(start, direction, distances)
        below = np.flatnonzero(clearance <= 0)
        unknown = np.flatnonzero(np.isnan(clearance))
        if len(unknown) and (not len(below) or unknown[0] < below[0]):
            return float("nan")
        if not len(below):
            return None
        near, far = distances[max(below[0] - 1, 0)], distances[below[0]]
        while far - near > 1e-3:
            middle = (near + far) / 2
            if self._clearance(start, direction, np.array([middle]))[0] > 0:
                near = middle
            else:
                far = middle
        return float(far)

    def _clearance(self, start: np.ndarray, direction: np.ndarray, distances: np.ndarray) -> np.ndarray:
        points = start + distances[:, None] * direction
        return points[:, 2] - self.height(points[:, 0], points[:, 1])
