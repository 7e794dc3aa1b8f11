"""ATSS head (Zhang et al., 2020) in its delta form and the distribution form of LD, constants as in mmdet 2.x."""

from __future__ import annotations

import torch
from torch import Tensor

from uav_perception.networks import boxes as box_ops
from uav_perception.networks import losses
from uav_perception.networks.assigners import Assignment, ImageTargets, assign_atss, gather_assignment
from uav_perception.networks.distributed import mean_over_ranks
from uav_perception.networks.grid import Grid
from uav_perception.networks.heads.base import DenseHead, HeadOutput, samples, sum_over_valid

_GIOU_WEIGHT = 2.0


class ATSSHead(DenseHead):
    """Focal class scores, box deltas to one square anchor a cell, centerness on the localisation tower."""

    decoder = "atss"

    def assign(self, grid: Grid, targets: list[ImageTargets]) -> Assignment:
        """ATSS."""
        return gather_assignment(grid, targets, self.config.num_classes, assign_atss)

    def decode(self, output: HeadOutput) -> Tensor:
        """Boxes (B, N, 4) [px]."""
        if self.config.distribution:
            return box_ops.distances_to_boxes(output.grid.centres, self._distances(output))
        return box_ops.decode_deltas(output.grid.anchors, output.flat_regressions())

    def losses(self, output: HeadOutput, assignment: Assignment) -> dict[str, Tensor]:
        """Focal, GIoU and centerness loss, as ``loss_class``, ``loss_box`` and ``loss_centerness``."""
        positive = assignment.positive
        target = assignment.boxes[positive]
        cells = torch.nonzero(positive)[:, 1]
        centerness = box_ops.centerness(box_ops.boxes_to_distances(output.grid.centres[cells], target))
        divisor = samples(assignment, at_least_one_an_image=True)
        class_losses = losses.focal_loss(output.flat_class_logits(), assignment.labels)
        box_losses = losses.giou_loss(self.decode(output)[positive], target)
        box_divisor = mean_over_ranks(centerness.sum()).clamp(min=1)
        centerness_losses = losses.binary_cross_entropy(output.flat_centerness()[positive], centerness)
        return {
            "loss_class": sum_over_valid(class_losses, assignment.valid) / divisor,
            "loss_box": _GIOU_WEIGHT * losses.weighted_sum(box_losses, centerness, box_divisor),
            "loss_centerness": centerness_losses.sum() / divisor,
        }

    def scores(self, output: HeadOutput) -> Tensor:
        """(B, N, C) class probability times centerness."""
        return self.class_scores(output) * output.flat_centerness().sigmoid().unsqueeze(-1)

    def decoder_options(self) -> dict[str, object]:
        """Strides, and either ``reg_max`` or the anchors' scale and the deltas' standard deviations."""
        options = super().decoder_options()
        if not self.config.distribution:
            options |= {"anchor_scale": self.config.anchor_scale, "stds": list(box_ops.DELTA_STDS)}
        return options

    def export_tensors(self, output: HeadOutput) -> dict[str, Tensor]:
        """``class_scores``, ``centerness`` (B, N, 1), and ``deltas`` (B, N, 4) or ``distributions``."""
        return {
            "class_scores": self.class_scores(output),
            "centerness": output.flat_centerness().sigmoid().unsqueeze(-1),
            "distributions" if self.config.distribution else "deltas": output.flat_regressions(),
        }
