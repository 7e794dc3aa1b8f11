"""Exchange between the classification and the localisation tower: Light-ML and the variants it is compared with.

Source: "Centerness-based Instance-aware Knowledge Distillation with Task-wise Mutual Lifting", section 3.2 and Table 6.
Every module maps the two tower outputs, each (B, C, H, W), to two tensors of the same shape, and is shared over levels.
The localisation logits do not exist yet at this place, so the variant that feeds them back is a part of the head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from uav_perception.networks.errors import NetworkError

FUSIONS = ("none", "light_ml", "shuffle", "cls_to_reg", "reg_to_cls")


def channel_shuffle(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Interleave the channels of two tensors (a0, b0, a1, b1, ...) and cut the result into two halves."""
    return torch.stack([a, b], 2).flatten(1, 2).chunk(2, 1)


class LightML(nn.Module):
    """Lightweight mutual lifting (eq. 3 to 6).

    The first k*C channels of both towers go together through one dense 3x3 convolution; the others are shuffled. Each
    tower gets half of either result, the convolved half first.

    Args:
        channels: C, of each tower.
        k: share of the channels that are convolved, 0 to 1. k = 0 shuffles only.
        activation: follow the convolution by GroupNorm and ReLU (the paper does not say; its FLOPs fit both).

    Raises:
        NetworkError: k is outside 0..1, or k*C is not a whole number.
    """

    def __init__(self, channels: int, k: float = 0.25, activation: bool = True):
        super().__init__()
        if not 0 <= k <= 1:
            raise NetworkError(f"Light-ML's k must lie between 0 and 1, not {k}.")
        self.convolved = round(k * channels)
        if abs(self.convolved - k * channels) > 1e-6:
            raise NetworkError(f"Light-ML's k times the head's channels must be whole; {k} x {channels} is not.")
        both = 2 * self.convolved
        self.conv = None
        if both:
            conv = nn.Conv2d(both, both, 3, padding=1, bias=not activation)
            self.conv = nn.Sequential(conv, nn.GroupNorm(_groups(both), both), nn.ReLU()) if activation else conv

    def forward(self, classification: Tensor, localisation: Tensor) -> tuple[Tensor, Tensor]:
        """Both towers (B, C, H, W) to both lifted towers (B, C, H, W)."""
        n = self.convolved
        shuffled = channel_shuffle(classification[:, n:], localisation[:, n:])
        if self.conv is None:
            return shuffled
        convolved = self.conv(torch.cat([classification[:, :n], localisation[:, :n]], 1)).chunk(2, 1)
        return torch.cat([convolved[0], shuffled[0]], 1), torch.cat([convolved[1], shuffled[1]], 1)


def _groups(channels: int) -> int:
    """32 groups where each gets at least 4 channels, else the largest power of two of which that is true."""
    groups = 32
    while groups > 1 and (channels % groups or channels // groups < 4):
        groups //= 2
    return groups


class ClassificationToLocalisation(nn.Module):
    """Table 6, "cls to reg": a 1x1 convolution of the classification tower is added to the localisation tower.

    The added cost of 1.46 GMACs is that of one 1x1 convolution C to C over all levels.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, classification: Tensor, localisation: Tensor) -> tuple[Tensor, Tensor]:
        """Both towers to both towers; the classification tower is unchanged."""
        return classification, localisation + self.conv(classification)


class LocalisationToClassification(nn.Module):
    """Table 6, "reg to cls": a 1x1 convolution of the localisation logits is added to the classification tower.

    The added cost of 0.39 GMACs is that of one 1x1 convolution 68 to C over all levels.

    Args:
        logits: channels of the localisation output.
        channels: C, of the classification tower.
    """

    def __init__(self, logits: int, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(logits, channels, 1)

    def forward(self, classification: Tensor, localisation_logits: Tensor) -> Tensor:
        """The classification tower (B, C, H, W), lifted by the logits (B, logits, H, W)."""
        return classification + self.conv(localisation_logits)
