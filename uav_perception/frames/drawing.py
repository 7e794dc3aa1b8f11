"""Boxes, ids and labels drawn over a camera image, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

# BGR, told apart on grass, asphalt and sand alike.
_COLORS = (
    (60, 76, 255), (75, 180, 60), (216, 99, 67), (49, 130, 245), (244, 212, 66), (230, 50, 240),
    (69, 239, 191), (212, 190, 250), (144, 153, 70), (200, 250, 255), (36, 99, 154), (195, 255, 170),
)  # fmt: skip
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK, _PAPER = (255, 255, 255), (32, 32, 32)


@dataclass(frozen=True)
class Marker:
    """One box to draw.

    Attributes:
        box: x_min, y_min, x_max, y_max [px].
        text: what to write at it; empty for nothing.
        color: chooses the colour: the same number, the same colour (a track id, or a class where there is none).
    """

    box: Sequence[float]
    text: str
    color: int


def draw(image: np.ndarray, markers: Sequence[Marker], caption: str = "") -> np.ndarray:
    """Draw boxes with labels, and a caption in the upper left corner.

    Line and letter sizes follow the image's height, so that the result is readable at any size.

    Args:
        image: uint8, shape (H, W, 3), BGR; not changed.
        markers: boxes; later ones lie on top.
        caption: a line about the whole image; empty for none.

    Returns:
        A new image of the same shape.
    """
    canvas = image.copy()
    scale = max(0.35, image.shape[0] / 1200)
    thickness = max(1, round(image.shape[0] / 500))
    for marker in markers:
        color = _COLORS[marker.color % len(_COLORS)]
        x_min, y_min, x_max, y_max = (round(float(v)) for v in marker.box)
        cv2.rectangle(canvas, (x_min, y_min), (x_max, y_max), color, thickness)
    for marker in markers:
        if marker.text:
            x, y = round(float(marker.box[0])), round(float(marker.box[1]))
            _write(canvas, marker.text, x, y, scale, _COLORS[marker.color % len(_COLORS)])
    if caption:
        _write(canvas, caption, 0, 0, 1.6 * scale, _PAPER)
    return canvas


def _write(canvas: np.ndarray, text: str, x: int, bottom: int, scale: float, paper: tuple[int, int, int]) -> None:
    """A line of text on a filled strip whose lower left corner is at (x, bottom), pushed inside the image."""
    (width, height), baseline = cv2.getTextSize(text, _FONT, scale, 1)
    strip = height + baseline + 2
    top = min(max(bottom - strip, 0), max(canvas.shape[0] - strip, 0))
    x = min(max(x, 0), max(canvas.shape[1] - width - 2, 0))
    cv2.rectangle(canvas, (x, top), (x + width + 2, top + strip), paper, cv2.FILLED)
    ink = _INK if sum(paper) < 400 else (0, 0, 0)
    cv2.putText(canvas, text, (x + 1, top + height + 1), _FONT, scale, ink, 1, cv2.LINE_AA)
