"""Non-maximum suppression: of boxes that cover the same object, the surest stays."""

from __future__ import annotations

import numpy as np


def nms(
    boxes: np.ndarray,
    scores: np.ndarray,
    class_ids: np.ndarray | None,
    iou_threshold: float,
    max_detections: int | None = None,
    over_smaller: bool = False,
) -> np.ndarray:
    """Greedy suppression, exact: a box falls if a surer kept one overlaps it by more than the threshold.

    Args:
        boxes: shape (N, 4), ``x_min, y_min, x_max, y_max``.
        scores: shape (N,).
        class_ids: shape (N,): only boxes of the same class suppress each other. None: all do (class-agnostic).
        iou_threshold: part that must be shared, 0 to 1.
        max_detections: how many are kept at most; None for all.
        over_smaller: compare the intersection with the smaller of the two boxes instead of their union.

    Returns:
        Indices of the kept boxes by falling score; equal scores in their order of input.
    """
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    order = np.argsort(-np.asarray(scores, np.float32), kind="stable")
    limit = len(order) if max_detections is None else max_detections
    if class_ids is not None:
        boxes = _apart(boxes, np.asarray(class_ids))
    sides = np.ascontiguousarray(boxes[order].T)
    x_min, y_min, x_max, y_max = sides
    areas = (x_max - x_min) * (y_max - y_min)
    alive = np.arange(len(order))
    kept: list[int] = []
    while len(alive) and len(kept) < limit:
        best, rest = alive[0], alive[1:]
        kept.append(order[best])
        wide = np.minimum(x_max[best], x_max[rest]) - np.maximum(x_min[best], x_min[rest])
        high = np.minimum(y_max[best], y_max[rest]) - np.maximum(y_min[best], y_min[rest])
        shared = np.maximum(wide, 0) * np.maximum(high, 0)
        both = areas[best] + areas[rest] - shared
        whole = np.minimum(areas[best], areas[rest]) if over_smaller else both
        alive = rest[shared <= iou_threshold * whole]  # no division, so that empty boxes need no special case
    return np.array(kept, np.int64)


def _apart(boxes: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
    """Move the boxes of each class to a place of their own, so that classes never overlap.

    In float64, as float32 would round boxes of high class ids to a fraction of a pixel.
    """
    if not len(boxes):
        return boxes
    width = float(boxes[:, 2].max()) - float(boxes[:, 0].min()) + 1.0
    shift = class_ids.astype(np.float64) * width
    moved = boxes.astype(np.float64)
    moved[:, 0] += shift
    moved[:, 2] += shift
    return moved
