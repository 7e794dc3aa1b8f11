"""From pixels to rays and back, with the distortion models of ROS's CameraInfo.

Pixels here are OpenCV's and CameraInfo's: whole numbers are the middles of pixels. Boxes of detections are edges,
where the middle of the first pixel is 0.5; `from_edges` converts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from uav_perception.flight.errors import FlightError

# How many coefficients each model of ROS has. An empty list means none in all of them.
_COEFFICIENTS = {"plumb_bob": (4, 5), "rational_polynomial": (8,), "equidistant": (4,)}
_ITERATIONS = 30
_CONVERGED = 1e-9  # in units of the focal length: a millionth of a pixel
_PARTS = np.linspace(0.125, 1.0, 8)  # places between the axis and a point where the distortion must still grow
_ASPECT_TOLERANCE = 0.005


def from_edges(points: np.ndarray) -> np.ndarray:
    """Points of boxes (edges, the image spans 0 to width) to pixels of `CameraModel` (middles of pixels)."""
    return np.asarray(points, np.float64) - 0.5


@dataclass(frozen=True)
class CameraModel:
    """A calibrated camera.

    Attributes:
        width: of the calibrated image [px].
        height: of the calibrated image [px].
        intrinsics: K, shape (3, 3).
        distortion_model: ``"plumb_bob"``, ``"rational_polynomial"``, ``"equidistant"`` or ``""`` for none.
        distortion: coefficients in ROS's order.
    """

    width: int
    height: int
    intrinsics: np.ndarray
    distortion_model: str = ""
    distortion: np.ndarray = ()

    def __post_init__(self) -> None:
        intrinsics = np.array(self.intrinsics, np.float64)
        distortion = np.array(self.distortion, np.float64).reshape(-1)
        object.__setattr__(self, "distortion", distortion)
        if intrinsics.size != 9 or not np.isfinite(intrinsics).all():
            raise FlightError(f"The intrinsics K must be nine finite numbers, but are {intrinsics.ravel().tolist()}.")
        intrinsics = intrinsics.reshape(3, 3)
        object.__setattr__(self, "intrinsics", intrinsics)
        if intrinsics[0, 0] <= 0 or intrinsics[1, 1] <= 0:
            raise FlightError(
                f"The focal lengths must be positive, but K holds {intrinsics[0, 0]:g} and {intrinsics[1, 1]:g}. An "
                "uncalibrated camera publishes zeros: calibrate it, or give its driver a calibration file."
            )
        if self.width < 1 or self.height < 1:
            raise FlightError(f"The camera's image size must be positive, but is {self.width}x{self.height}.")
        if not np.isfinite(distortion).all():
            raise FlightError(f"The distortion coefficients must be finite, but are {distortion.tolist()}.")
        if self.distortion_model not in _COEFFICIENTS:
            if self.distortion_model or distortion.any():
                raise FlightError(
                    f"Unknown distortion model {self.distortion_model!r}. Known are: {', '.join(_COEFFICIENTS)}, or an "
                    "empty one without coefficients."
                )
        elif distortion.size and distortion.size not in _COEFFICIENTS[self.distortion_model]:
            counts = " or ".join(map(str, _COEFFICIENTS[self.distortion_model]))
            raise FlightError(
                f"The distortion model {self.distortion_model!r} has {counts} coefficients, but {distortion.size} are "
                "given."
            )

    @classmethod
    def from_camera_info(
        cls,
        width: int,
        height: int,
        k: Sequence[float],
        d: Sequence[float],
        distortion_model: str,
        binning: tuple[int, int] = (0, 0),
        roi_offset: tuple[int, int] = (0, 0),
        roi_size: tuple[int, int] = (0, 0),
    ) -> CameraModel:
        """The camera of raw images, from the fields of a CameraInfo.

        Args:
            width: of the full sensor image [px].
            height: of the full sensor image [px].
            k: nine numbers, row-major.
            d: distortion coefficients.
            distortion_model: as in the message.
            binning: sensor pixels per image pixel in x and y; 0 means 1.
            roi_offset: x and y of the part of the sensor that is sent [px], before binning.
            roi_size: its width and height [px]; 0 means the whole.

        Raises:
            FlightError: a field cannot be used.
        """
        full = cls(int(width), int(height), np.asarray(k, np.float64), distortion_model, d)
        bins = np.maximum(np.asarray(binning, np.float64), 1.0)
        size = [roi if roi else whole for roi, whole in zip(roi_size, (full.width, full.height), strict=True)]
        shifted = full.intrinsics.copy()
        shifted[:2, 2] -= roi_offset
        cut = replace(full, width=size[0], height=size[1], intrinsics=shifted)
        return cut.scaled(round(size[0] / bins[0]), round(size[1] / bins[1]))

    def scaled(self, width: int, height: int) -> CameraModel:
        """The camera of the same picture at another size. Middles of pixels move, edges stay."""
        x, y = width / self.width, height / self.height
        scale = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
        return replace(self, width=width, height=height, intrinsics=scale @ self.intrinsics)

    def for_image(self, width: int, height: int) -> CameraModel:
        """The camera of images of a size, scaled when they have the calibrated shape.

        Raises:
            FlightError: the shape differs, so that the images are cropped in an unknown way.
        """
        if (width, height) == (self.width, self.height):
            return self
        if width < 1 or height < 1 or abs(width * self.height / (height * self.width) - 1) > _ASPECT_TOLERANCE:
            raise FlightError(
                f"The CameraInfo is for {self.width}x{self.height}, but the images are {width}x{height}, another "
                "shape. Calibrate the camera at the size that it sends."
            )
        return self.scaled(width, height)

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Directions in the optical frame (right, down, ahead), not normalised.

        Args:
            pixels: shape (N, 2), middles of pixels are whole numbers.

        Returns:
            Shape (N, 3). NaN where no ray is seen at this pixel: outside of where the distortion can be inverted.
        """
        pixels = np.asarray(pixels, np.float64).reshape(-1, 2)
        distorted = np.linalg.solve(self.intrinsics, np.column_stack([pixels, np.ones(len(pixels))]).T)[:2].T
        if self.distortion_model == "equidistant":
            return self._equidistant_rays(distorted)
        if not self.distortion.any():
            return np.column_stack([distorted, np.ones(len(distorted))])
        points = distorted.copy()
        with np.errstate(all="ignore"):  # points that run away become NaN and are refused below
            error = self._distorted(points) - distorted
            for _ in range(_ITERATIONS):
                points = points - _solved(self._slope(points), error)
                error = self._distorted(points) - distorted
                if (np.abs(error) < _CONVERGED).all():
                    break
            bad = ~(np.abs(error).max(axis=1, initial=0.0) < _CONVERGED)
            # Beyond its turning point a polynomial has more solutions, on the far side: the lens has not.
            inward = (_PARTS[:, None, None] * points).reshape(-1, 2)
            bad |= ~(np.linalg.det(self._slope(inward)).reshape(len(_PARTS), -1) > 0).all(axis=0)
        return np.where(bad[:, None], np.nan, np.column_stack([points, np.ones(len(points))]))

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels of points in the optical frame.

        Args:
            points: shape (N, 3), right, down, ahead [m].

        Returns:
            Shape (N, 2), NaN for points that are not in front of the camera.
        """
        points = np.asarray(points, np.float64).reshape(-1, 3)
        if self.distortion_model == "equidistant":
            distorted = self._equidistant_projected(points)
        else:
            depth = np.where(points[:, 2] > 0, points[:, 2], np.nan)
            distorted = self._distorted(points[:, :2] / depth[:, None])
        return distorted @ self.intrinsics[:2, :2].T + self.intrinsics[:2, 2]

    def _polynomial(self) -> np.ndarray:
        """``k1, k2, p1, p2, k3, k4, k5, k6``, zeros where the model has none."""
        return np.pad(self.distortion, (0, 8 - self.distortion.size))

    def _distorted(self, points: np.ndarray) -> np.ndarray:
        """OpenCV's model of radial and tangential distortion, on points at depth 1."""
        k1, k2, p1, p2, k3, k4, k5, k6 = self._polynomial()
        x, y = points[:, 0], points[:, 1]
        r2 = x * x + y * y
        radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
        return np.column_stack(
            [
                x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
            ]
        )

    def _slope(self, points: np.ndarray) -> np.ndarray:
        """Derivative of `_distorted`, shape (N, 2, 2), by central differences."""
        step = 1e-6
        columns = [
            (self._distorted(points + shift) - self._distorted(points - shift)) / (2 * step)
            for shift in (np.array([step, 0.0]), np.array([0.0, step]))
        ]
        return np.stack(columns, axis=-1)

    def _equidistant_angle(self, theta: np.ndarray) -> np.ndarray:
        """Kannala and Brandt's polynomial of the angle to the axis."""
        k = np.pad(self.distortion, (0, 4 - self.distortion.size))
        t2 = theta * theta
        return theta * (1 + t2 * (k[0] + t2 * (k[1] + t2 * (k[2] + t2 * k[3]))))

    def _equidistant_rays(self, distorted: np.ndarray) -> np.ndarray:
        radius = np.linalg.norm(distorted, axis=1)
        theta = np.minimum(radius, np.pi)
        for _ in range(_ITERATIONS):
            slope = (self._equidistant_angle(theta + 1e-6) - self._equidistant_angle(theta - 1e-6)) / 2e-6
            theta = np.clip(
                theta - (self._equidistant_angle(theta) - radius) / np.where(slope > 0, slope, 1.0), 0, np.pi
            )
        good = np.abs(self._equidistant_angle(theta) - radius) < _CONVERGED
        direction = distorted / np.maximum(radius, 1e-300)[:, None]
        rays = np.column_stack([direction * np.sin(theta)[:, None], np.cos(theta)])
        return np.where(good[:, None], rays, np.nan)

    def _equidistant_projected(self, points: np.ndarray) -> np.ndarray:
        radius = np.linalg.norm(points[:, :2], axis=1)
        theta = np.arctan2(radius, points[:, 2])
        scale = np.where(radius > 0, self._equidistant_angle(theta) / np.where(radius > 0, radius, 1.0), 0.0)
        return points[:, :2] * scale[:, None]


def _solved(slopes: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """``slopes^-1 errors`` row by row, shapes (N, 2, 2) and (N, 2); not finite where a slope is singular."""
    (a, b), (c, d) = slopes[:, 0].T, slopes[:, 1].T
    x, y = errors.T
    return np.column_stack([d * x - b * y, a * y - c * x]) / (a * d - b * c)[:, None]
