"""What is done to the pictures of a clip. Every random draw is made once for the whole clip.

Clips are (n, height, width, channels) uint8; flow clips have two channels, x first, with 127.5 as no motion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from uav_perception.datasets.errors import DatasetError

TSN_SCALES = (1.0, 0.875, 0.75, 0.66)
POSITIONS = ("five", "uniform", "near_centre")


@dataclass(frozen=True)
class Augmentation:
    """Training augmentation.

    Attributes:
        frame_size: (height, width) the frames are brought to first, without keeping the aspect; None keeps them.
            The paper: 256x340.
        scales: crop sides as shares of the short side; width and height are drawn independently ...
        distortion: ... as long as their places in ``scales`` differ by no more than this.
        positions: "five" (four corners and centre), "uniform" (anywhere), or "near_centre" (for cameras that follow the
            actor: the middle, moved by up to ``shift`` of the short side each way).
        shift: for "near_centre".
        flip: probability of a mirror image.
        brightness, contrast, saturation: factors are drawn from [1 - s, 1 + s].
    """

    frame_size: tuple[int, int] | None = (256, 340)
    scales: tuple[float, ...] = TSN_SCALES
    distortion: int = 1
    positions: str = "five"
    shift: float = 0.1
    flip: float = 0.5
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4

    def __post_init__(self) -> None:
        if not self.scales or not all(0 < scale <= 1 for scale in self.scales):
            raise DatasetError(f"scales {self.scales} must be shares of the short side in (0, 1].")
        if self.positions not in POSITIONS:
            raise DatasetError(f"positions is {self.positions!r}; choose one of {', '.join(POSITIONS)}.")
        if self.frame_size is not None and (len(self.frame_size) != 2 or min(self.frame_size) < 1):
            raise DatasetError(f"frame_size is {self.frame_size}; give height and width, at least 1 px each.")
        if self.distortion < 0 or self.shift < 0:
            raise DatasetError(f"distortion and shift must not be negative, got {self.distortion} and {self.shift}.")
        if not 0 <= self.flip <= 1:
            raise DatasetError(f"flip is {self.flip}; it is a probability.")
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) <= 1:
                raise DatasetError(f"{name} is {getattr(self, name)}; it must lie in [0, 1].")


def crop_sides(short_side: int, scales: Sequence[float], distortion: int) -> list[tuple[int, int]]:
    """All (width, height) pairs of the multi-scale crop: {256, 224, 192, 168} gives ten at distortion 1."""
    sides = [int(short_side * scale) for scale in scales]
    return [
        (width, height) for i, height in enumerate(sides) for j, width in enumerate(sides) if abs(i - j) <= distortion
    ]


def draw_crop(
    height: int, width: int, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """One crop as (x, y, width, height) [px]."""
    pairs = crop_sides(min(height, width), augmentation.scales, augmentation.distortion)
    crop_width, crop_height = pairs[rng.integers(len(pairs))]
    right, bottom = width - crop_width, height - crop_height
    if augmentation.positions == "uniform":
        return int(rng.integers(right + 1)), int(rng.integers(bottom + 1)), crop_width, crop_height
    if augmentation.positions == "near_centre":
        moved = np.array((right, bottom)) / 2 + rng.uniform(-1, 1, 2) * augmentation.shift * min(height, width)
        x, y = np.clip(np.rint(moved), 0, (right, bottom)).astype(int).tolist()
        return x, y, crop_width, crop_height
    corners = ((0, 0), (right, 0), (0, bottom), (right, bottom), (right // 2, bottom // 2))
    return (*corners[rng.integers(len(corners))], crop_width, crop_height)


def resize(clip: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear resize of every frame."""
    if clip.shape[1:3] == (height, width):
        return clip
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR) for frame in clip])


def crop_and_resize(clip: np.ndarray, crop: tuple[int, int, int, int], size: int) -> np.ndarray:
    """Cut (x, y, width, height) out of every frame and bring it to size x size."""
    x, y, width, height = crop
    return resize(clip[:, y : y + height, x : x + width], size, size)


def flip(clip: np.ndarray, flow: bool = False) -> np.ndarray:
    """Mirror left and right; in a flow clip motion along x changes its sign too."""
    mirrored = clip[:, :, ::-1]
    if flow:
        mirrored = mirrored.copy()
        mirrored[..., 0] = 255 - mirrored[..., 0]
    return mirrored


def jitter(clip: np.ndarray, brightness: float, contrast: float, saturation: float) -> np.ndarray:
    """Brightness, then contrast (about the clip's mean grey), then saturation, with the given factors.

    The same arithmetic as torchvision's ``ColorJitter`` in that order, to rounding.

    Args:
        clip: (n, height, width, 3) uint8, BGR.
        brightness, contrast, saturation: 1 changes nothing.
    """
    shape = clip.shape
    flat = np.ascontiguousarray(clip).reshape(-1, shape[2], 3)  # the frames one under the other: one image
    levels = np.arange(256, dtype=np.float32)
    bright = np.clip(levels * brightness, 0, 255)
    flat = cv2.LUT(flat, np.rint(bright).astype(np.uint8))
    mean = float(cv2.mean(cv2.cvtColor(flat, cv2.COLOR_BGR2GRAY))[0])
    flat = cv2.LUT(flat, np.rint(np.clip(mean + (levels - mean) * contrast, 0, 255)).astype(np.uint8))
    grey = cv2.cvtColor(cv2.cvtColor(flat, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return cv2.addWeighted(flat, saturation, grey, 1 - saturation, 0).reshape(shape)


def augment(
    clip: np.ndarray, size: int, augmentation: Augmentation, rng: np.random.Generator, flow: bool = False
) -> np.ndarray:
    """A training clip: crop, flip and colour, one draw for all its frames.

    Returns:
        (n, size, size, channels) uint8.
    """
    if augmentation.frame_size is not None:
        clip = resize(clip, *augmentation.frame_size)
    clip = crop_and_resize(clip, draw_crop(*clip.shape[1:3], augmentation, rng), size)
    if rng.random() < augmentation.flip:
        clip = flip(clip, flow)
    if flow:
        return clip
    strengths = (augmentation.brightness, augmentation.contrast, augmentation.saturation)
    if not any(strengths):
        return clip
    return jitter(clip, *(float(rng.uniform(1 - strength, 1 + strength)) for strength in strengths))


def to_short_side(clip: np.ndarray, short_side: int) -> np.ndarray:
    """Resize so that the shorter side is ``short_side``; the aspect is kept to rounding."""
    height, width = clip.shape[1:3]
    scale = short_side / min(height, width)
    return resize(clip, max(round(height * scale), short_side), max(round(width * scale), short_side))


def centre_crop(clip: np.ndarray, size: int) -> np.ndarray:
    """The middle size x size; an odd pixel goes away at the top and the left, as in the runtime's preprocessing."""
    top, left = -((size - clip.shape[1]) // 2), -((size - clip.shape[2]) // 2)
    return clip[:, top : top + size, left : left + size]


def ten_crops(clip: np.ndarray, size: int, flow: bool = False) -> np.ndarray:
    """Four corners and centre, and their mirror images: (10, n, size, size, channels)."""
    bottom, right = clip.shape[1] - size, clip.shape[2] - size
    corners = ((0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2))
    crops = [clip[:, top : top + size, left : left + size] for top, left in corners]
    return np.stack(crops + [flip(crop, flow) for crop in crops])
