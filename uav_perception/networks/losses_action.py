"""LARMUV's training loss: section II-C and II-D of the paper. All losses are per clip; the caller averages."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from uav_perception.distillation.soft_targets import soft_kl
from uav_perception.networks.errors import NetworkError

FORMS = ("kl", "literal")


def _modulated(log_p: Tensor, gamma: float) -> Tensor:
    """``(1 - p)^gamma log p``. At p = 1 a power below 1 has no derivative: 0 is taken there."""
    wrong = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).tiny)
    return wrong**gamma * log_p


def focal_loss(logits: Tensor, labels: Tensor, gamma: float = 2.0) -> Tensor:
    """Multi-class focal loss, ``-(1 - p_y)^gamma log p_y`` (eq. 8 with softmax probabilities). gamma 0: cross entropy.

    Args:
        logits: (B, C).
        labels: (B,) int64.
        gamma: at least 0.

    Returns:
        (B,).
    """
    log_p = F.log_softmax(logits, -1).gather(-1, labels[:, None])[:, 0]
    return -_modulated(log_p, gamma)


def soft_focal_loss(logits: Tensor, teacher: Tensor, temperature: float, gamma: float = 2.0) -> Tensor:
    """Eq. 9's second term read literally: the same focal loss with the teacher's eq. 10 probabilities as labels.

    ``-sum_i q_i (1 - p_i)^gamma log p_i`` with q softened by T and p, "the output of the student", not.

    Args:
        logits: student's (B, C).
        teacher: teacher's logits (B, C); they get no gradient.
        temperature: T of eq. 10.
        gamma: at least 0.

    Returns:
        (B,).
    """
    log_p = F.log_softmax(logits, -1)
    q = F.softmax(teacher.detach() / temperature, -1)
    return -(q * _modulated(log_p, gamma)).sum(-1)


@dataclass(frozen=True)
class ActionLoss:
    """Eq. 9: ``(1 - lambda) hard + lambda soft``.

    Attributes:
        gamma: of the focal loss; 0 is the ablation's cross entropy.
        distillation: lambda. Without teacher logits the hard term stands alone, unscaled.
        temperature: T of eq. 10.
        form: "kl" (``T^2 KL(q || p)``, both softened) or "literal" (`soft_focal_loss`).
    """

    gamma: float = 2.0
    distillation: float = 0.0
    temperature: float = 2.0
    form: str = "kl"

    def __post_init__(self) -> None:
        if self.gamma < 0 or self.temperature <= 0 or not 0 <= self.distillation <= 1:
            raise NetworkError(
                f"The action loss needs gamma >= 0, temperature > 0 and distillation in [0, 1], got {self.gamma}, "
                f"{self.temperature}, {self.distillation}."
            )
        if self.form not in FORMS:
            raise NetworkError(f"form is {self.form!r}; choose one of {', '.join(FORMS)}.")

    def __call__(self, logits: Tensor, labels: Tensor, teacher: Tensor | None = None) -> Tensor:
        """(B,) losses of (B, C) logits."""
        hard = focal_loss(logits, labels, self.gamma)
        if teacher is None or self.distillation == 0:
            return hard
        if self.form == "kl":
            soft = soft_kl(logits, teacher, self.temperature)
        else:
            soft = soft_focal_loss(logits, teacher, self.temperature, self.gamma)
        return (1 - self.distillation) * hard + self.distillation * soft
