"""The pinhole camera against OpenCV and hand-worked cases."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from uav_perception.simulation.camera import Pinhole, look_at
from uav_perception.simulation.errors import SimulationError


def test_projection_agrees_with_opencv():
    camera = Pinhole(640, 384, np.radians(40))
    pose = look_at(np.array([3.0, -20.0, 25.0]), np.array([1.0, 2.0, 0.5]), roll=0.1)
    points = np.random.default_rng(0).uniform(-5, 5, (30, 3))
    world_to_camera = pose.rotation.T
    expected, _ = cv2.projectPoints(
        points, cv2.Rodrigues(world_to_camera)[0], -world_to_camera @ pose.position, camera.matrix, None
    )
    np.testing.assert_allclose(pose.project(points, camera), expected[:, 0], atol=1e-6)


def test_target_lies_in_the_middle_and_up_is_up():
    camera = Pinhole(200, 100, np.radians(30))
    pose = look_at(np.array([0.0, -30.0, 20.0]), np.zeros(3))
    middle, above, right = pose.project(np.array([[0, 0, 0], [0, 0, 1], [1, 0, 0]]), camera)
    np.testing.assert_allclose(middle, [100, 50], atol=1e-9)
    assert above[1] < 50 and above[0] == pytest.approx(100)
    assert right[0] > 100 and right[1] == pytest.approx(50)


def test_axes_are_right_handed():
    rotation = look_at(np.array([5.0, 4.0, 20.0]), np.array([1.0, -3.0, 0.0]), roll=0.3).rotation
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)


def test_looking_straight_down_has_north_up():
    camera = Pinhole(100, 100, 1.0)
    north = look_at(np.array([0, 0, 30.0]), np.zeros(3)).project(np.array([0, 1.0, 0]), camera)
    assert north[0] == pytest.approx(50) and north[1] < 50


def test_points_behind_have_no_pixel():
    pose = look_at(np.array([0, -10.0, 10.0]), np.zeros(3))
    assert np.isnan(pose.project(np.array([0, -100.0, 20.0]), Pinhole(100, 100, 1.0))).all()


def test_focal_length_from_the_field_of_view():
    assert Pinhole(400, 200, np.radians(90)).focal_length == pytest.approx(100)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((8, 200, 1.0), "16x16 pixels, but got 8x200"), ((200, 200, 3.0), "between 0 and 150 deg, but got 171.887")],
)
def test_impossible_cameras_are_refused(arguments, message):
    with pytest.raises(SimulationError, match=message):
        Pinhole(*arguments)


def test_looking_at_itself_is_refused():
    with pytest.raises(ValueError, match="own place"):
        look_at(np.ones(3), np.ones(3))
