"""Which cell of the grid learns which true box: ATSS and FCOS.

Both work on one image. Cells outside the image (padding of the batch) must be marked by ``valid``; true boxes of zero
size can win no cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from uav_perception.networks import boxes as box_ops
from uav_perception.networks.grid import Grid

_INFINITY = float("inf")
# Sizes of object [px] that each level of FCOS is responsible for (longest distance to a side), for strides 8..128.
FCOS_RANGES = ((-1.0, 64.0), (64.0, 128.0), (128.0, 256.0), (256.0, 512.0), (512.0, _INFINITY))
# A centre must lie this far inside a box [px].
_MARGIN = 0.01


@dataclass(frozen=True)
class ImageTargets:
    """What one image of a batch holds.

    Attributes:
        boxes: (G, 4) float32, edges [px of the network's input].
        labels: (G,) int64, class indices.
        height, width: size of the image without the batch's padding [px].
    """

    boxes: Tensor
    labels: Tensor
    height: int
    width: int

    def to(self, device: torch.device | str) -> ImageTargets:
        """The same on another device."""
        return ImageTargets(self.boxes.to(device), self.labels.to(device), self.height, self.width)


@dataclass(frozen=True)
class ImageAssignment:
    """Cells of one image matched to its true boxes.

    Attributes:
        gt_index: (N,) int64, the true box of each cell, -1 for background.
        thresholds: (G,), ATSS's IoU threshold alpha_pos of each true box; zeros under FCOS, which has none.
    """

    gt_index: Tensor
    thresholds: Tensor


def _resolve(cells: Tensor, gts: Tensor, quality: Tensor, total: int) -> Tensor:
    """Give each cell the pair of highest quality, ties to the first true box. Pairs are three (P,) tensors."""
    best = quality.new_full((total,), -_INFINITY).scatter_reduce(0, cells, quality, "amax")
    winners = quality == best[cells]
    none = torch.iinfo(torch.int64).max
    index = gts.new_full((total,), none).scatter_reduce(0, cells[winners], gts[winners], "amin")
    return torch.where(index == none, -1, index)


def assign_atss(grid: Grid, boxes: Tensor, valid: Tensor | None = None, candidates: int = 9) -> ImageAssignment:
    """Adaptive training sample selection (ATSS, algorithm 1).

    Per true box and level, the ``candidates`` cells whose centres are nearest to the box's centre; of these, positive
    are those whose anchor's IoU reaches mean + standard deviation (unbiased) over all candidates of the box, and whose
    centre lies inside the box.

    Args:
        grid: cells with square anchors.
        boxes: (G, 4) true boxes [px].
        valid: (N,) bool, cells that may take part; all when None.
        candidates: per level and true box.
    """
    total, count = len(grid.centres), len(boxes)
    if count == 0:
        return ImageAssignment(boxes.new_full((total,), -1, dtype=torch.int64), boxes.new_zeros(0))
    centres = box_ops.box_centres(boxes)
    anchors = grid.anchors
    chosen, start = [], 0
    for size in grid.level_sizes:
        distance = torch.cdist(centres, grid.centres[start : start + size], compute_mode="donot_use_mm_for_euclid_dist")
        if valid is not None:
            distance = distance.masked_fill(~valid[start : start + size], _INFINITY)
        chosen.append(distance.topk(min(candidates, size), dim=1, largest=False).indices + start)
        start += size
    cells = torch.cat(chosen, 1)  # (G, K)
    usable = torch.ones_like(cells, dtype=torch.bool) if valid is None else valid[cells]
    overlap = box_ops.iou(anchors[cells], boxes[:, None]).masked_fill(~usable, 0)
    number = usable.sum(1, keepdim=True)
    mean = overlap.sum(1, keepdim=True) / number.clamp(min=1)
    variance = ((overlap - mean).square() * usable).sum(1, keepdim=True) / (number - 1).clamp(min=1)
    threshold = mean + variance.sqrt()
    inside = box_ops.boxes_to_distances(grid.centres[cells], boxes[:, None]).amin(-1) > _MARGIN
    positive = (overlap >= threshold) & inside & usable
    gts = torch.arange(count, device=boxes.device)[:, None].expand_as(cells)
    index = _resolve(cells[positive], gts[positive], overlap[positive], total)
    return ImageAssignment(index, threshold[:, 0])


def assign_fcos(
    grid: Grid,
    boxes: Tensor,
    valid: Tensor | None = None,
    ranges: tuple[tuple[float, float], ...] = FCOS_RANGES,
    sampling_radius: float | None = None,
) -> ImageAssignment:
    """FCOS's assignment: points inside a box, on the level responsible for its size; ambiguity to the smallest box.

    Args:
        grid: points in the middle of the cells.
        boxes: (G, 4) true boxes [px].
        valid: (N,) bool, cells that may take part; all when None.
        ranges: per level, the interval of the longest distance from point to side, both ends included [px].
        sampling_radius: None takes every point inside the box; a number, in strides, takes those within this distance
            (per axis) of the box's centre, clipped to the box.
    """
    total, count = len(grid.centres), len(boxes)
    index = boxes.new_full((total,), -1, dtype=torch.int64)
    thresholds = boxes.new_zeros(count)
    if count == 0:
        return ImageAssignment(index, thresholds)
    areas, centres = box_ops.box_area(boxes), box_ops.box_centres(boxes)
    start = 0
    for size, stride, (low, high) in zip(grid.level_sizes, grid.level_strides, ranges, strict=True):
        points = grid.centres[start : start + size, None]
        distances = box_ops.boxes_to_distances(points, boxes[None])  # (n, G, 4)
        inside = distances.amin(-1) > 0
        if sampling_radius is not None:
            half = stride * sampling_radius
            core = torch.cat(
                [torch.maximum(centres - half, boxes[:, :2]), torch.minimum(centres + half, boxes[:, 2:])], -1
            )
            inside &= box_ops.boxes_to_distances(points, core[None]).amin(-1) > 0
        longest = distances.amax(-1)
        area = areas.expand(size, -1).masked_fill(~(inside & (longest >= low) & (longest <= high)), _INFINITY)
        smallest, winner = area.min(1)
        index[start : start + size] = torch.where(smallest.isfinite(), winner, -1)
        start += size
    if valid is not None:
        index = index.masked_fill(~valid, -1)
    return ImageAssignment(index, thresholds)


@dataclass(frozen=True)
class Assignment:
    """Targets of every cell of a batch.

    Attributes:
        gt_index: (B, N) int64, true box of the cell within its image, -1 for background.
        labels: (B, N) int64, class of the true box, ``num_classes`` for background.
        boxes: (B, N, 4), the true box [px], zeros for background.
        valid: (B, N) bool, False for cells on the batch's padding, which take part in no loss.
        thresholds: per image (G,), ATSS's alpha_pos (zeros under FCOS).
        targets: the images' true boxes.
        num_classes: number of classes.
    """

    gt_index: Tensor
    labels: Tensor
    boxes: Tensor
    valid: Tensor
    thresholds: tuple[Tensor, ...]
    targets: tuple[ImageTargets, ...]
    num_classes: int

    @property
    def positive(self) -> Tensor:
        """(B, N) bool, cells that have a true box."""
        return self.gt_index >= 0


def gather_assignment(
    grid: Grid, targets: list[ImageTargets] | tuple[ImageTargets, ...], num_classes: int, assign
) -> Assignment:
    """Assign every image of a batch.

    Args:
        grid: the cells of the batch.
        targets: one an image.
        num_classes: number of classes.
        assign: ``assign(grid, boxes, valid) -> ImageAssignment``.
    """
    index, labels, boxes, masks, thresholds = [], [], [], [], []
    for target in targets:
        valid = grid.inside(target.height, target.width)
        found = assign(grid, target.boxes, valid)
        positive = found.gt_index >= 0
        label = torch.full_like(found.gt_index, num_classes)
        label[positive] = target.labels[found.gt_index[positive]]
        box = target.boxes.new_zeros(len(grid.centres), 4)
        box[positive] = target.boxes[found.gt_index[positive]]
        index.append(found.gt_index)
        labels.append(label)
        boxes.append(box)
        masks.append(valid)
        thresholds.append(found.thresholds)
    return Assignment(
        torch.stack(index),
        torch.stack(labels),
        torch.stack(boxes),
        torch.stack(masks),
        tuple(thresholds),
        tuple(targets),
        num_classes,
    )
