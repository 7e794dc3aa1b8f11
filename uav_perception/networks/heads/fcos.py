"""FCOS head (Tian et al., 2019), base and improved, and the distribution form of LD; constants as in mmdet 2.x."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from uav_perception.networks import boxes as box_ops
from uav_perception.networks import losses
from uav_perception.networks.assigners import FCOS_RANGES, Assignment, ImageTargets, assign_fcos, gather_assignment
from uav_perception.networks.distributed import mean_over_ranks
from uav_perception.networks.errors import NetworkError
from uav_perception.networks.grid import Grid
from uav_perception.networks.heads.base import DenseHead, HeadConfig, HeadOutput, samples, sum_over_valid

_SAMPLING_RADIUS = 1.5  # strides


class FCOSHead(DenseHead):
    """Focal class scores, distances to the sides, centerness.

    The improved form (``HeadConfig.improved``) samples positives near the centres, regresses distances in strides
    behind a ReLU, puts the centerness on the localisation tower and trains with GIoU; the base form takes every point
    in a box, regresses exp(x) pixels, puts the centerness on the classification tower and trains with -ln IoU.

    Raises:
        NetworkError: more levels than FCOS has ranges.
    """

    decoder = "fcos"
    centre_offset = 0.5

    def __init__(self, config: HeadConfig):
        if len(config.strides) != len(FCOS_RANGES):
            raise NetworkError(f"FCOS is defined on {len(FCOS_RANGES)} levels, not on strides {config.strides}.")
        self.conv_bias = config.improved
        super().__init__(config)

    def _centerness_tower(self, classification: Tensor, localisation: Tensor) -> Tensor:
        return localisation if self.config.improved else classification

    def assign(self, grid: Grid, targets: list[ImageTargets]) -> Assignment:
        """FCOS's, with centre sampling in the improved form."""
        radius = _SAMPLING_RADIUS if self.config.improved else None
        return gather_assignment(grid, targets, self.config.num_classes, partial(assign_fcos, sampling_radius=radius))

    def distances(self, output: HeadOutput) -> Tensor:
        """Distances to the sides, (B, N, 4) [px]."""
        if self.config.distribution:
            return self._distances(output)
        if self.config.improved:
            return F.relu(output.flat_regressions()) * output.grid.strides[:, None]
        return output.flat_regressions().exp()

    def decode(self, output: HeadOutput) -> Tensor:
        """Boxes (B, N, 4) [px]."""
        return box_ops.distances_to_boxes(output.grid.centres, self.distances(output))

    def losses(self, output: HeadOutput, assignment: Assignment) -> dict[str, Tensor]:
        """Focal, box (GIoU or -ln IoU) and centerness loss, as ``loss_class``, ``loss_box``, ``loss_centerness``."""
        positive = assignment.positive
        target = assignment.boxes[positive]
        cells = torch.nonzero(positive)[:, 1]
        centerness = box_ops.centerness(box_ops.boxes_to_distances(output.grid.centres[cells], target))
        divisor = samples(assignment, at_least_one_an_image=False)
        class_losses = losses.focal_loss(output.flat_class_logits(), assignment.labels)
        box_loss = losses.giou_loss if self.config.improved or self.config.distribution else losses.iou_loss
        box_losses = box_loss(self.decode(output)[positive], target)
        box_divisor = mean_over_ranks(centerness.sum()).clamp(min=1e-6)
        centerness_losses = losses.binary_cross_entropy(output.flat_centerness()[positive], centerness)
        return {
            "loss_class": sum_over_valid(class_losses, assignment.valid) / divisor,
            "loss_box": losses.weighted_sum(box_losses, centerness, box_divisor),
            "loss_centerness": centerness_losses.sum() / divisor,
        }

    def scores(self, output: HeadOutput) -> Tensor:
        """(B, N, C) class probability times centerness."""
        return self.class_scores(output) * output.flat_centerness().sigmoid().unsqueeze(-1)

    def export_tensors(self, output: HeadOutput) -> dict[str, Tensor]:
        """``class_scores``, ``centerness`` (B, N, 1), and ``distances`` (B, N, 4) [px] or ``distributions``."""
        tensors = {
            "class_scores": self.class_scores(output),
            "centerness": output.flat_centerness().sigmoid().unsqueeze(-1),
        }
        if self.config.distribution:
            return tensors | {"distributions": output.flat_regressions()}
        return tensors | {"distances": self.distances(output)}
