"""The pinhole camera: intrinsics, attitude, projection.

The optical frame is REP-103's: x right, y down, z forward. The map frame is east, north, up. Pixel coordinates are
edges, as in ``Detection.msg``: the image spans (0, 0) to (width, height), the principal point is its middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uav_perception.simulation.errors import SimulationError


@dataclass(frozen=True)
class Pinhole:
    """An ideal camera with square pixels.

    Attributes:
        width, height: image size [px].
        vertical_fov: vertical field of view [rad].

    Raises:
        SimulationError: too small an image, or an impossible field of view.
    """

    width: int
    height: int
    vertical_fov: float

    def __post_init__(self) -> None:
        if self.width < 16 or self.height < 16:
            raise SimulationError(f"An image has at least 16x16 pixels, but got {self.width}x{self.height}.")
        if not 0 < self.vertical_fov < np.radians(150):
            raise SimulationError(
                f"The vertical field of view lies between 0 and 150 deg, but got {np.degrees(self.vertical_fov):g}."
            )

    @property
    def focal_length(self) -> float:
        """[px], the same in x and y."""
        return self.height / 2 / float(np.tan(self.vertical_fov / 2))

    @property
    def matrix(self) -> np.ndarray:
        """K, shape (3, 3)."""
        f = self.focal_length
        return np.array([[f, 0, self.width / 2], [0, f, self.height / 2], [0, 0, 1]])


@dataclass(frozen=True)
class CameraPose:
    """Where the camera is and how it is turned.

    Attributes:
        position: east, north, up [m], shape (3,).
        rotation: columns are the optical axes in the map frame, shape (3, 3).
    """

    position: np.ndarray
    rotation: np.ndarray

    def project(self, points: np.ndarray, camera: Pinhole) -> np.ndarray:
        """Pixels of map points.

        Args:
            points: east, north, up [m], shape (..., 3).

        Returns:
            u, v [px], shape (..., 2); NaN for points behind the camera.
        """
        local = (np.asarray(points, float) - self.position) @ self.rotation
        depth = np.where(local[..., 2:] > 1e-6, local[..., 2:], np.nan)
        return camera.focal_length * local[..., :2] / depth + np.array([camera.width / 2, camera.height / 2])


def look_at(position: np.ndarray, target: np.ndarray, roll: float = 0.0) -> CameraPose:
    """A camera at ``position`` whose optical axis meets ``target``, the horizon level but for ``roll`` [rad].

    Raises:
        ValueError: the two points coincide.
    """
    position, target = np.asarray(position, float), np.asarray(target, float)
    forward = target - position
    distance = np.linalg.norm(forward)
    if distance < 1e-9:
        raise ValueError(f"The camera cannot look at its own place {position.tolist()}.")
    forward = forward / distance
    right = np.cross(forward, [0.0, 0.0, 1.0])
    if np.linalg.norm(right) < 1e-6:  # straight down: north is up in the image
        right = np.array([1.0, 0.0, 0.0])
    right = right / np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    return CameraPose(position, np.stack([c * right + s * down, -s * right + c * down, forward], axis=1))
