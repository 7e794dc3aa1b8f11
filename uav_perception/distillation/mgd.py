"""MGD (Yang et al. 2022): the student's masked feature map must regenerate the teacher's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from uav_perception.distillation.errors import DistillationError


@dataclass(frozen=True)
class MgdConstants:
    """MGD's published constants for one-stage detectors.

    Attributes:
        weight: factor of the squared error.
        masked: probability that a pixel of the student's map is set to zero.
    """

    weight: float = 2e-5
    masked: float = 0.65

    def __post_init__(self) -> None:
        if not 0 <= self.masked < 1:
            raise DistillationError(f"the masked share is {self.masked}; it must lie in [0, 1)")
        if not self.weight >= 0:
            raise DistillationError(f"the weight is {self.weight}; it must be at least 0")


def random_mask(features: Tensor, masked: float, generator: torch.Generator | None = None) -> Tensor:
    """A mask (N, 1, H, W) that is 0 with probability ``masked`` and 1 elsewhere, the same for every channel."""
    shape = (features.shape[0], 1, *features.shape[2:])
    drawn = torch.rand(shape, generator=generator, device=features.device)
    return (drawn >= masked).to(features.dtype)


class FeatureGenerator(nn.Module):
    """Two 3x3 convolutions with a ReLU between them: rebuilds what the mask removed. Used in training only.

    Args:
        student_channels: channels of the masked map.
        teacher_channels: channels of the map to be rebuilt.
    """

    def __init__(self, student_channels: int, teacher_channels: int) -> None:
        super().__init__()
        self.align = (
            nn.Identity() if student_channels == teacher_channels else nn.Conv2d(student_channels, teacher_channels, 1)
        )
        self.rebuild = nn.Sequential(
            nn.Conv2d(teacher_channels, teacher_channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(teacher_channels, teacher_channels, 3, padding=1),
        )

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Rebuild the teacher's map (N, C_t, H, W) from the student's (N, C_s, H, W) under ``mask`` (N, 1, H, W)."""
        return self.rebuild(self.align(features) * mask)


def regeneration_loss(rebuilt: Tensor, teacher: Tensor) -> Tensor:
    """Sum of the squared errors, divided by the batch size. Both (N, C, H, W); the teacher gets no gradient."""
    return ((rebuilt - teacher.detach()) ** 2).sum() / teacher.shape[0]
