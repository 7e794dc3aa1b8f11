"""How alike two boxes are: overlap, and measures that still say something when tiny boxes do not overlap.

Every function takes boxes of shape (N, 4) and (M, 4), ``x_min, y_min, x_max, y_max`` [px], and gives float64 of shape
(N, M), larger is more alike, 1 for equal boxes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Similarity = Callable[[np.ndarray, np.ndarray], np.ndarray]

_TINY = 1e-9  # keeps 0 / 0 out; far below a pixel


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union, 0 to 1."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.clip(high - low, 0, None).prod(axis=-1)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=-1) for boxes in (a, b))
    return overlap / np.maximum(area_a[:, None] + area_b[None, :] - overlap, _TINY)


def buffered_iou(a: np.ndarray, b: np.ndarray, buffer: float = 0.5) -> np.ndarray:
    """IoU of boxes enlarged on every side by ``buffer`` times their width and height, 0 to 1.

    Source: Yang et al., "Hard to Track Objects with Irregular Motions and Similar Appearances? Make It Easier by
        Buffering
    the Matching Space", WACV 2023, eq. 1.
    """
    return iou(_enlarged(a, buffer), _enlarged(b, buffer))


def _enlarged(boxes: np.ndarray, buffer: float) -> np.ndarray:
    boxes = np.asarray(boxes, np.float64)
    margin = buffer * (boxes[:, 2:] - boxes[:, :2])
    return np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)


def wasserstein(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Normalised Wasserstein distance of the boxes as Gaussians, ``exp(-W / size)``, 0 to 1.

    Source: Wang et al., "A Normalized Gaussian Wasserstein Distance for Tiny Object Detection", 2021, eq. 8 and 10.
        Their
    constant, the mean object size of a data set, is here the pair's own mean side, so that no scale is built in.
    """
    a, b = _centres_and_sizes(a), _centres_and_sizes(b)
    centres = ((a[:, None, :2] - b[None, :, :2]) ** 2).sum(axis=-1)
    sizes = (((a[:, None, 2:] - b[None, :, 2:]) / 2) ** 2).sum(axis=-1)
    side = (_side(a)[:, None] + _side(b)[None, :]) / 2
    return np.exp(-np.sqrt(centres + sizes) / np.maximum(side, _TINY))


def diou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU minus the squared distance of the centres over the squared diagonal of the hull, moved from -1..1 to 0..1.

    Source: Zheng et al., "Distance-IoU Loss", AAAI 2020, eq. 5 to 7.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    hull = np.maximum(a[:, None, 2:], b[None, :, 2:]) - np.minimum(a[:, None, :2], b[None, :, :2])
    step = (a[:, None, :2] + a[:, None, 2:] - b[None, :, :2] - b[None, :, 2:]) / 2
    penalty = (step**2).sum(axis=-1) / np.maximum((hull**2).sum(axis=-1), _TINY)
    return (1 + iou(a, b) - penalty) / 2


def _centres_and_sizes(boxes: np.ndarray) -> np.ndarray:
    boxes = np.asarray(boxes, np.float64)
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


def _side(centres_and_sizes: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(centres_and_sizes[:, 2] * centres_and_sizes[:, 3], 0))


SIMILARITIES: dict[str, Similarity] = {
    "iou": iou,
    "buffered_iou": buffered_iou,
    "wasserstein": wasserstein,
    "diou": diou,
}
