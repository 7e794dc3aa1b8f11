import numpy as np
import pytest

from uav_perception.flight.errors import FlightError
from uav_perception.flight.geodesy import Origin
from uav_perception.flight.terrain import MapTerrain, TerrainGrid, read_terrain

ORIGIN = Origin(47.5, 8.5, 100.0)


def hilly() -> TerrainGrid:
    rows = np.arange(101)
    heights = 100 + 30 * np.sin(rows / 9)[:, None] * np.cos(rows / 7)[None, :]
    return TerrainGrid(heights.astype(np.float32), 47.51, 8.49, 2e-4, 2e-4)


def test_heights_are_bilinear():
    grid = TerrainGrid(np.array([[0, 10], [20, 40]], np.float32), 47.0, 8.0, 1.0, 1.0)
    assert grid.at(47.0, 8.0) == 0
    assert grid.at(46.0, 9.0) == 40
    assert grid.at(46.5, 8.5) == pytest.approx(17.5)
    assert np.isnan(grid.at([47.1, 46.5], [8.5, 9.2])).all()


def test_levelling_takes_out_the_geoid():
    grid = hilly().levelled(47.5, 8.5, 480.0)
    assert grid.at(47.5, 8.5) == pytest.approx(480.0)
    assert grid.at(47.501, 8.501) - 480 == pytest.approx(hilly().at(47.501, 8.501) - hilly().at(47.5, 8.5), abs=1e-4)
    with pytest.raises(FlightError, match=r"no height at 10\.00000, 8\.50000"):
        hilly().levelled(10.0, 8.5, 0.0)


@pytest.mark.parametrize("azimuth", [0, 70, 200])
@pytest.mark.parametrize("down", [10, 30, 80])
def test_rays_meet_the_ground_where_a_slow_search_says(azimuth, down):
    terrain = MapTerrain(hilly(), ORIGIN)
    start = np.array([20.0, -30.0, 90.0])
    a, d = np.radians([azimuth, down])
    direction = np.array([np.sin(a) * np.cos(d), np.cos(a) * np.cos(d), -np.sin(d)])
    found = terrain.meet(start, direction, 800.0)
    distances = np.arange(0, 800, 0.02)
    points = start + distances[:, None] * direction
    clearance = points[:, 2] - terrain.height(points[:, 0], points[:, 1])
    below = np.flatnonzero(clearance <= 0)
    assert found == pytest.approx(distances[below[0]], abs=0.05)


@pytest.mark.parametrize("distance", [3.0, 20.0, 119.9])
def test_a_ray_straight_down_meets_the_ground_within_one_cell(distance):
    """Cells of 900 m, as far as the ray could go: the ground lies between the first sample and the end."""
    flat = MapTerrain(TerrainGrid(np.full((3, 3), 100, np.float32), 47.51, 8.49, 0.01, 0.01), ORIGIN)
    start = np.array([0.0, 0.0, distance])
    assert flat.meet(start, np.array([0.0, 0.0, -1.0]), 120.0) == pytest.approx(distance, abs=2e-3)
    assert flat.meet(start, np.array([0.01, 0.0, -1.0]), 120.0) == pytest.approx(distance, abs=1e-2)
    assert flat.meet(np.array([0.0, 0.0, distance + 200.0]), np.array([0.0, 0.0, -1.0]), 120.0) is None


def test_rays_that_meet_nothing():
    terrain = MapTerrain(hilly(), ORIGIN)
    start = np.array([0.0, 0.0, 90.0])
    assert terrain.meet(start, np.array([0, 0, 1.0]), 100.0) is None
    assert np.isnan(terrain.meet(start, np.array([1, 0, 0.0]), 3000.0))


def test_normal_of_a_plane():
    columns = np.arange(101) * 2e-4 * 111_320 * np.cos(np.radians(47.5))
    plane = TerrainGrid(np.tile((0.2 * columns).astype(np.float32), (101, 1)), 47.51, 8.49, 2e-4, 2e-4)
    normal = MapTerrain(plane, ORIGIN).normal(0.0, 0.0)
    np.testing.assert_allclose(normal, [-0.2, 0, 1], atol=2e-3)


def test_srtm_files(tmp_path):
    heights = np.arange(121 * 121, dtype=np.int16).reshape(121, 121) % 3000
    heights[60, 60] = -32768
    path = tmp_path / "S03W071.hgt"
    heights.astype(">i2").tofile(path)
    grid = read_terrain(path)
    assert grid.at(-2.0, -71.0) == heights[0, 0]
    assert grid.at(-3.0, -70.0) == heights[120, 120]
    assert grid.at(-2.25, -70.5) == pytest.approx(heights[30, 60], abs=0.01)
    assert np.isnan(grid.at(-2.5, -70.5))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("terrain.hgt", b"1234", "N47E008.hgt, but this one is terrain.hgt"),
        ("N47E008.hgt", b"12345678901", "11 bytes, no square"),
        ("N47E008.dem", b"", "Unknown kind of terrain file: N47E008.dem"),
    ],
)
def test_broken_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FlightError, match=message):
        read_terrain(tmp_path / name)
    with pytest.raises(FlightError, match="does not exist"):
        read_terrain(tmp_path / "missing.hgt")


def test_geotiff(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    heights = np.arange(30 * 40, dtype=np.float32).reshape(30, 40)
    heights[5, 5] = -9999
    path = tmp_path / "terrain.tif"
    corner = rasterio.transform.from_origin(8.0, 47.0, 0.001, 0.002)
    profile = {"driver": "GTiff", "height": 30, "width": 40, "count": 1, "dtype": "float32", "nodata": -9999}
    with rasterio.open(path, "w", crs="EPSG:4326", transform=corner, **profile) as file:
        file.write(heights, 1)
    grid = read_terrain(path)
    assert grid.at(47.0 - 0.001, 8.0 + 0.0005) == 0  # the middle of the first cell
    assert grid.at(47.0 - 0.021, 8.0 + 0.0205) == pytest.approx(heights[10, 20], abs=0.01)
    assert np.isnan(grid.at(47.0 - 0.011, 8.0 + 0.0055))
    with rasterio.open(path, "w", crs="EPSG:32632", transform=corner, **profile) as file:
        file.write(heights, 1)
    with pytest.raises(FlightError, match="EPSG:4326"):
        read_terrain(path)
    path.write_bytes(b"no tiff")
    with pytest.raises(FlightError, match="no readable GeoTIFF"):
        read_terrain(path)


def test_wrong_grids():
    with pytest.raises(FlightError, match=r"\(1, 5\)"):
        TerrainGrid(np.zeros((1, 5), np.float32), 0, 0, 1, 1)
    with pytest.raises(FlightError, match="must be positive"):
        TerrainGrid(np.zeros((5, 5), np.float32), 0, 0, -1, 1)
