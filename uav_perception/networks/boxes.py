"""Box arithmetic: overlaps, side distances, delta coding and distributions over distances.

Boxes are ``x_min, y_min, x_max, y_max``; every function works in any unit as long as all arguments share it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_EPS = 1e-6
DELTA_STDS = (0.1, 0.1, 0.2, 0.2)
# The largest change of size that a delta may ask for (Fast R-CNN's and mmdet's 16/1000).
_MAX_LOG_RATIO = abs(math.log(16 / 1000))


def box_area(boxes: Tensor) -> Tensor:
    """Areas of boxes (..., 4); a box turned inside out has area 0."""
    return (boxes[..., 2] - boxes[..., 0]).clamp(min=0) * (boxes[..., 3] - boxes[..., 1]).clamp(min=0)


def _intersection_and_union(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    size = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    intersection = size[..., 0] * size[..., 1]
    return intersection, box_area(a) + box_area(b) - intersection


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes that broadcast, (..., 4) and (..., 4) to (...), 0 to 1.

    Two boxes without area have IoU 0.
    """
    intersection, union = _intersection_and_union(a, b)
    return intersection / union.clamp(min=_EPS)


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU (Rezatofighi et al., 2019) of boxes that broadcast, -1 to 1."""
    intersection, union = _intersection_and_union(a, b)
    union = union.clamp(min=_EPS)
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    hull_area = (hull[..., 0] * hull[..., 1]).clamp(min=_EPS)
    return intersection / union - (hull_area - union) / hull_area


def diou(a: Tensor, b: Tensor) -> Tensor:
    """Distance IoU (Zheng et al., 2020) of boxes that broadcast: IoU - (centre distance / hull diagonal)^2."""
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    diagonal = hull.square().sum(-1).clamp(min=_EPS)
    offset = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    return iou(a, b) - offset.square().sum(-1) / diagonal


def box_centres(boxes: Tensor) -> Tensor:
    """Centres (..., 2) of boxes (..., 4)."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def boxes_to_distances(points: Tensor, boxes: Tensor, maximum: float | None = None) -> Tensor:
    """Distances ``left, top, right, bottom`` from points (..., 2) to the sides of boxes (..., 4).

    A point outside its box gets a negative distance, unless ``maximum`` is given: then distances are clamped to
    0..maximum (GFL's DFL targets use reg_max - 0.1, so that both neighbouring bins exist).
    """
    distances = torch.cat([points - boxes[..., :2], boxes[..., 2:] - points], -1)
    return distances if maximum is None else distances.clamp(min=0, max=maximum)


def distances_to_boxes(points: Tensor, distances: Tensor) -> Tensor:
    """Boxes (..., 4) whose sides lie ``left, top, right, bottom`` (..., 4) from points (..., 2)."""
    return torch.cat([points - distances[..., :2], points + distances[..., 2:]], -1)


def decode_deltas(anchors: Tensor, deltas: Tensor) -> Tensor:
    """Boxes that lie at offsets to anchors (Faster R-CNN's coding over ``DELTA_STDS``).

    Args:
        anchors: (..., 4).
        deltas: dx, dy, dw, dh (..., 4); changes of size are limited to a factor of 62.5, as in mmdet.
    """
    deltas = deltas * deltas.new_tensor(DELTA_STDS)
    anchor_size = anchors[..., 2:] - anchors[..., :2]
    centre = box_centres(anchors) + deltas[..., :2] * anchor_size
    half = anchor_size * deltas[..., 2:].clamp(-_MAX_LOG_RATIO, _MAX_LOG_RATIO).exp() / 2
    return torch.cat([centre - half, centre + half], -1)


def integral(distributions: Tensor, bins: int) -> Tensor:
    """Expected distance of each side: softmax over the bins, times 0, 1, ..., bins-1 (GFL, eq. 4).

    Args:
        distributions: logits (..., 4 * bins), sides left, top, right, bottom one after the other.
        bins: reg_max + 1.

    Returns:
        Distances (..., 4) in units of the stride, 0 to bins - 1.
    """
    logits = distributions.unflatten(-1, (4, bins))
    with torch.autocast(logits.device.type, enabled=False):  # it would round the distances to half precision
        return logits.softmax(-1) @ torch.arange(bins, dtype=logits.dtype, device=logits.device)


def centerness(distances: Tensor) -> Tensor:
    """FCOS's centerness (eq. 3) of distances (..., 4), 0 to 1: sqrt(min(l,r)/max(l,r) * min(t,b)/max(t,b)).

    Negative distances count as 0, and a side pair of zeros gives 0 instead of 0/0.
    """
    distances = distances.clamp(min=0)
    horizontal, vertical = distances[..., (0, 2)], distances[..., (1, 3)]
    ratio = horizontal.amin(-1) / horizontal.amax(-1).clamp(min=_EPS)
    ratio = ratio * vertical.amin(-1) / vertical.amax(-1).clamp(min=_EPS)
    return ratio.sqrt()
