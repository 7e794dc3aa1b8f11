"""Square cut-outs around actors."""

from __future__ import annotations

import cv2
import numpy as np

_SMALLEST_SIDE = 8  # [px]


def square_crop(image: np.ndarray, box: np.ndarray, scale: float) -> np.ndarray | None:
    """Cut a square around a box, with context. What lies outside the image repeats the image's edge.

    Args:
        image: uint8, shape (H, W, 3).
        box: ``x_min, y_min, x_max, y_max`` [px].
        scale: side of the square over the longer side of the box.

    Returns:
        uint8, shape (S, S, 3), a view where the square lies inside the image; None for a box that is not finite, is
        empty, or has its centre outside the image.
    """
    height, width = image.shape[:2]
    x_min, y_min, x_max, y_max = (float(value) for value in box)
    if not np.isfinite(box).all() or x_max <= x_min or y_max <= y_min:
        return None
    x, y = (x_min + x_max) / 2, (y_min + y_max) / 2
    if not (0 <= x < width and 0 <= y < height):
        return None
    side = max(_SMALLEST_SIDE, round(scale * max(x_max - x_min, y_max - y_min)))
    left, top = round(x - side / 2), round(y - side / 2)
    right, bottom = left + side, top + side
    inside = image[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    if inside.shape[:2] == (side, side):
        return inside
    return cv2.copyMakeBorder(
        inside, max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0), cv2.BORDER_REPLICATE
    )
