"""Losses of dense detectors. Each returns one value per element; sums and divisors are the heads' business."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from uav_perception.networks import boxes as box_ops


def quality_focal_loss(logits: Tensor, labels: Tensor, quality: Tensor, beta: float = 2.0) -> Tensor:
    """Quality focal loss (GFL, eq. 5).

    The class of a positive is pulled to its box quality y with |y - p|^beta BCE(p, y), every other entry to 0 with
    p^beta BCE(p, 0). The gradient flows through the modulating factor too, as in the published implementation.

    Args:
        logits: (..., C).
        labels: (...), class of a positive, C for background.
        quality: (...), IoU of the predicted with the true box, 0 to 1; not looked at for background.
        beta: exponent of the modulating factor.

    Returns:
        (..., C), not negative.
    """
    probabilities = logits.sigmoid()
    classes = logits.shape[-1]
    target = F.one_hot(labels, classes + 1)[..., :classes] * quality.unsqueeze(-1)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (target - probabilities).abs().pow(beta) * cross_entropy


def distribution_focal_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Distribution focal loss (GFL, eq. 6): cross-entropy with the two bins around the target.

    Args:
        logits: (..., bins).
        target: (...), distance in bins, 0 <= target < bins - 1.

    Returns:
        (...).
    """
    left = target.floor().long()
    weight_right = target - left
    log_probability = logits.log_softmax(-1)
    at_left = log_probability.gather(-1, left.unsqueeze(-1)).squeeze(-1)
    at_right = log_probability.gather(-1, left.unsqueeze(-1) + 1).squeeze(-1)
    return -(at_left * (1 - weight_right) + at_right * weight_right)


def focal_loss(logits: Tensor, labels: Tensor, gamma: float = 2.0, alpha: float = 0.25) -> Tensor:
    """Sigmoid focal loss (RetinaNet, eq. 5) of logits (..., C) and labels (...), C for background; (..., C)."""
    classes = logits.shape[-1]
    target = F.one_hot(labels, classes + 1)[..., :classes].to(logits.dtype)
    probabilities = logits.sigmoid()
    miss = (1 - probabilities) * target + probabilities * (1 - target)
    weight = alpha * target + (1 - alpha) * (1 - target)
    return weight * miss.pow(gamma) * F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def giou_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """1 - GIoU of boxes (..., 4); 0 to 2."""
    return 1 - box_ops.giou(predicted, target)


def iou_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """-ln IoU of boxes (..., 4) (UnitBox), the IoU kept above 1e-6."""
    return -box_ops.iou(predicted, target).clamp(min=1e-6).log()


def binary_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of logits with targets 0 to 1, elementwise."""
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def weighted_sum(values: Tensor, weights: Tensor, divisor: Tensor | float) -> Tensor:
    """sum(values * weights) / divisor; an empty sum keeps its graph, so that every parameter gets a gradient."""
    return torch.sum(values * weights) / divisor
