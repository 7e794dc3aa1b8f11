import itertools

import cv2
import numpy as np
import planar_scene
import pytest
from scipy.spatial.transform import Rotation

from uav_perception.tracking.camera_motion import (
    ImageMotion,
    KnownPose,
    MotionOptions,
    ground_homography,
    rotation_homography,
)
from uav_perception.tracking.errors import TrackingError

GRID = np.array([[x, y] for x in (60.0, 320, 580) for y in (60.0, 190, 320)])


def through(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    return cv2.perspectiveTransform(points[:, None], homography)[:, 0]


def error(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(through(found, GRID) - through(truth, GRID)).max())


@pytest.fixture(scope="module")
def flight() -> list[planar_scene.SceneImage]:
    return planar_scene.fly("orbit", seed=3, seconds=1.0, images=True)


def test_a_homography_of_flat_ground_is_found_to_a_fraction_of_a_pixel(flight):
    motion = ImageMotion()
    assert motion.update(flight[0].image) is None
    for last, present in itertools.pairwise(flight):
        truth = present.ground @ np.linalg.inv(last.ground)
        assert error(motion.update(present.image), truth) < 1.0


def test_moving_objects_do_not_disturb(flight):
    """A third of the image is covered with something that moves by itself."""
    first, second = flight[0].image.copy(), flight[1].image.copy()
    patch = np.random.default_rng(0).integers(0, 256, (220, 300, 3), np.uint8)
    patch = cv2.GaussianBlur(patch, (0, 0), 2)
    first[80:300, 100:400] = patch
    second[90:310, 112:412] = patch
    truth = flight[1].ground @ np.linalg.inv(flight[0].ground)
    motion = ImageMotion()
    motion.update(first, objects=np.array([[100, 80, 400, 300]]))
    assert error(motion.update(second), truth) < 1.5


def test_a_fast_turn_is_found_with_the_attitude_as_guess():
    """15 degrees between two images move everything by 140 px: out of reach for the flow alone."""
    rng = np.random.default_rng(2)
    picture = planar_scene.texture(rng)[:1200, :1200]
    turn = Rotation.from_rotvec([0, np.deg2rad(-15), 0]).as_matrix()
    truth = rotation_homography(planar_scene.INTRINSICS, turn)
    base = np.array([[1, 0, -300.0], [0, 1, -400], [0, 0, 1]])
    first = cv2.warpPerspective(picture, base, (640, 384))
    second = cv2.warpPerspective(picture, truth @ base, (640, 384))
    guess = rotation_homography(planar_scene.INTRINSICS, Rotation.from_rotvec([0, np.deg2rad(-14.5), 0]).as_matrix())
    motion = ImageMotion()
    motion.update(first)
    found = motion.update(second, guess=guess)
    centre = np.array([[150.0, 190], [250, 120]])
    np.testing.assert_allclose(through(found, centre), through(truth, centre), atol=1.0)


def test_similarity_model_finds_shift_and_zoom():
    picture = planar_scene.texture(np.random.default_rng(4))[:800, :800]
    truth = np.array([[1.03, 0, 5.0], [0, 1.03, -8], [0, 0, 1]])
    motion = ImageMotion(MotionOptions(model="similarity"))
    motion.update(picture[:384, :640])
    found = motion.update(cv2.warpPerspective(picture, truth, (640, 384)))
    assert error(found, truth) < 1.0
    np.testing.assert_array_equal(found[2], [0, 0, 1])


@pytest.mark.parametrize("second", [np.zeros((384, 640, 3), np.uint8), np.zeros((100, 100, 3), np.uint8)])
def test_no_motion_without_texture_or_after_a_change_of_size(flight, second):
    motion = ImageMotion()
    motion.update(flight[0].image)
    assert motion.update(second) is None


def test_unrelated_images_give_no_motion():
    rng = np.random.default_rng(6)
    motion = ImageMotion()
    motion.update(rng.integers(0, 256, (384, 640, 3), np.uint8))
    assert motion.update(rng.integers(0, 256, (384, 640, 3), np.uint8)) is None


def test_rotation_homography_equals_projected_rays():
    turn = Rotation.from_euler("xyz", [3, -5, 8], degrees=True).as_matrix()
    homography = rotation_homography(planar_scene.INTRINSICS, turn)
    rays = np.column_stack([GRID, np.ones(len(GRID))]) @ np.linalg.inv(planar_scene.INTRINSICS).T
    seen = rays @ turn.T @ planar_scene.INTRINSICS.T
    np.testing.assert_allclose(through(homography, GRID), seen[:, :2] / seen[:, 2:])


def test_ground_homography_equals_projected_ground(flight):
    """The scene's own projection of the ground is the reference; turn and flight both count."""
    last, present = flight[0], flight[9]
    poses = [KnownPose(moment.rotation.T, moment.place) for moment in (last, present)]
    homography = ground_homography(planar_scene.INTRINSICS, *poses)
    assert error(homography, present.ground @ np.linalg.inv(last.ground)) < 1e-6
    raised = [KnownPose(pose.rotation, pose.position + np.array([0, 0, 7])) for pose in poses]
    assert error(ground_homography(planar_scene.INTRINSICS, *raised, ground_z=7.0), homography) < 1e-6
    turn = rotation_homography(planar_scene.INTRINSICS, present.rotation @ last.rotation.T)
    assert error(turn, homography) > 30  # the camera circles its target: the turn alone misleads


def test_no_ground_homography_below_the_ground():
    above, below = (KnownPose(np.eye(3), np.array([0, 0, z])) for z in (5.0, -1.0))
    assert ground_homography(planar_scene.INTRINSICS, above, below) is None
    assert ground_homography(planar_scene.INTRINSICS, below, above) is None


def test_a_wrong_guess_does_not_cost_what_the_image_shows(flight):
    wrong = np.array([[1, 0, 400.0], [0, 1, 300], [0, 0, 1]])
    motion = ImageMotion()
    motion.update(flight[0].image)
    truth = flight[1].ground @ np.linalg.inv(flight[0].ground)
    assert error(motion.update(flight[1].image, guess=wrong), truth) < 1.0


def test_wrong_input():
    with pytest.raises(TrackingError, match="cannot be inverted"):
        rotation_homography(np.zeros((3, 3)), np.eye(3))
    with pytest.raises(TrackingError, match="'shear'"):
        MotionOptions(model="shear")
    with pytest.raises(TrackingError, match="5 points"):
        MotionOptions(points=5)
