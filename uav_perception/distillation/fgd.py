"""FGD (Yang et al. 2022): imitation of the feature pyramid, foreground apart from background, and its context.

Per level: ``alpha * foreground + beta * background + gamma * attention + lambda * global``, every part a sum divided by
the batch size, summed over the levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from uav_perception.distillation.errors import DistillationError


@dataclass(frozen=True)
class FgdConstants:
    """FGD's published constants for GFL; :meth:`published` gives those of each detector.

    Attributes:
        temperature: tau of the attention maps.
        foreground: alpha, factor of the error inside the boxes.
        background: beta, factor of the error outside of them.
        attention: gamma, factor of the difference of the attention maps.
        context: lambda, factor of the difference of the global context.
    """

    temperature: float = 0.5
    foreground: float = 1e-3
    background: float = 5e-4
    attention: float = 5e-4
    context: float = 5e-6

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise DistillationError(f"FGD's temperature is {self.temperature}; it must be above 0")
        for name in ("foreground", "background", "attention", "context"):
            if not getattr(self, name) >= 0:
                raise DistillationError(f"FGD's {name} is {getattr(self, name)}; it must be at least 0")

    @classmethod
    def published(cls, detector: str, **changes: float) -> FgdConstants:
        """Constants for "gfl", "atss" (as GFL's: the same anchors and head) or "fcos", with ``changes`` on top."""
        fcos = {"temperature": 0.8, "foreground": 1.6e-3, "background": 8e-4, "attention": 8e-4, "context": 8e-6}
        own = {"gfl": {}, "atss": {}, "fcos": fcos}
        if detector not in own:
            raise DistillationError(f"FGD has no constants for the detector {detector!r}; known: {', '.join(own)}")
        return cls(**{**own[detector], **changes})


def spatial_attention(features: Tensor, temperature: float) -> Tensor:
    """``H W softmax(mean_c |F| / tau)`` over the pixels: (N, C, H, W) to (N, H, W), mean 1."""
    n, _, height, width = features.shape
    strength = features.abs().mean(dim=1).reshape(n, -1) / temperature
    return (height * width * strength.softmax(dim=1)).reshape(n, height, width)


def channel_attention(features: Tensor, temperature: float) -> Tensor:
    """``C softmax(mean_hw |F| / tau)`` over the channels: (N, C, H, W) to (N, C), mean 1."""
    strength = features.abs().mean(dim=(2, 3)) / temperature
    return features.shape[1] * strength.softmax(dim=1)


def scale_masks(
    boxes: Sequence[Tensor], image_size: tuple[int, int], map_size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Foreground and background masks of one level.

    A box covers the cells from the floor of its low corner to the ceiling of its high corner, both included, and gives
    each of them 1/area; where boxes overlap the largest value stands, so small objects win. The background is 1 where
    no box reaches, normalised to sum 1.

    Args:
        boxes: per image (G, 4) xyxy px; parts outside the image are cut off.
        image_size: (height, width) of the padded input in px.
        map_size: (height, width) of the feature map in cells.

    Returns:
        Foreground and background, each (N, height, width).
    """
    height, width = map_size
    foreground = boxes[0].new_zeros((len(boxes), height, width))
    to_cells = foreground.new_tensor([width / image_size[1], height / image_size[0]] * 2)
    column, row = torch.arange(width, device=foreground.device), torch.arange(height, device=foreground.device)
    for image, image_boxes in enumerate(boxes):
        cells = image_boxes * to_cells
        cells = torch.cat([cells[:, :2].floor(), cells[:, 2:].ceil()], dim=1)
        area = (cells[:, 2] - cells[:, 0] + 1) * (cells[:, 3] - cells[:, 1] + 1)
        if not len(cells):
            continue
        columns = (cells[:, :1] <= column) & (column <= cells[:, 2:3])  # (G, width)
        rows = (cells[:, 1:2] <= row) & (row <= cells[:, 3:])  # (G, height)
        share = (rows / area[:, None])[:, :, None] * columns[:, None, :]
        foreground[image] = share.amax(dim=0)
    background = (foreground == 0).to(foreground.dtype)
    background = background / background.sum(dim=(1, 2), keepdim=True).clamp(min=1)
    return foreground, background


def focal_loss(
    student: Tensor, teacher: Tensor, foreground: Tensor, background: Tensor, constants: FgdConstants
) -> Tensor:
    """The foreground, background and attention parts on one level.

    Args:
        student: (N, C, H, W).
        teacher: (N, C, H, W); no gradient flows into it.
        foreground: (N, H, W) of :func:`scale_masks`.
        background: (N, H, W).
        constants: temperature and factors.

    Returns:
        A scalar, already weighted.
    """
    teacher = teacher.detach()
    batch = student.shape[0]
    spatial = spatial_attention(teacher, constants.temperature)
    channel = channel_attention(teacher, constants.temperature)
    error = ((student - teacher) ** 2 * channel[:, :, None, None]).sum(dim=1) * spatial
    difference = (spatial_attention(student, constants.temperature) - spatial).abs().sum()
    difference = difference + (channel_attention(student, constants.temperature) - channel).abs().sum()
    weights = constants.foreground * foreground + constants.background * background
    return ((error * weights).sum() + constants.attention * difference) / batch


class GlobalContext(nn.Module):
    """A GC block: softmax-pooled context of the map, transformed and added back to every pixel.

    The last layer starts at zero, so the block starts as the identity.

    Args:
        channels: channels of the map, even.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attend = nn.Conv2d(channels, 1, 1)
        self.transform = nn.Sequential(
            nn.Conv2d(channels, channels // 2, 1),
            nn.LayerNorm([channels // 2, 1, 1]),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels // 2, channels, 1),
        )
        nn.init.kaiming_normal_(self.attend.weight, mode="fan_in")
        nn.init.zeros_(self.transform[-1].weight)
        nn.init.zeros_(self.transform[-1].bias)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        where = self.attend(features).flatten(2).softmax(dim=2)  # (N, 1, HW)
        context = (features.flatten(2) * where).sum(dim=2)[:, :, None, None]
        return features + self.transform(context)


def context_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared error of the maps after their GC blocks, divided by the batch size; both (N, C, H, W).

    The teacher's map carries gradient on purpose: its GC block is trained along.
    """
    return ((student - teacher) ** 2).sum() / student.shape[0]
