"""What distillation reads of a batch: a network's view of it, and the scene that teacher and student share.

The cells of all pyramid levels are concatenated as in :class:`uav_perception.networks.grid.Grid`: N cells in total.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from uav_perception.networks.assigners import Assignment
from uav_perception.networks.grid import Grid


@dataclass(frozen=True)
class DenseView:
    """What one dense detector said of a batch of B images.

    Attributes:
        features: the FPN's maps, one (B, C, h, w) a level.
        class_logits: (B, N, classes), before the sigmoid.
        boxes: (B, N, 4) xyxy px, decoded with gradient.
        distributions: logits of the box sides (B, N, 4, bins), or None for a delta head.
        regression: raw output of the regression branch, one (B, 4 * bins or 4, h, w) a level.
        towers: map of the regression branch before the prediction, one (B, C, h, w) a level.
        centerness: logits (B, N), or None (GFL).
    """

    features: Sequence[Tensor]
    class_logits: Tensor
    boxes: Tensor
    distributions: Tensor | None
    regression: Sequence[Tensor]
    towers: Sequence[Tensor]
    centerness: Tensor | None = None


@dataclass(frozen=True)
class Scene:
    """Cells, ground truth and label assignment of a batch of B images.

    Attributes:
        image_size: (height, width) of the padded input, px.
        grid: the cells of all levels.
        assignment: the student's targets.
        normaliser: positives of the batch as the detector's own losses count them, at least 1.
        has_thresholds: whether the assigner is ATSS, whose thresholds bound LD's region.
    """

    image_size: tuple[int, int]
    grid: Grid
    assignment: Assignment
    normaliser: float
    has_thresholds: bool

    @property
    def ground_truth(self) -> list[Tensor]:
        """Per image (G, 4) xyxy px."""
        return [target.boxes for target in self.assignment.targets]

    @property
    def positive(self) -> Tensor:
        """(B, N) bool."""
        return self.assignment.positive

    @property
    def active(self) -> Tensor:
        """(B, N) bool: cells on the image, not its padding, whose level holds a positive anywhere in the batch."""
        levels = self.positive.any(dim=0).split(self.grid.level_sizes)
        return self.assignment.valid & torch.cat([level.any().expand(len(level)) for level in levels])
