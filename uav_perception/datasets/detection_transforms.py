"""Geometric and colour transforms of annotated images, on NumPy arrays.

Boxes are edges in pixels (``x_min, y_min, x_max, y_max``), float32. Every random transform takes a
``numpy.random.Generator``, so that a sample is a function of its seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from uav_perception.datasets.errors import DatasetError

# A box of which less than this share is left by a crop is dropped: what remains does not show the object.
MIN_VISIBLE = 0.3


@dataclass(frozen=True)
class Sample:
    """An image (H, W, 3) uint8 BGR, its boxes (G, 4) float32 [px] and their labels (G,) int64."""

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


def keep_ratio_scale(width: int, height: int, long_side: int, short_side: int) -> float:
    """Largest scale at which the image fits into (long_side, short_side), in either orientation (mmdet's rule)."""
    return min(long_side / max(width, height), short_side / min(width, height))


def resize(sample: Sample, width: int, height: int) -> Sample:
    """Resize to a size [px], bilinearly as mmdet and this package's runtime do; boxes follow each axis' own factor."""
    old_height, old_width = sample.image.shape[:2]
    if (old_width, old_height) == (width, height):
        return sample
    image = cv2.resize(sample.image, (width, height), interpolation=cv2.INTER_LINEAR)
    factors = np.array([width / old_width, height / old_height] * 2, np.float32)
    return Sample(image, sample.boxes * factors, sample.labels)


def resize_keep_ratio(sample: Sample, long_side: int, short_side: int) -> Sample:
    """Resize so that the image just fits into (long_side, short_side)."""
    height, width = sample.image.shape[:2]
    scale = keep_ratio_scale(width, height, long_side, short_side)
    return resize(sample, max(int(width * scale + 0.5), 1), max(int(height * scale + 0.5), 1))


def flip(sample: Sample) -> Sample:
    """Mirror left and right."""
    width = sample.image.shape[1]
    boxes = sample.boxes.copy()
    boxes[:, [0, 2]] = width - sample.boxes[:, [2, 0]]
    return Sample(np.ascontiguousarray(sample.image[:, ::-1]), boxes, sample.labels)


def crop(sample: Sample, left: int, top: int, width: int, height: int, fill: int = 114) -> Sample:
    """Cut out a window; what lies outside the image is filled with grey.

    Boxes are clipped; those with less than ``MIN_VISIBLE`` of their area left are dropped.
    """
    rows, columns = sample.image.shape[:2]
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + width, columns), min(top + height, rows)
    part = sample.image[y1:y2, x1:x2]
    if part.shape[:2] == (height, width):
        image = part.copy()
    else:
        image = np.full((height, width, 3), fill, np.uint8)
        image[y1 - top : y2 - top, x1 - left : x2 - left] = part
    return clip_boxes(Sample(image, sample.boxes - np.array([left, top] * 2, np.float32), sample.labels))


def clip_boxes(sample: Sample) -> Sample:
    """Clip boxes to the image, dropping those with less than ``MIN_VISIBLE`` of their area inside."""
    height, width = sample.image.shape[:2]
    boxes = np.clip(sample.boxes, 0, np.array([width, height] * 2, np.float32))
    before = np.prod(sample.boxes[:, 2:] - sample.boxes[:, :2], axis=1)
    after = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    keep = (after > MIN_VISIBLE * before) & (after > 0)
    return Sample(sample.image, boxes[keep], sample.labels[keep])


def random_crop(sample: Sample, width: int, height: int, focus: float, rng: np.random.Generator) -> Sample:
    """Cut out a random window, with probability ``focus`` one that contains the centre of a randomly chosen object.

    The object's class is drawn first, so that rare classes come as often as common ones.
    """
    rows, columns = sample.image.shape[:2]
    x_range, y_range = _offsets(columns, width), _offsets(rows, height)
    if len(sample.boxes) and rng.random() < focus:
        label = rng.choice(np.unique(sample.labels))
        box = sample.boxes[rng.choice(np.flatnonzero(sample.labels == label))]
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        x_range = _narrow(x_range, x - width, x)
        y_range = _narrow(y_range, y - height, y)
    left = int(rng.integers(x_range[0], x_range[1] + 1))
    top = int(rng.integers(y_range[0], y_range[1] + 1))
    return crop(sample, left, top, width, height)


def _offsets(available: int, wanted: int) -> tuple[int, int]:
    """Smallest and largest start of a window; negative starts where the window is larger than the image."""
    return min(0, available - wanted), max(0, available - wanted)


def _narrow(limits: tuple[int, int], low: float, high: float) -> tuple[int, int]:
    low, high = max(limits[0], int(np.ceil(low))), min(limits[1], int(np.floor(high)))
    return (low, high) if low <= high else limits


def mosaic(samples: list[Sample], width: int, height: int, rng: np.random.Generator) -> Sample:
    """Four samples around a random centre, each at its own scale (no resizing), cut to the canvas (YOLOv4).

    Args:
        samples: four.
        width, height: of the canvas [px].
        rng: draws the centre from the middle half of the canvas.
    """
    x = int(rng.uniform(0.25, 0.75) * width)
    y = int(rng.uniform(0.25, 0.75) * height)
    canvas = np.full((height, width, 3), 114, np.uint8)
    boxes, labels = [], []
    windows = ((0, 0, x, y), (x, 0, width - x, y), (0, y, x, height - y), (x, y, width - x, height - y))
    for sample, (left, top, w, h) in zip(samples, windows, strict=True):
        part = random_crop(sample, w, h, focus=0.5, rng=rng)
        canvas[top : top + h, left : left + w] = part.image
        boxes.append(part.boxes + np.array([left, top] * 2, np.float32))
        labels.append(part.labels)
    return Sample(canvas, np.concatenate(boxes), np.concatenate(labels))


def jitter_colour(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Random brightness, contrast and gain of each channel, all within 1 +- ``strength`` (0 to 1)."""
    contrast = rng.uniform(1 - strength, 1 + strength)
    gains = rng.uniform(1 - strength / 3, 1 + strength / 3, 3) * contrast
    shift = 128 * (rng.uniform(1 - strength, 1 + strength) - contrast)
    table = np.clip(np.arange(256)[:, None] * gains + shift, 0, 255).round().astype(np.uint8)
    return cv2.LUT(image, table[None])


@dataclass(frozen=True)
class Augmentation:
    """What happens to a training image, in this order: mosaic, resize, crop, flip, colour.

    Attributes:
        long_side: limit of the longer side [px]; 0 leaves the size alone.
        short_sides: limits of the shorter side to draw from [px].
        multiscale: ``value`` draws one of ``short_sides``, ``range`` an integer between the smallest and largest.
        scale_range: an additional random factor, for training at the images' own size.
        crop: width and height of a random window [px]; None takes the whole image.
        crop_focus: probability that the window contains an object, its class drawn evenly.
        mosaic: probability that a sample is put together from four.
        flip: probability of mirroring.
        colour: strength of the colour jitter, 0 to 1.
    """

    long_side: int = 1333
    short_sides: tuple[int, ...] = (800,)
    multiscale: str = "value"
    scale_range: tuple[float, float] = (1.0, 1.0)
    crop: tuple[int, int] | None = None
    crop_focus: float = 0.7
    mosaic: float = 0.0
    flip: float = 0.5
    colour: float = 0.0

    def __post_init__(self) -> None:
        if self.long_side < 0 or not self.short_sides or min(self.short_sides) < 1:
            raise DatasetError(
                f"long_side {self.long_side} must be at least 0 and short_sides {self.short_sides} at least 1 px each."
            )
        if self.multiscale not in ("value", "range"):
            raise DatasetError(f"multiscale is {self.multiscale!r}; choose value or range.")
        if len(self.scale_range) != 2 or not 0 < self.scale_range[0] <= self.scale_range[1]:
            raise DatasetError(f"scale_range is {self.scale_range}; give the smallest and the largest factor, above 0.")
        if self.crop is not None and (len(self.crop) != 2 or min(self.crop) < 1):
            raise DatasetError(f"crop is {self.crop}; give width and height, at least 1 px each.")
        for name in ("crop_focus", "mosaic", "flip", "colour"):
            if not 0 <= getattr(self, name) <= 1:
                raise DatasetError(f"{name} is {getattr(self, name)}; it must lie in [0, 1].")


def augment(load: Callable[[], Sample], other: Callable[[], Sample], config: Augmentation, rng: np.random.Generator):
    """Make one training sample.

    Args:
        load: gives the image whose turn it is.
        other: gives a random other image each time, for mosaics.
        config: what to do.
        rng: the sample's own generator.
    """
    sample = load()
    if rng.random() < config.mosaic:
        height, width = sample.image.shape[:2]
        sample = mosaic([sample, other(), other(), other()], width, height, rng)
    if config.long_side:
        if config.multiscale == "range":
            short = int(rng.integers(min(config.short_sides), max(config.short_sides) + 1))
        else:
            short = int(rng.choice(config.short_sides))
        sample = resize_keep_ratio(sample, config.long_side, short)
    low, high = config.scale_range
    if low != 1 or high != 1:
        height, width = sample.image.shape[:2]
        factor = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        sample = resize(sample, max(round(width * factor), 1), max(round(height * factor), 1))
    if config.crop is not None:
        sample = random_crop(sample, *config.crop, focus=config.crop_focus, rng=rng)
    if rng.random() < config.flip:
        sample = flip(sample)
    if config.colour:
        sample = Sample(jitter_colour(sample.image, config.colour, rng), sample.boxes, sample.labels)
    return sample
