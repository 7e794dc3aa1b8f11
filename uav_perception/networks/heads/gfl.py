"""Generalised focal loss head (Li et al., 2020), constants as in mmdet 2.x."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from uav_perception.networks import boxes as box_ops
from uav_perception.networks import losses
from uav_perception.networks.assigners import Assignment, ImageTargets, assign_atss, gather_assignment
from uav_perception.networks.distributed import mean_over_ranks
from uav_perception.networks.grid import Grid
from uav_perception.networks.heads.base import DenseHead, HeadConfig, HeadOutput, samples, sum_over_valid

_GIOU_WEIGHT = 2.0
_DFL_WEIGHT = 0.25


class GFLHead(DenseHead):
    """Class scores that mean box quality (QFL), and sides as distributions (DFL)."""

    decoder = "gfl"
    _has_centerness = False

    def __init__(self, config: HeadConfig):
        super().__init__(replace(config, distribution=True))

    def assign(self, grid: Grid, targets: list[ImageTargets]) -> Assignment:
        """ATSS."""
        return gather_assignment(grid, targets, self.config.num_classes, assign_atss)

    def decode(self, output: HeadOutput) -> Tensor:
        """Boxes (B, N, 4) [px]: expected distances from the cell's upper left corner."""
        return box_ops.distances_to_boxes(output.grid.centres, self._distances(output))

    def positive_weights(self, output: HeadOutput, assignment: Assignment) -> Tensor:
        """Largest class probability of each positive (P,), without gradient: the weight of its box losses."""
        return output.flat_class_logits()[assignment.positive].detach().sigmoid().amax(-1)

    def losses(self, output: HeadOutput, assignment: Assignment) -> dict[str, Tensor]:
        """QFL, GIoU and DFL, as ``loss_class``, ``loss_box`` and ``loss_distribution``."""
        grid, positive = output.grid, assignment.positive
        logits, distributions = output.flat_class_logits(), output.flat_regressions()[positive]
        cells = torch.nonzero(positive)[:, 1]
        strides = grid.strides[cells, None]
        points = grid.centres[cells] / strides
        bins = self.config.reg_max + 1
        predicted = box_ops.distances_to_boxes(points, box_ops.integral(distributions, bins))
        target = assignment.boxes[positive] / strides

        quality = logits.new_zeros(positive.shape)
        quality[positive] = box_ops.iou(predicted.detach(), target)
        class_losses = losses.quality_focal_loss(logits, assignment.labels, quality)
        loss_class = sum_over_valid(class_losses, assignment.valid) / samples(assignment, at_least_one_an_image=True)

        weights = self.positive_weights(output, assignment)
        divisor = mean_over_ranks(weights.sum()).clamp(min=1)
        sides = box_ops.boxes_to_distances(points, target, maximum=self.config.reg_max - 0.1)
        side_losses = losses.distribution_focal_loss(distributions.unflatten(-1, (4, bins)), sides)
        return {
            "loss_class": loss_class,
            "loss_box": _GIOU_WEIGHT * losses.weighted_sum(losses.giou_loss(predicted, target), weights, divisor),
            "loss_distribution": _DFL_WEIGHT * losses.weighted_sum(side_losses, weights[:, None] / 4, divisor),
        }

    def export_tensors(self, output: HeadOutput) -> dict[str, Tensor]:
        """``class_scores`` (B, N, C) and ``distributions`` (B, N, 4 * (reg_max + 1)), raw logits."""
        return {"class_scores": self.class_scores(output), "distributions": output.flat_regressions()}
