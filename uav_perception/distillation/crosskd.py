"""CrossKD (Wang et al., arXiv 2306.11369): the student's half-way head features finish their way in the teacher's head.

The predictions that come out ("cross-head") imitate the teacher's, so the student's own predictions are never asked to
obey the labels and the teacher at once. Constants are those of the authors' published training files.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from uav_perception.distillation.errors import DistillationError
from uav_perception.distillation.soft_targets import modulated_bce, soft_kl
from uav_perception.networks.boxes import giou, iou

_EPSILON = 1e-6  # the authors', beside the standard deviation


@dataclass(frozen=True)
class CrossKdConstants:
    """CrossKD's published constants for GFL; :meth:`published` gives those of each detector.

    Attributes:
        from_layer: number of tower layers that the student keeps; the teacher's remaining ones follow.
        class_weight: factor of the classification term.
        box_weight: factor of the box term.
        centerness_weight: factor of the centerness term (ATSS).
        temperature: of the distributions (GFL).
        box_loss: "kl" on distributions, "giou" or "iou" on boxes.
    """

    from_layer: int = 3
    class_weight: float = 1.0
    box_weight: float = 4.0
    centerness_weight: float = 0.0
    temperature: float = 1.0
    box_loss: str = "kl"

    def __post_init__(self) -> None:
        if not 0 <= self.from_layer <= 4:
            raise DistillationError(f"CrossKD's from_layer is {self.from_layer}; the towers have 4 layers, use 0 to 4")
        if self.box_loss not in ("kl", "giou", "iou"):
            raise DistillationError(f"CrossKD's box_loss is {self.box_loss!r}; use 'kl', 'giou' or 'iou'")
        for name in ("class_weight", "box_weight", "centerness_weight"):
            if not getattr(self, name) >= 0:
                raise DistillationError(f"CrossKD's {name} is {getattr(self, name)}; it must be at least 0")

    @classmethod
    def published(cls, detector: str, **changes: float | int | str) -> CrossKdConstants:
        """Constants for "gfl", "atss" or "fcos", with ``changes`` on top."""
        own = {
            "gfl": {},
            "atss": {"box_weight": 1.0, "centerness_weight": 1.0, "box_loss": "giou"},
            "fcos": {"from_layer": 2, "class_weight": 0.4, "box_weight": 0.75, "box_loss": "iou"},
        }
        if detector not in own:
            raise DistillationError(f"CrossKD has no constants for the detector {detector!r}; known: {', '.join(own)}")
        return cls(**{**own[detector], **changes})


def align_statistics(student: Tensor, teacher: Tensor) -> Tensor:
    """Give each channel of the student's map the mean and spread of the teacher's, over the batch and the pixels.

    Args:
        student: (N, C, H, W), before the activation.
        teacher: (N, C, H, W), before the activation; no gradient flows into it.

    Returns:
        (N, C, H, W).
    """
    if student.shape[1] != teacher.shape[1]:
        raise DistillationError(
            f"the student's head has {student.shape[1]} channels and the teacher's {teacher.shape[1]}; "
            "CrossKD needs heads of the same width"
        )
    teacher = teacher.detach()
    axes = (0, 2, 3)
    # One cell in all (P7 of a small image) has no spread: it takes the teacher's value.
    correction = 1 if student.numel() > student.shape[1] else 0
    student_mean, teacher_mean = student.mean(axes, keepdim=True), teacher.mean(axes, keepdim=True)
    student_std = student.std(axes, correction=correction, keepdim=True)
    teacher_std = teacher.std(axes, correction=correction, keepdim=True)
    return (student - student_mean) / (student_std + _EPSILON) * teacher_std + teacher_mean


def class_loss(cross: Tensor, teacher: Tensor, normaliser: float) -> Tensor:
    """Quality-focal imitation (beta 1) of the class logits at every location.

    Args:
        cross: cross-head class logits (..., C).
        teacher: the teacher's class logits (..., C).
        normaliser: positives of the batch (GFL, ATSS) or the sum of their centerness (FCOS); above 0.

    Returns:
        A scalar, not yet weighted.
    """
    return modulated_bce(cross, teacher).sum() / normaliser


def teacher_confidence(teacher: Tensor) -> Tensor:
    """The teacher's highest class score at each location: logits (..., C) to (...), the weight of the box terms."""
    return teacher.detach().sigmoid().amax(dim=-1)


def distribution_loss(cross: Tensor, teacher: Tensor, confidence: Tensor, temperature: float) -> Tensor:
    """GFL's box term: KL of the four side distributions, weighted by the teacher's confidence and divided by its sum.

    Args:
        cross: (..., 4, bins).
        teacher: (..., 4, bins).
        confidence: (...).
        temperature: T, 1 as published.

    Returns:
        A scalar, not yet weighted.
    """
    divergence = soft_kl(cross, teacher, temperature).mean(dim=-1)
    return (divergence * confidence).sum() / confidence.sum().clamp(min=torch.finfo(confidence.dtype).tiny)


def box_loss(cross: Tensor, teacher: Tensor, confidence: Tensor, normaliser: float, measure: str) -> Tensor:
    """The box term of delta heads.

    Args:
        cross: (..., 4) xyxy px.
        teacher: (..., 4) xyxy px.
        confidence: (...).
        normaliser: as in :func:`class_loss`.
        measure: "giou" gives 1 - GIoU (ATSS), "iou" gives -ln IoU (FCOS; the IoU is at least 1e-6).

    Returns:
        A scalar, not yet weighted.
    """
    if measure == "giou":
        distance = 1 - giou(cross, teacher.detach())
    else:
        distance = -iou(cross, teacher.detach()).clamp(min=1e-6).log()
    return (distance * confidence).sum() / normaliser


def centerness_loss(cross: Tensor, teacher: Tensor, normaliser: float) -> Tensor:
    """Binary cross entropy of the positives' centerness logits (P,) to the teacher's probabilities (ATSS).

    Returns:
        A scalar, not yet weighted.
    """
    target = teacher.detach().sigmoid()
    return F.binary_cross_entropy_with_logits(cross, target, reduction="sum") / normaliser
