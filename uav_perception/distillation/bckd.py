"""BCKD (Yang et al. 2023): class scores are taught as binary decisions, boxes by their overlap, over all locations.

Classes: ``sum_c |sigma(t) - sigma(s)| BCE(s, sigma(t))``. Boxes: ``4 w (1 - GIoU(student box, teacher box))`` with
``w = max_c |sigma(t) - sigma(s)|``. Both sums are divided by the number of positives, and a level of the batch without
positives contributes nothing. It needs no distributions, so it fits delta heads as they are.
"""

from __future__ import annotations

from torch import Tensor

from uav_perception.distillation.soft_targets import modulated_bce
from uav_perception.networks.boxes import giou

CLASS_WEIGHT = 1.0
BOX_WEIGHT = 4.0


def score_gap(student: Tensor, teacher: Tensor) -> Tensor:
    """The largest gap between the class scores at each location, without gradient: logits (..., C) to (...)."""
    return (teacher.detach().sigmoid() - student.detach().sigmoid()).abs().amax(dim=-1)


def class_loss(student: Tensor, teacher: Tensor, level_has_positives: Tensor, positives: float) -> Tensor:
    """The classification term; the modulator stays in the gradient.

    Args:
        student: class logits (..., C).
        teacher: class logits (..., C).
        level_has_positives: (...) bool: does the location's level hold a positive anywhere in the batch?
        positives: the divisor, at least 1 (positives of the batch, averaged over devices).

    Returns:
        A scalar.
    """
    per_location = modulated_bce(student, teacher).sum(dim=-1)
    return CLASS_WEIGHT * (per_location * level_has_positives).sum() / positives


def box_loss(
    student_boxes: Tensor, teacher_boxes: Tensor, weights: Tensor, level_has_positives: Tensor, positives: float
) -> Tensor:
    """The localization term.

    Args:
        student_boxes: (..., 4) xyxy px.
        teacher_boxes: (..., 4) xyxy px.
        weights: (...), constant: :func:`score_gap`, or CID's weights.
        level_has_positives: (...) bool.
        positives: the divisor, at least 1.

    Returns:
        A scalar.
    """
    distance = 1 - giou(student_boxes, teacher_boxes.detach())
    return BOX_WEIGHT * (weights.detach() * distance * level_has_positives).sum() / positives
