"""How much boxes cover each other."""

from __future__ import annotations

import numpy as np

from uav_perception.evaluation.truth import box_areas


def overlaps(boxes: np.ndarray, others: np.ndarray, crowd: np.ndarray | None = None) -> np.ndarray:
    """Intersection over union of every pair; over the area of the first box where the second is a crowd.

    Args:
        boxes: shape (N, 4), x_min, y_min, x_max, y_max [px].
        others: shape (M, 4).
        crowd: bool, shape (M,): a box may lie anywhere inside such a region and still covers it fully (COCO's
            ``iscrowd``; the modified criterion of Dollar et al., Pedestrian Detection, PAMI 2012, section 3).

    Returns:
        float64, shape (N, M), 0 to 1. 0 where boxes only touch.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    others = np.asarray(others, np.float64).reshape(-1, 4)
    upper = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    sides = (upper - np.maximum(boxes[:, None, :2], others[None, :, :2])).clip(min=0)
    shared = sides[..., 0] * sides[..., 1]
    area, other_area = box_areas(boxes)[:, None], box_areas(others)[None, :]
    whole = area + other_area - shared
    if crowd is not None:
        whole = np.where(np.asarray(crowd, bool)[None, :], area, whole)
    return np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
