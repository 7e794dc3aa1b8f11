"""Soft targets: how far a student's probabilities are from a teacher's. Shared by detectors and action networks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from uav_perception.distillation.errors import DistillationError


def soft_kl(student: Tensor, teacher: Tensor, temperature: float, reduce_bins: str = "sum") -> Tensor:
    """``T^2 KL(softmax(teacher / T) || softmax(student / T))`` over the last axis. The teacher gets no gradient.

    Args:
        student: logits (..., n).
        teacher: logits (..., n).
        temperature: T > 0; both sides are softened by it.
        reduce_bins: "sum" is the divergence itself (Hinton et al. 2015); "mean" divides it by n, as LD does.

    Returns:
        (...), at least 0 up to rounding.

    Raises:
        DistillationError: the shapes differ, T is not positive, or ``reduce_bins`` is unknown.
    """
    if student.shape != teacher.shape:
        raise DistillationError(
            f"student logits {tuple(student.shape)} and teacher logits {tuple(teacher.shape)} differ in shape; "
            "give both networks the same classes and the same reg_max"
        )
    if not temperature > 0:
        raise DistillationError(f"the temperature is {temperature}; it must be above 0")
    if reduce_bins not in ("sum", "mean"):
        raise DistillationError(f"reduce_bins is {reduce_bins!r}; use 'sum' or 'mean'")
    log_student = F.log_softmax(student / temperature, dim=-1)
    log_teacher = F.log_softmax(teacher.detach() / temperature, dim=-1)
    divergence = (log_teacher.exp() * (log_teacher - log_student)).sum(dim=-1)
    if reduce_bins == "mean":
        divergence = divergence / student.shape[-1]
    return divergence * temperature**2


def modulated_bce(student: Tensor, teacher: Tensor) -> Tensor:
    """Binary cross entropy to the teacher's probabilities, times the gap between the two.

    ``|sigma(t) - sigma(s)| * BCE(sigma(s), sigma(t))`` per element; BCKD's and CrossKD's classification term. The
    gradient flows through the gap too, as in both.

    Args:
        student: logits of any shape.
        teacher: logits of the same shape; no gradient flows into them.

    Returns:
        A tensor of the same shape.
    """
    target = teacher.detach().sigmoid()
    gap = (target - student.sigmoid()).abs()
    return gap * F.binary_cross_entropy_with_logits(student, target, reduction="none")
