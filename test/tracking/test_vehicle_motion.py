import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from uav_perception.flight.camera import CameraModel
from uav_perception.flight.errors import StateError
from uav_perception.flight.geolocation import Mount, camera_pose
from uav_perception.flight.state import VehicleState
from uav_perception.tracking.vehicle_motion import vehicle_motion

K = np.array([[500.0, 0, 319.5], [0, 500, 239.5], [0, 0, 1]])
PINHOLE = CameraModel(640, 480, K)
WIDE = CameraModel(640, 480, K, "plumb_bob", [-0.28, 0.07, 0.0005, -0.0003, 0.0])
FISHEYE = CameraModel(640, 480, K * [[0.5, 1, 1], [1, 0.5, 1], [1, 1, 1]], "equidistant", [-0.02, 0.005, 0, 0])
DOWN = Mount(translation=(0.2, 0.0, -0.1), roll_pitch_yaw=(0.0, np.radians(60), 0.0))


def vehicle(east: float, turn: tuple[float, float, float], height: float = 25.0, **known: object) -> VehicleState:
    """A vehicle with yaw, pitch, roll [deg] whose map starts 5 m above the ground."""
    orientation = Rotation.from_euler("ZYX", turn, degrees=True).as_quat()
    return VehicleState(0, np.array([east, 3.0, height - 5.0]), orientation, **known)


LAST, PRESENT = vehicle(0.0, (40, 2, -3)), vehicle(1.5, (44, 4, 1), 25.4)


def seen(camera: CameraModel, state: VehicleState, points: np.ndarray) -> np.ndarray:
    """Pixels of points in the map, the long way."""
    pose = camera_pose(state, DOWN)
    return camera.project((points - pose.position) @ pose.rotation)


def ground_in_view(camera: CameraModel, ground_z: float = -5.0) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of the same ground points at `LAST` and `PRESENT`, all inside both images."""
    along = np.linspace(-40, 60, 41)
    points = np.array([[x, y, ground_z] for x in along for y in along])
    pixels = [seen(camera, state, points) for state in (LAST, PRESENT)]
    # Points far off the axis would come back through the distortion's turning point.
    pose = camera_pose(LAST, DOWN)
    rays = (points - pose.position) @ pose.rotation
    near = np.linalg.norm(rays[:, :2], axis=1) < 0.9 * rays[:, 2]
    inside = [((p > 0) & (p < [camera.width - 1, camera.height - 1])).all(axis=1) for p in pixels]
    kept = near & inside[0] & inside[1]
    assert np.count_nonzero(kept) > 30
    return pixels[0][kept], pixels[1][kept]


def errors(motion: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.linalg.norm(cv2.perspectiveTransform(before[:, None], motion)[:, 0] - after, axis=1)


def test_ground_moves_as_its_points_do_one_by_one():
    motion = vehicle_motion(LAST, PRESENT, PINHOLE, DOWN, ground_z=-5.0)
    assert errors(motion, *ground_in_view(PINHOLE)).max() < 1e-6


def test_the_height_above_ground_counts_more_than_the_grounds_z():
    present = vehicle(1.5, (44, 4, 1), 25.4, height_above_ground=25.4)
    motion = vehicle_motion(LAST, present, PINHOLE, DOWN, ground_z=1.0)
    assert errors(motion, *ground_in_view(PINHOLE)).max() < 1e-6


@pytest.mark.parametrize("camera", [WIDE, FISHEYE], ids=["plumb_bob", "equidistant"])
def test_a_distorted_lens_gets_the_homography_that_fits_best(camera):
    before, after = ground_in_view(camera)
    found = errors(vehicle_motion(LAST, PRESENT, camera, DOWN, ground_z=-5.0), before, after)
    undistorted = CameraModel(camera.width, camera.height, camera.intrinsics)
    naive = errors(vehicle_motion(LAST, PRESENT, undistorted, DOWN, ground_z=-5.0), before, after)
    assert found.mean() < 0.5 * naive.mean()


def test_below_the_ground_only_the_turn_counts():
    last, present = vehicle(0.0, (40, 2, -3), height=4.0), vehicle(1.5, (44, 4, 1), height=4.0)
    motion = vehicle_motion(last, present, PINHOLE, DOWN, ground_z=0.0)
    far = np.array([[1e7, 3e6, -1e7], [8e6, 8e6, -2e7], [1e7, 1e7, -1.5e7]])
    before, after = seen(PINHOLE, last, far), seen(PINHOLE, present, far)
    assert np.isfinite(before).all() and errors(motion, before, after).max() < 1e-3


def test_there_is_no_motion_across_a_jump_of_the_map():
    assert vehicle_motion(LAST, vehicle(1.5, (44, 4, 1), epoch=1), PINHOLE, DOWN) is None


def test_there_is_no_motion_when_the_two_images_share_nothing():
    assert vehicle_motion(LAST, vehicle(0.0, (220, 2, -3)), WIDE, Mount(), ground_z=-1000.0) is None


def test_a_gimbal_that_is_silent_is_refused():
    with pytest.raises(StateError, match="no gimbal attitude has been received"):
        vehicle_motion(LAST, PRESENT, PINHOLE, Mount(gimbal=True))
