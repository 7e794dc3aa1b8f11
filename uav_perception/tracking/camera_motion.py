"""How the image of a still world moves from one image to the next, because the camera does."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from uav_perception.tracking.errors import TrackingError

_MIN_INLIERS = 12  # three times the four points of a homography: fewer is chance


def rotation_homography(intrinsics: np.ndarray, last_to_present: np.ndarray) -> np.ndarray:
    """What a pure rotation of the camera does to pixels, ``K R K^-1``.

    Right for a camera that turns and hardly moves. One that circles its target turns as well, but the target stays
    in the middle: there the rotation alone misleads, and `ground_homography` is needed.

    Args:
        intrinsics: K, shape (3, 3).
        last_to_present: shape (3, 3), rotates a ray from the camera's last optical frame into its present one.

    Returns:
        Shape (3, 3), pixels of the last image to pixels of the present one.

    Raises:
        TrackingError: the intrinsics cannot be inverted.
    """
    intrinsics = _checked_intrinsics(intrinsics)
    return intrinsics @ np.asarray(last_to_present, np.float64) @ np.linalg.inv(intrinsics)


@dataclass(frozen=True)
class KnownPose:
    """Where the camera was when an image was taken.

    Attributes:
        rotation: optical frame to map, shape (3, 3).
        position: east, north, up [m], shape (3,).
    """

    rotation: np.ndarray
    position: np.ndarray

    def ground_to_pixels(self, intrinsics: np.ndarray, ground_z: float) -> np.ndarray:
        """Homography of the ground (east, north, 1) to pixels, shape (3, 3)."""
        to_optical = np.asarray(self.rotation, np.float64).T
        offset = to_optical @ (np.array([0.0, 0.0, ground_z]) - self.position)
        return intrinsics @ np.column_stack([to_optical[:, 0], to_optical[:, 1], offset])


def ground_homography(
    intrinsics: np.ndarray, last: KnownPose, present: KnownPose, ground_z: float = 0.0
) -> np.ndarray | None:
    """What the camera's motion does to the pixels of level ground, turn and flight together.

    Args:
        intrinsics: K, shape (3, 3).
        last: the camera at the last image.
        present: the camera at this one.
        ground_z: of the ground in the map [m].

    Returns:
        Shape (3, 3), pixels of the last image to pixels of the present one; None when the last camera was not above the
        ground, so that its pixels have no place there.

    Raises:
        TrackingError: the intrinsics cannot be inverted.
    """
    intrinsics = _checked_intrinsics(intrinsics)
    if last.position[2] <= ground_z or present.position[2] <= ground_z:
        return None
    from_ground = last.ground_to_pixels(intrinsics, ground_z)
    return present.ground_to_pixels(intrinsics, ground_z) @ np.linalg.inv(from_ground)


def _checked_intrinsics(intrinsics: np.ndarray) -> np.ndarray:
    intrinsics = np.asarray(intrinsics, np.float64)
    if not np.isfinite(intrinsics).all() or abs(np.linalg.det(intrinsics)) < 1e-9:
        raise TrackingError(f"The camera's intrinsics cannot be inverted: {intrinsics.tolist()}. Check its CameraInfo.")
    return intrinsics


@dataclass(frozen=True)
class MotionOptions:
    """How camera motion is found in images.

    Attributes:
        long_side: images are reduced to this for the search [px].
        points: most corners that are followed.
        model: ``"homography"`` (exact for flat ground) or ``"similarity"`` (shift, turn, zoom).
        threshold_px: largest error of an inlier, in the reduced image [px].
    """

    long_side: int = 480
    points: int = 300
    model: str = "homography"
    threshold_px: float = 1.5

    def __post_init__(self) -> None:
        if self.model not in ("homography", "similarity"):
            raise TrackingError(f"Expected `model` to be 'homography' or 'similarity', but got {self.model!r}.")
        if self.long_side < 64 or self.points < 2 * _MIN_INLIERS or self.threshold_px <= 0:
            raise TrackingError(
                f"Expected a long side of 64 px or more, {2 * _MIN_INLIERS} points or more and a positive threshold, "
                f"but got {self.long_side} px, {self.points} points, {self.threshold_px} px."
            )


class ImageMotion:
    """Follows corners from image to image (sparse optical flow) and fits a motion to them (RANSAC)."""

    def __init__(self, options: MotionOptions = MotionOptions()) -> None:
        self._options = options
        self.reset()

    def reset(self) -> None:
        """Forget the last image."""
        self._last: np.ndarray | None = None
        self._corners: np.ndarray | None = None

    def update(
        self, image: np.ndarray, objects: np.ndarray | None = None, guess: np.ndarray | None = None
    ) -> np.ndarray | None:
        """Take the next image.

        Args:
            image: uint8, shape (H, W, 3) BGR or (H, W) grey.
            objects: boxes (N, 4) of things that may move by themselves [px]; no corners are taken on them next time.
            guess: shape (3, 3), what is known of the motion already, from the vehicle's pose for example. Large turns
                are only found with it.

        Returns:
            Shape (3, 3), pixels of the last image to pixels of this one; None for the first image, after a change of
            the image's size, and when too few corners agree.
        """
        grey, scale = self._reduced(image)
        found = None
        if self._last is not None and self._last.shape == grey.shape and len(self._corners) >= _MIN_INLIERS:
            found = self._estimate(grey, scale, guess)
            if found is None and guess is not None:
                found = self._estimate(grey, scale, None)  # a wrong guess must not cost what the image shows
        self._last = grey
        self._corners = self._new_corners(grey, objects, scale)
        return found

    def _reduced(self, image: np.ndarray) -> tuple[np.ndarray, float]:
        scale = min(1.0, self._options.long_side / max(image.shape[:2]))
        if scale < 1.0:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image
        return np.ascontiguousarray(grey), scale

    def _new_corners(self, grey: np.ndarray, objects: np.ndarray | None, scale: float) -> np.ndarray:
        mask = None
        if objects is not None and len(objects):
            mask = np.full(grey.shape, 255, np.uint8)
            for x_min, y_min, x_max, y_max in np.round(np.asarray(objects) * scale).astype(int):
                mask[max(y_min, 0) : max(y_max, 0) + 1, max(x_min, 0) : max(x_max, 0) + 1] = 0
        found = cv2.goodFeaturesToTrack(grey, self._options.points, 0.01, 7, mask=mask)
        return np.zeros((0, 1, 2), np.float32) if found is None else found

    def _estimate(self, grey: np.ndarray, scale: float, guess: np.ndarray | None) -> np.ndarray | None:
        down = np.diag([scale, scale, 1.0])
        up = np.diag([1 / scale, 1 / scale, 1.0])
        start, flags = None, 0
        if guess is not None:
            start = cv2.perspectiveTransform(self._corners, down @ guess @ up).astype(np.float32)
            flags = cv2.OPTFLOW_USE_INITIAL_FLOW
        moved, status, _ = cv2.calcOpticalFlowPyrLK(
            self._last, grey, self._corners, start, winSize=(21, 21), maxLevel=3, flags=flags
        )
        followed = status[:, 0] == 1
        if np.count_nonzero(followed) < _MIN_INLIERS:
            return None
        before, after = self._corners[followed], moved[followed]
        motion, inliers = self._fit(before, after)
        if motion is None or np.count_nonzero(inliers) < max(_MIN_INLIERS, 0.3 * len(before)):
            return None
        return up @ motion @ down

    def _fit(self, before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        if self._options.model == "homography":
            return cv2.findHomography(before, after, cv2.RANSAC, self._options.threshold_px)
        affine, inliers = cv2.estimateAffinePartial2D(
            before, after, method=cv2.RANSAC, ransacReprojThreshold=self._options.threshold_px
        )
        return (None if affine is None else np.vstack([affine, [0.0, 0.0, 1.0]])), inliers
