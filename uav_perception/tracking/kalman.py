"""A Kalman filter over boxes, many at once: centre, size, and their rates, in an image whose camera moves.

The state of a box is ``x, y, w, h, vx, vy, vw, vh`` [px, px/s]. Velocities are those of the object itself: what the
camera's own motion does to positions enters through `move`, not through the velocities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uav_perception.tracking.errors import TrackingError


@dataclass(frozen=True)
class NoiseOptions:
    """Standard deviations, as multiples of a box's side (root of its area) plus a floor in pixels for tiny ones.

    Attributes:
        position: of a detected centre, per side.
        size: of a detected width or height, per side.
        floor_px: added to both [px].
        velocity: of an object's speed when it is first seen [sides/s].
        acceleration: change of speed within one second [sides/s].
        resize: change of the size's rate within one second [sides/s].
        motion_px: error of the camera's motion between two images [px].
    """

    position: float = 0.05
    size: float = 0.10
    floor_px: float = 1.0
    velocity: float = 3.0
    acceleration: float = 1.0
    resize: float = 0.3
    motion_px: float = 0.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0.0 <= value < float("inf"):
                raise TrackingError(f"Expected noise option `{name}` to be 0 or more, but got {value}.")


def measured(boxes: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) as corners to ``x, y, w, h``."""
    boxes = np.asarray(boxes, np.float64)
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


def corners(means: np.ndarray) -> np.ndarray:
    """States (N, 8) to boxes (N, 4), ``x_min, y_min, x_max, y_max`` [px]."""
    half = np.maximum(means[:, 2:4], 1.0) / 2
    return np.concatenate([means[:, :2] - half, means[:, :2] + half], axis=1)


def _side(means: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(means[:, 2], 1.0) * np.maximum(means[:, 3], 1.0))


def start(boxes: np.ndarray, noise: NoiseOptions) -> tuple[np.ndarray, np.ndarray]:
    """States of objects seen for the first time, at rest with a speed unknown within ``noise.velocity``.

    Returns:
        Means (N, 8) and covariances (N, 8, 8).
    """
    boxes = measured(boxes)
    means = np.concatenate([boxes, np.zeros_like(boxes)], axis=1)
    side = _side(means)
    deviations = np.empty_like(means)
    deviations[:, :2] = (noise.position * side + noise.floor_px)[:, None]
    deviations[:, 2:4] = (noise.size * side + noise.floor_px)[:, None]
    deviations[:, 4:6] = (noise.velocity * side)[:, None]
    deviations[:, 6:] = (noise.resize * side)[:, None]
    return means, _diagonal(deviations**2)


def predict(
    means: np.ndarray, covariances: np.ndarray, seconds: float, noise: NoiseOptions
) -> tuple[np.ndarray, np.ndarray]:
    """States after ``seconds`` at constant velocity, with white acceleration."""
    step = np.eye(8)
    step[:4, 4:] = seconds * np.eye(4)
    side = _side(means)
    strength = np.empty((len(means), 4))
    strength[:, :2] = ((noise.acceleration * side) ** 2)[:, None]
    strength[:, 2:] = ((noise.resize * side) ** 2)[:, None]
    added = np.zeros_like(covariances)
    i = np.arange(4)
    added[:, i, i] = strength * seconds**3 / 3
    added[:, i, i + 4] = added[:, i + 4, i] = strength * seconds**2 / 2
    added[:, i + 4, i + 4] = strength * seconds
    return means @ step.T, step @ covariances @ step.T + added


def move(
    means: np.ndarray, covariances: np.ndarray, homography: np.ndarray, noise: NoiseOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Carry states from the last image into the present one.

    Centres go through the homography, velocities through its derivative at the centre, sizes through the root of that
    derivative's determinant (the local scale).

    Args:
        means: shape (N, 8).
        covariances: shape (N, 8, 8).
        homography: shape (3, 3), pixels of the last image to pixels of the present one, for what stands still.
        noise: adds ``motion_px``.
    """
    if not len(means):
        return means, covariances
    projected = np.concatenate([means[:, :2], np.ones((len(means), 1))], axis=1) @ homography.T
    depth = projected[:, 2]
    centres = projected[:, :2] / depth[:, None]
    derivative = (homography[None, :2, :2] - centres[:, :, None] * homography[None, 2:, :2]) / depth[:, None, None]
    scale = np.sqrt(np.abs(np.linalg.det(derivative)))
    change = np.zeros((len(means), 8, 8))
    change[:, :2, :2] = change[:, 4:6, 4:6] = derivative
    for i in (2, 3, 6, 7):
        change[:, i, i] = scale
    moved = np.einsum("nij,nj->ni", change, means)
    moved[:, :2] = centres
    spread = change @ covariances @ change.transpose(0, 2, 1)
    spread[:, [0, 1], [0, 1]] += noise.motion_px**2
    return moved, spread


def update(
    means: np.ndarray, covariances: np.ndarray, boxes: np.ndarray, noise: NoiseOptions
) -> tuple[np.ndarray, np.ndarray]:
    """States after each has been seen once, row by row.

    Args:
        means: shape (N, 8).
        covariances: shape (N, 8, 8).
        boxes: shape (N, 4), detected corners [px].
        noise: of detections.
    """
    spread = covariances[:, :4, :4] + _measurement_noise(means, noise)
    gain = np.linalg.solve(spread, covariances[:, :4, :]).transpose(0, 2, 1)
    means = means + np.einsum("nij,nj->ni", gain, measured(boxes) - means[:, :4])
    covariances = covariances - gain @ covariances[:, :4, :]
    return means, (covariances + covariances.transpose(0, 2, 1)) / 2


def distance(means: np.ndarray, covariances: np.ndarray, boxes: np.ndarray, noise: NoiseOptions) -> np.ndarray:
    """Squared Mahalanobis distance of every detected centre to every predicted one, shape (N, M)."""
    spread = covariances[:, :2, :2] + _measurement_noise(means, noise)[:, :2, :2]
    step = measured(boxes)[None, :, :2] - means[:, None, :2]
    return np.einsum("nmi,nij,nmj->nm", step, np.linalg.inv(spread), step)


def _measurement_noise(means: np.ndarray, noise: NoiseOptions) -> np.ndarray:
    side = _side(means)
    deviations = np.empty((len(means), 4))
    deviations[:, :2] = (noise.position * side + noise.floor_px)[:, None]
    deviations[:, 2:] = (noise.size * side + noise.floor_px)[:, None]
    return _diagonal(deviations**2)


def _diagonal(values: np.ndarray) -> np.ndarray:
    return values[:, :, None] * np.eye(values.shape[1])
