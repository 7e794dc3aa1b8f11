import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from uav_perception.flight.camera import CameraModel
from uav_perception.flight.errors import FlightError, StateError
from uav_perception.flight.frames import OPTICAL_TO_FLU
from uav_perception.flight.geodesy import Origin
from uav_perception.flight.geolocation import (
    ATTITUDE,
    HEIGHT,
    POSITION,
    TIME,
    GeolocationOptions,
    Geolocator,
    Mount,
    camera_pose,
    error_radius,
)
from uav_perception.flight.rotations import from_matrix
from uav_perception.flight.state import VehicleState
from uav_perception.flight.terrain import TerrainGrid

CAMERA = CameraModel(640, 384, [[460.0, 0, 319.5], [0, 460, 191.5], [0, 0, 1]], "plumb_bob", [-0.05, 0.01, 0, 0, 0])
CHI2_95 = -2 * np.log(0.05)


def mount(down_deg: float, **more) -> Mount:
    return Mount(roll_pitch_yaw=(0.0, np.radians(down_deg), 0.0), **more)


def vehicle(position=(3.0, -4.0, 25.0), turn=(20.0, 3.0, -4.0), **more) -> VehicleState:
    orientation = Rotation.from_euler("ZYX", turn, degrees=True).as_quat()
    return VehicleState(0, np.array(position, float), orientation, **more)


def pixel_box(pose, place, half: float = 5.0) -> np.ndarray:
    """A box whose lower edge's middle is where a map point is seen."""
    u, v = CAMERA.project([pose.rotation.T @ (np.asarray(place, float) - pose.position)])[0] + 0.5
    return np.array([u - half, v - 2 * half, u + half, v])


def target_ahead(state: VehicleState, camera_mount: Mount) -> np.ndarray:
    """The ground under the middle of the image."""
    pose = camera_pose(state, camera_mount)
    axis = pose.rotation[:, 2]
    return pose.position - axis / axis[2] * pose.position[2]


@pytest.mark.parametrize("offset", [(0, 0), (6, 2), (-5, 4), (3, -4)])
@pytest.mark.parametrize("translation", [(0, 0, 0), (0.3, -0.1, -0.2)])
def test_a_place_is_found_again(offset, translation):
    state, camera_mount = vehicle(), mount(45, translation=translation)
    place = target_ahead(state, camera_mount) + np.array([*offset, 0])
    pose = camera_pose(state, camera_mount)
    found = Geolocator(CAMERA, camera_mount).locate([pixel_box(pose, place)], [0], state)
    np.testing.assert_allclose(found.places[0].position, place, atol=1e-5)
    assert not found.refusals


def test_a_gimbal_says_where_the_camera_looks():
    look = Rotation.from_euler("ZYX", [70, 40, 0], degrees=True).as_matrix() @ OPTICAL_TO_FLU
    state = vehicle(camera_orientation=from_matrix(look))
    camera_mount = Mount(gimbal=True, translation=(0.1, 0, -0.1))
    place = target_ahead(state, camera_mount)
    box = pixel_box(camera_pose(state, camera_mount), place)
    found = Geolocator(CAMERA, camera_mount).locate([box], [0], state)
    np.testing.assert_allclose(found.places[0].position, place, atol=1e-5)
    with pytest.raises(StateError, match="no gimbal attitude") as caught:
        Geolocator(CAMERA, camera_mount).locate([box], [0], vehicle())
    assert caught.value.reason == "no_gimbal"


def test_height_above_ground_places_on_ground_that_lies_lower():
    options = GeolocationOptions(method="height_above_ground")
    state, camera_mount = vehicle(height_above_ground=37.0), mount(45)
    pose = camera_pose(state, camera_mount)
    axis = pose.rotation[:, 2]
    place = pose.position - axis / axis[2] * 37
    found = Geolocator(CAMERA, camera_mount, options).locate([pixel_box(pose, place)], [0], state).places[0]
    np.testing.assert_allclose(found.position, place, atol=1e-5)
    assert found.position[2] == pytest.approx(-12)
    with pytest.raises(StateError, match="height above ground") as caught:
        Geolocator(CAMERA, camera_mount, options).locate([pixel_box(pose, place)], [0], vehicle())
    assert caught.value.reason == "no_height"


def test_objects_of_known_height_are_placed_by_their_middle():
    """A van 2 m high, 5 m long, seen along its length: the box's lower edge is its near end, 2.5 m off."""
    state, camera_mount = vehicle(turn=(0, 0, 0), position=(0, 0, 25)), mount(60)
    pose = camera_pose(state, camera_mount)
    middle = target_ahead(state, camera_mount)
    corners = np.array([[x, y, z] for x in (-2.5, 2.5) for y in (-1, 1) for z in (0, 2)]) + middle
    seen = CAMERA.project((corners - pose.position) @ pose.rotation) + 0.5
    box = [*seen.min(axis=0), *seen.max(axis=0)]
    by_edge = Geolocator(CAMERA, camera_mount).locate([box], [3], state).places[0].position
    options = GeolocationOptions(object_heights={3: 2.0})
    by_middle = Geolocator(CAMERA, camera_mount, options).locate([box], [3], state).places[0].position
    assert np.linalg.norm(by_edge - middle) > 2.0
    assert np.linalg.norm(by_middle - middle) < 0.25
    assert by_middle[2] == pytest.approx(0)


@pytest.mark.parametrize(
    ("down", "position", "reason"),
    [
        (3, (0, 0, 25), "horizon"),
        (-20, (0, 0, 25), "horizon"),
        (6, (0, 0, 60), "range"),
        (45, (0, 0, -1), "below_ground"),
    ],
)
def test_refusals(down, position, reason):
    state = vehicle(position=position, turn=(0, 0, 0))
    middle = [310.0, 182, 330, 192]
    found = Geolocator(CAMERA, mount(down)).locate([middle, middle], [0, 0], state)
    assert found.places == [None, None]
    assert found.refusals == {reason: 2}


def test_pixels_outside_of_the_lens_are_refused():
    barrel = CameraModel(640, 384, [[300.0, 0, 319.5], [0, 300, 191.5], [0, 0, 1]], "plumb_bob", [-0.4, 0, 0, 0, 0])
    found = Geolocator(barrel, mount(45)).locate([[3, 300, 20, 380]], [0], vehicle())
    assert found.refusals == {"undistortion": 1}


def test_the_depth_of_an_object_of_unknown_height_is_uncertain():
    """A box 92 px wide at 25 / sin(45 deg) = 35.4 m is 7.07 m wide; 0.4 of it is added, for the lower edge only."""
    box, sizes = [[274, 182, 366, 192]], {}
    for name, known in (("edge", {}), ("middle", {0: 1e-6})):
        options = GeolocationOptions(object_heights=known, pixel_std=0.0, anchor_std=0.0)
        camera = CameraModel(640, 384, [[460.0, 0, 319.5], [0, 460, 191.5], [0, 0, 1]])
        state = vehicle((0, 0, 25), (0, 0, 0))
        sizes[name] = Geolocator(camera, mount(45), options).locate(box, [0], state).places[0].noise
    np.testing.assert_allclose(sizes["middle"][:2, :2], np.eye(2) * 0.2**2, atol=1e-9)
    wide = 92 * 25 / np.sin(np.pi / 4) / 460
    np.testing.assert_allclose(sizes["edge"][:2, :2], np.eye(2) * (0.2**2 + (0.4 * wide) ** 2), rtol=1e-3)


@pytest.mark.parametrize(
    ("box", "by_edge", "by_middle"),
    [
        ((0, 100, 50, 150), 1, 1),
        ((590, 100, 640, 150), 1, 1),
        ((100, 350, 150, 384), 1, 1),
        ((100, 0, 150, 150), 0, 1),
        ((100, 100, 150, 150), 0, 0),
    ],
)
def test_boxes_cut_off_by_the_edge_of_the_image_are_refused(box, by_edge, by_middle):
    """By the lower edge the upper one does not matter, by the middle all four do."""
    options = GeolocationOptions(object_heights={1: 1.5})
    for class_id, refused in ((0, by_edge), (1, by_middle)):
        found = Geolocator(CAMERA, mount(45), options).locate([box], [class_id], vehicle())
        assert found.refusals["cut_off"] == refused


def moved(state: VehicleState, theta: np.ndarray) -> VehicleState:
    """The state with errors added: attitude about the map's axes, position, and time."""
    seconds = theta[TIME]
    turn = Rotation.from_rotvec(theta[ATTITUDE]) * Rotation.from_rotvec(state.angular_velocity * seconds)
    return VehicleState(
        0,
        state.position + theta[POSITION] + state.velocity * seconds,
        (turn * Rotation.from_quat(state.orientation)).as_quat(),
        state.velocity,
        state.angular_velocity,
        height_above_ground=None if state.height_above_ground is None else state.height_above_ground + theta[HEIGHT],
        origin=state.origin,
    )


@pytest.mark.parametrize("method", ["flat_plane", "height_above_ground"])
def test_the_jacobian_equals_differences(method):
    state = vehicle(
        velocity=np.array([8.0, -3, 1]), angular_velocity=np.array([0.1, -0.3, 0.5]), height_above_ground=24.0
    )
    camera_mount = mount(40, translation=(0.5, 0.2, -0.3))
    box = np.array([400.0, 100, 420, 150])

    def place(theta):
        options = GeolocationOptions(method=method, ground_z=theta[HEIGHT] if method == "flat_plane" else 0.0)
        return Geolocator(CAMERA, camera_mount, options).locate([box], [0], moved(state, theta)).places[0]

    found = place(np.zeros(8))
    for i, step in enumerate(np.eye(8) * 1e-5):
        difference = (place(step).position - place(-step).position) / 2e-5
        np.testing.assert_allclose(found.jacobian[:, i], difference, atol=2e-3 * max(1, np.abs(difference).max()))


@pytest.mark.parametrize(("height", "depression"), [(50, 30), (25, 45), (100, 60)])
def test_the_closed_form_error_budget(height, depression):
    """dx/dtheta = h / sin^2(theta), dx/dh = 1 / tan(theta), across = ground distance * dyaw, along = v dt."""
    state = vehicle((0, 0, height), (0, 0, 0), velocity=np.array([7.0, 0, 0]))
    theta = np.radians(depression)
    place = Geolocator(CAMERA, mount(depression)).locate([[310, 172, 330, 192]], [0], state).places[0]
    jacobian = place.jacobian
    assert np.linalg.norm(jacobian[:2, 1]) == pytest.approx(height / np.sin(theta) ** 2)
    np.testing.assert_allclose(jacobian[:2, HEIGHT], [-1 / np.tan(theta), 0], atol=1e-9)
    assert abs(jacobian[1, 2]) == pytest.approx(height / np.tan(theta))
    np.testing.assert_allclose(jacobian[:, TIME], [7, 0, 0], atol=1e-9)
    if (height, depression) == (50, 30):
        assert np.radians(1) * np.linalg.norm(jacobian[:2, 1]) == pytest.approx(3.5, abs=0.05)
        assert abs(jacobian[0, HEIGHT]) == pytest.approx(1.7, abs=0.05)


SIGMA = np.array([*np.radians([0.5, 0.5, 0.5]), 0.5, 0.5, 0.5, 0.5, 0.02])


def simulate(depression: float, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Errors of places and their stated covariances, every input wrong by its standard deviation."""
    rng = np.random.default_rng(seed)
    truth = vehicle(velocity=np.array([6.0, 2, 0]), angular_velocity=np.array([0, 0, 0.3]))
    camera_mount = mount(depression)
    place = target_ahead(truth, camera_mount)
    box = pixel_box(camera_pose(truth, camera_mount), place)
    errors, covariances = [], []
    for _ in range(count):
        theta = rng.normal(0, SIGMA)
        options = GeolocationOptions(
            ground_z=theta[HEIGHT], object_std_m=0.0, extent_std=0.0, anchor_std=0.1, pixel_std=1.0
        )
        shift = rng.normal(0, [1.0, np.hypot(1.0, 0.1 * 10)])
        found = Geolocator(CAMERA, camera_mount, options).locate([box + np.tile(shift, 2)], [0], moved(truth, theta))
        errors.append(found.places[0].position - place)
        covariances.append(found.places[0].covariance)
    return np.array(errors), np.array(covariances)


@pytest.mark.parametrize("depression", [30, 45, 70])
def test_the_covariance_agrees_with_monte_carlo(depression):
    errors, covariances = simulate(depression, 1500, 11)
    measured = np.cov(errors[:, :2].T)
    stated = covariances[:, :2, :2].mean(axis=0)
    np.testing.assert_allclose(np.sqrt(np.diag(measured)), np.sqrt(np.diag(stated)), rtol=0.1)
    squared = np.einsum("ni,nij,nj->n", errors[:, :2], np.linalg.inv(covariances[:, :2, :2]), errors[:, :2])
    assert 0.93 <= np.mean(squared <= CHI2_95) <= 0.97
    radii = [error_radius(covariance) for covariance in covariances]
    assert 0.92 <= np.mean(np.linalg.norm(errors[:, :2], axis=1) <= radii) <= 0.98


def test_known_variances_replace_the_options():
    exact = np.eye(3) * 1e-8
    state = vehicle(position_covariance=exact, attitude_covariance=exact)
    options = GeolocationOptions(
        height_std_m=0.0, time_std_s=0.0, pixel_std=0.0, anchor_std=0.0, object_std_m=0.0, extent_std=0.0
    )
    box = [310, 172, 330, 192]
    sure = Geolocator(CAMERA, mount(45), options).locate([box], [0], state).places[0]
    unsure = Geolocator(CAMERA, mount(45), options).locate([box], [0], vehicle()).places[0]
    assert error_radius(sure.covariance) < 0.05 < 1.0 < error_radius(unsure.covariance)


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.3, 0.6, 1.0])
def test_the_error_radius_holds_95_percent(ratio):
    rng = np.random.default_rng(0)
    sample = rng.normal(size=(200_000, 2)) * [2.0, 2.0 * ratio]
    radius = error_radius(np.diag([4.0, 4.0 * ratio**2]))
    assert np.mean(np.linalg.norm(sample, axis=1) <= radius) == pytest.approx(0.95, abs=0.004)
    assert error_radius(np.zeros((2, 2))) == 0.0


def test_terrain_of_a_slope():
    """Ground that rises by 0.1 m a metre to the north; the closed form is a line and a plane."""
    origin = Origin(47.4, 8.5, 400.0)
    latitude = 47.4 + 0.02 - np.arange(401) * 1e-4
    north = (latitude - 47.4) * 111_180.0
    heights = np.repeat((400.0 + 0.1 * north)[:, None], 401, axis=1).astype(np.float32)
    grid = TerrainGrid(heights, 47.42, 8.48, 1e-4, 1e-4)
    state = vehicle((0, 0, 40), (90, 0, 0), origin=origin)
    geolocator = Geolocator(CAMERA, mount(45), GeolocationOptions(method="terrain"), grid)
    place = geolocator.locate([[310, 172, 330, 192]], [0], state).places[0]
    # Down 45 degrees to the north from 40 m: y = 40 - z, z = 0.1 y.
    np.testing.assert_allclose(place.position, [0, 40 / 1.1, 4 / 1.1], atol=0.05)
    assert abs(place.jacobian[1, HEIGHT]) == pytest.approx(1 / 1.1, abs=0.01)

    # The map's origin counts from the ellipsoid, here 48 m above sea level, from which the file counts.
    above_sea = vehicle((0, 0, 40), (90, 0, 0), origin=Origin(47.4, 8.5, 448.0))
    box = [[310, 172, 330, 192]]
    levelled = geolocator.locate(box, [0], above_sea).places[0]
    np.testing.assert_allclose(levelled.position, [0, 40 / 1.1, 4 / 1.1], atol=0.05)
    as_it_is = GeolocationOptions(method="terrain", terrain_reference="ellipsoid")
    deeper = Geolocator(CAMERA, mount(45), as_it_is, grid).locate(box, [0], above_sea).places[0]
    np.testing.assert_allclose(deeper.position, [0, 88 / 1.1, 40 - 88 / 1.1], atol=0.05)
    lower = GeolocationOptions(method="terrain", ground_z=-10.0)
    below = Geolocator(CAMERA, mount(45), lower, grid).locate(box, [0], above_sea).places[0]
    np.testing.assert_allclose(below.position, [0, 50 / 1.1, 40 - 50 / 1.1], atol=0.05)


def test_terrain_refusals():
    grid = TerrainGrid(np.full((11, 11), 400, np.float32), 47.4005, 8.4995, 1e-4, 1e-4)
    options = GeolocationOptions(method="terrain", max_range_m=200)
    middle = [310, 172, 330, 192]

    def refusals(down, **more):
        state = vehicle((0, 0, 40), (90, 0, 0), **more)
        return Geolocator(CAMERA, mount(down), options, grid).locate([middle], [0], state).refusals

    origin = Origin(47.4, 8.5, 400.0)
    assert refusals(20, origin=origin) == {"terrain_unknown": 1}
    assert refusals(2, origin=origin) == {"horizon": 1}
    assert not refusals(60, origin=origin)
    with pytest.raises(StateError, match="global origin") as caught:
        refusals(60)
    assert caught.value.reason == "no_origin"
    with pytest.raises(StateError, match="no height at 46") as caught:
        refusals(60, origin=Origin(46.0, 8.5, 400.0))
    assert caught.value.reason == "terrain_unknown"
    with pytest.raises(FlightError, match="needs a terrain file"):
        Geolocator(CAMERA, mount(45), options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "guess"}, "'guess'.*flat_plane"),
        ({"terrain_reference": "sea"}, "map or ellipsoid, but got 'sea'"),
        ({"pixel_std": -1.0}, r"`pixel_std`.*-1\.0"),
        ({"min_depression_deg": 0.0}, r"but got 0\.0"),
        ({"object_heights": {2: 0.0}}, r"class 2 .*0\.0"),
    ],
)
def test_wrong_options(changes, message):
    with pytest.raises(FlightError, match=message):
        GeolocationOptions(**changes)
    with pytest.raises(FlightError, match="finite"):
        Mount(translation=(np.nan, 0, 0))
