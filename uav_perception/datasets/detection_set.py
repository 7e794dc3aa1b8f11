"""Annotated images as every reader of a detection data set returns them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from uav_perception.datasets.errors import DatasetError
from uav_perception.evaluation.truth import ImageTruth

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnnotatedImage:
    """One image and what is in it.

    Attributes:
        path: the image file.
        name: its name within the data set, without folder for flat sets (``0000001_00000_d_0000001.jpg``).
        truth: boxes, classes, what is to be ignored, and the image's size.
    """

    path: Path
    name: str
    truth: ImageTruth


@dataclass(frozen=True)
class DetectionSet:
    """A data set in memory: annotations, not pixels.

    Attributes:
        images: in the order of the annotation file or of the sorted names.
        class_names: name by class id.
        problems: what was skipped while reading, one line each, with file and reason.
    """

    images: tuple[AnnotatedImage, ...]
    class_names: tuple[str, ...]
    problems: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def counts(self) -> dict[str, int]:
        """Objects of each class, without those to be ignored."""
        totals = np.zeros(len(self.class_names), int)
        for image in self.images:
            totals += np.bincount(image.truth.class_ids[~image.truth.ignored], minlength=len(totals))
        return dict(zip(self.class_names, totals.tolist(), strict=True))


@dataclass
class ProblemLog:
    """Collects what a reader had to skip; says how much at the end."""

    lines: list[str] = field(default_factory=list)

    def skip(self, what: str, why: str) -> None:
        """Record one skipped image or box."""
        self.lines.append(f"{what}: {why}")

    def report(self, source: str | Path) -> tuple[str, ...]:
        """Log the number and the first few lines; return all of them."""
        if self.lines:
            first = "; ".join(self.lines[:5]) + ("; ..." if len(self.lines) > 5 else "")
            _log.warning("%s: skipped %d entries: %s", source, len(self.lines), first)
        return tuple(self.lines)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height from an image file's header [px].

    Raises:
        DatasetError: the file is missing, empty or no image.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except FileNotFoundError:
        raise DatasetError(f"the image {path} does not exist") from None
    except (UnidentifiedImageError, OSError) as error:
        raise DatasetError(f"the image {path} cannot be read ({error})") from error


def decode_image(item: AnnotatedImage, data: np.ndarray | None = None) -> np.ndarray:
    """The pixels of an annotated image.

    Args:
        item: what to decode.
        data: the file's bytes (uint8); read from the file when None.

    Returns:
        (H, W, 3) uint8 BGR, the pixels as they are stored: EXIF's orientation is ignored, as everywhere here.

    Raises:
        DatasetError: it cannot be decoded, or its size is not the annotation's: the boxes would lie elsewhere.
    """
    if data is None:
        try:
            data = np.fromfile(item.path, np.uint8)
        except OSError as error:
            raise DatasetError(f"the image {item.path} cannot be read ({error})") from error
    image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION) if len(data) else None
    if image is None:
        raise DatasetError(f"the image {item.path} cannot be decoded")
    size, annotated = (image.shape[1], image.shape[0]), (item.truth.width, item.truth.height)
    if all(annotated) and size != annotated:
        raise DatasetError(
            f"the image {item.path} has {size[0]}x{size[1]} px, but its annotation is for {annotated[0]}x{annotated[1]}"
        )
    return image


def usable_box(box: Sequence[float], width: int, height: int) -> tuple[np.ndarray | None, str]:
    """Clip a box to its image.

    Args:
        box: x_min, y_min, x_max, y_max [px].
        width, height: of the image [px]; 0 when unknown (then nothing is clipped).

    Returns:
        The clipped box, or None and the reason why there is none.
    """
    array = np.asarray(box, np.float64)
    if not np.isfinite(array).all():
        return None, f"the box {list(box)} is not finite"
    if array[2] <= array[0] or array[3] <= array[1]:
        return None, f"the box {array.tolist()} has no area"
    if width and height:
        clipped = np.clip(array, 0, (width, height, width, height))
        if clipped[2] <= clipped[0] or clipped[3] <= clipped[1]:
            return None, f"the box {array.tolist()} lies outside the image of {width}x{height}"
        return clipped, ""
    return array, ""
