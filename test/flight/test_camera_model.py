import cv2
import numpy as np
import pytest

from uav_perception.flight.camera import CameraModel, from_edges
from uav_perception.flight.errors import FlightError

K = np.array([[520.0, 0, 321.5], [0, 515, 188.2], [0, 0, 1]])
PLUMB_BOB = [-0.28, 0.09, 1.2e-3, -8e-4, -0.012]
RATIONAL = [0.6, -0.12, 4e-4, -3e-4, 0.02, 0.95, -0.05, 0.01]
EQUIDISTANT = [-0.013, 0.02, -0.011, 0.002]
MODELS = {"plumb_bob": PLUMB_BOB, "rational_polynomial": RATIONAL, "equidistant": EQUIDISTANT, "": []}
POINTS = np.random.default_rng(0).uniform([-1.2, -0.8, 2], [1.2, 0.8, 4], (200, 3))


def camera(model: str) -> CameraModel:
    return CameraModel(640, 384, K, model, MODELS[model])


@pytest.mark.parametrize("model", MODELS)
def test_projection_equals_opencv(model):
    zero = np.zeros(3)
    if model == "equidistant":
        expected, _ = cv2.fisheye.projectPoints(POINTS[:, None], zero, zero, K, np.array(EQUIDISTANT))
    else:
        expected, _ = cv2.projectPoints(POINTS[:, None], zero, zero, K, np.array(MODELS[model] or [0.0] * 5))
    np.testing.assert_allclose(camera(model).project(POINTS), expected[:, 0], atol=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_rays_are_the_inverse_of_projection(model):
    rays = camera(model).rays(camera(model).project(POINTS))
    unit = rays / np.linalg.norm(rays, axis=1)[:, None]
    np.testing.assert_allclose(unit, POINTS / np.linalg.norm(POINTS, axis=1)[:, None], atol=1e-8)


def test_a_fisheye_sees_behind_itself():
    wide = CameraModel(1000, 1000, [[250.0, 0, 500], [0, 250, 500], [0, 0, 1]], "equidistant", [0, 0, 0, 0])
    angle = np.radians(100)
    point = np.array([[np.sin(angle), 0, np.cos(angle)]])
    np.testing.assert_allclose(wide.project(point), [[500 + 250 * angle, 500]])
    np.testing.assert_allclose(wide.rays(wide.project(point)), point, atol=1e-9)


def test_pixels_that_no_ray_reaches_are_nan():
    """With barrel distortion the radius r (1 - 0.4 r^2) turns back at r = 0.91, 0.61 focal lengths from the middle."""
    barrel = CameraModel(2000, 2000, [[500.0, 0, 1000], [0, 500, 1000], [0, 0, 1]], "plumb_bob", [-0.4, 0, 0, 0, 0])
    rays = barrel.rays([[1000 + 500 * 0.60, 1000], [1000 + 500 * 0.62, 1000], [1900, 1900]])
    assert np.isfinite(rays[0]).all()
    assert np.isnan(rays[1:]).all()


def test_points_behind_are_not_projected():
    assert np.isnan(camera("plumb_bob").project([[0, 0, -1.0], [0, 0, 0.0]])).all()


def test_edges_are_half_a_pixel_from_middles():
    np.testing.assert_array_equal(from_edges([[0, 0], [640, 384]]), [[-0.5, -0.5], [639.5, 383.5]])


def test_scaling_keeps_the_picture():
    """The same ray is seen at the same place of the picture, counted from its edge."""
    small = camera("plumb_bob").for_image(320, 192)
    ray = np.array([[0.2, -0.1, 1.0]])
    np.testing.assert_allclose((small.project(ray) + 0.5) * 2, camera("plumb_bob").project(ray) + 0.5)
    assert camera("").for_image(640, 384) is not None


@pytest.mark.parametrize("size", [(640, 480), (384, 640), (0, 0)])
def test_another_shape_is_refused(size):
    with pytest.raises(FlightError, match=rf"640x384, but the images are {size[0]}x{size[1]}.*Calibrate"):
        camera("").for_image(*size)


def test_binning_and_region_of_interest():
    info = CameraModel.from_camera_info(
        1280, 768, (2 * K).ravel() / [1, 1, 1, 1, 1, 1, 1, 1, 2], [], "", (2, 2), (200, 100), (800, 600)
    )
    assert (info.width, info.height) == (400, 300)
    ray = np.array([[0.05, 0.02, 1.0]])
    full = CameraModel(1280, 768, (2 * K).ravel() / [1, 1, 1, 1, 1, 1, 1, 1, 2])
    np.testing.assert_allclose(info.project(ray) + 0.5, (full.project(ray) + 0.5 - [200, 100]) / 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": np.zeros(9)}, "focal lengths must be positive.*calibrate"),
        ({"k": [np.nan] * 9}, "nine finite numbers.*nan"),
        ({"width": 0}, "0x384"),
        ({"distortion_model": "barrel", "d": [0.1]}, "'barrel'.*plumb_bob"),
        ({"distortion_model": "plumb_bob", "d": [0.1] * 3}, "4 or 5 coefficients, but 3"),
        ({"distortion_model": "plumb_bob", "d": [np.inf] * 5}, "finite.*inf"),
        ({"distortion_model": "", "d": [0.1]}, "Unknown distortion model ''"),
    ],
)
def test_unusable_camera_info(changes, message):
    fields = {"width": 640, "height": 384, "k": K.ravel(), "d": [], "distortion_model": "plumb_bob"}
    with pytest.raises(FlightError, match=message):
        CameraModel.from_camera_info(**{**fields, **changes})
