"""How the image of the ground moves from one image to the next, as the vehicle's state tells it."""

from __future__ import annotations

import cv2
import numpy as np

from uav_perception.flight.camera import CameraModel
from uav_perception.flight.geolocation import Mount, camera_pose
from uav_perception.flight.state import VehicleState
from uav_perception.tracking.camera_motion import KnownPose, ground_homography, rotation_homography

_GRID = 9  # points a side at which a lens with distortion is sampled
_FEWEST = 12  # of them that must be seen in both images


def vehicle_motion(
    last: VehicleState, present: VehicleState, camera: CameraModel, mount: Mount, ground_z: float = 0.0
) -> np.ndarray | None:
    """What the vehicle's and the gimbal's motion does to the pixels of level ground.

    The ground lies below the vehicle by its height above ground where that is known, else at ``ground_z``. A camera
    that is not above it has no ground to see: only its turn counts then.

    Args:
        last: at the last image.
        present: at this one.
        camera: of these images.
        mount: of the camera.
        ground_z: z of the ground in the map [m].

    Returns:
        Shape (3, 3), pixels of the last image to pixels of the present one; None when the map jumped between the two,
        or the lens shows too little of one image in the other.

    Raises:
        StateError: ``no_gimbal``, the mount has one, but nothing is known of its attitude.
    """
    if last.epoch != present.epoch:
        return None
    if present.height_above_ground is not None:
        ground_z = float(present.position[2]) - present.height_above_ground
    poses = (camera_pose(state, mount) for state in (last, present))
    before, after = (KnownPose(pose.rotation, pose.position) for pose in poses)
    rays = ground_homography(np.eye(3), before, after, ground_z)
    if rays is None:
        rays = rotation_homography(np.eye(3), after.rotation.T @ before.rotation)
    return pixel_motion(camera, rays)


def pixel_motion(camera: CameraModel, rays: np.ndarray) -> np.ndarray | None:
    """A homography of rays as one of pixels: exact for a pinhole, the best fit over the image for a distorted lens.

    Args:
        camera: of both images.
        rays: shape (3, 3), rays in the last optical frame to rays in the present one.

    Returns:
        Shape (3, 3); None when a distorted lens shows too little of one image in the other.
    """
    if camera.distortion_model != "equidistant" and not camera.distortion.any():
        return camera.intrinsics @ rays @ np.linalg.inv(camera.intrinsics)
    size = np.array([camera.width, camera.height]) - 1.0
    steps = np.linspace(0.0, 1.0, _GRID)
    points = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2) * size
    moved = camera.project(camera.rays(points) @ rays.T)
    seen = ((moved >= 0.0) & (moved <= size)).all(axis=1)  # False for NaN, where the lens shows nothing
    if np.count_nonzero(seen) < _FEWEST:
        return None
    return cv2.findHomography(points[seen], moved[seen], 0)[0]
