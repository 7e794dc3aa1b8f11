"""Measurements behind the paper's argument: overlaps of small objects, regions on an image, distance to the teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from uav_perception.distillation.cid import cid_weights
from uav_perception.distillation.errors import DistillationError
from uav_perception.distillation.localization import vlr_weights
from uav_perception.networks.assigners import assign_atss
from uav_perception.networks.boxes import box_area, box_centres, diou, giou, iou
from uav_perception.networks.grid import Grid, make_grid

STRIDES = (8, 16, 32, 64, 128)
SMALL_AREA = 32.0**2
"""Objects below this area are small (COCO) [px^2 of the annotated image]."""


@dataclass(frozen=True)
class BoxStatistics:
    """Per ground-truth box: how the anchors around it overlap, and how large its positive region is.

    Attributes:
        iou, giou, diou: (G,) means over the anchors that ATSS considers (the 9 nearest on each level).
        area_ratio: (G,) area that the box's positive cells cover, in areas of the box; 0 without positives.
        area: (G,) px^2 of the annotated image.
    """

    iou: np.ndarray
    giou: np.ndarray
    diou: np.ndarray
    area_ratio: np.ndarray
    area: np.ndarray

    @property
    def small(self) -> np.ndarray:
        """(G,) bool."""
        return self.area < SMALL_AREA

    @classmethod
    def joined(cls, parts: Sequence[BoxStatistics]) -> BoxStatistics:
        """Several images' as one."""
        names = ("iou", "giou", "diou", "area_ratio", "area")
        return cls(*(np.concatenate([getattr(part, name) for part in parts] or [np.zeros(0)]) for name in names))


def image_grid(height: int, width: int, strides: tuple[int, ...] = STRIDES, offset: float = 0.0) -> Grid:
    """The cells of an image of this size [px], as GFL and ATSS lay them (offset 0)."""
    shapes = [(-(-height // stride), -(-width // stride)) for stride in strides]
    return make_grid(shapes, strides, offset)


def candidate_cells(grid: Grid, boxes: Tensor, count: int = 9) -> Tensor:
    """The cells that ATSS considers for each box (G, 4): the ``count`` nearest on each level, (G, K) indices."""
    chosen, start = [], 0
    for size in grid.level_sizes:
        distance = torch.cdist(box_centres(boxes), grid.centres[start : start + size])
        chosen.append(distance.topk(min(count, size), dim=1, largest=False).indices + start)
        start += size
    return torch.cat(chosen, dim=1)


def box_statistics(boxes: Tensor, height: int, width: int, scale: float = 1.0) -> BoxStatistics:
    """Measure the ground-truth boxes of one image.

    Args:
        boxes: (G, 4) xyxy px of the annotated image.
        height: of the annotated image, px.
        width: of the annotated image, px.
        scale: of the network's input relative to the annotated image.
    """
    area = box_area(boxes).numpy()
    if not len(boxes):
        return BoxStatistics(*(np.zeros(0) for _ in range(4)), area)
    scaled = boxes * scale
    grid = image_grid(round(height * scale), round(width * scale))
    anchors = grid.anchors[candidate_cells(grid, scaled)]
    overlaps = [measure(anchors, scaled[:, None]).mean(dim=1).numpy() for measure in (iou, giou, diou)]
    assigned = assign_atss(grid, scaled).gt_index
    covered = np.array(
        [_covered(grid, torch.nonzero(assigned == index).flatten()) for index in range(len(scaled))], np.float64
    )
    return BoxStatistics(*overlaps, covered / box_area(scaled).clamp(min=1e-9).numpy(), area)


def _covered(grid: Grid, cells: Tensor) -> float:
    """Area [px^2] of the union of some cells' squares, each of the side of its stride around its centre."""
    if not len(cells):
        return 0.0
    half = (grid.strides[cells] / 2)[:, None]
    squares = torch.cat([grid.centres[cells] - half, grid.centres[cells] + half], dim=1).numpy().astype(np.float64)
    xs, ys = np.unique(squares[:, (0, 2)]), np.unique(squares[:, (1, 3)])
    inside_x = (squares[:, None, 0] <= xs[:-1]) & (xs[1:] <= squares[:, None, 2])  # (P, columns)
    inside_y = (squares[:, None, 1] <= ys[:-1]) & (ys[1:] <= squares[:, None, 3])
    taken = (inside_y[:, :, None] & inside_x[:, None, :]).any(axis=0)
    return float((taken * np.diff(ys)[:, None] * np.diff(xs)[None]).sum())


def ld_region(grid: Grid, boxes: Tensor, gamma: float) -> Tensor:
    """LD's region weights (N,) for boxes (G, 4) [px of the network's input]."""
    return vlr_weights(grid.anchors, boxes, assign_atss(grid, boxes).thresholds, gamma)


def cid_region(grid: Grid, boxes: Tensor, gamma: float, teacher_boxes: Tensor | None = None) -> Tensor:
    """CID's region weights (N,).

    Args:
        grid: the cells.
        boxes: (G, 4) ground truth [px of the network's input].
        gamma: threshold on the centerness.
        teacher_boxes: (N, 4), or None for an ideal teacher, see :func:`ideal_teacher`.
    """
    if teacher_boxes is None:
        teacher_boxes = ideal_teacher(grid, boxes)
    return cid_weights(grid.centres, teacher_boxes, boxes, gamma)


def ideal_teacher(grid: Grid, boxes: Tensor) -> Tensor:
    """What a perfect teacher would predict: at every cell the box whose centre is nearest in diagonals of that box.

    Distances are never negative in a distribution head, so a side that would lie behind the cell moves to the cell.

    Returns:
        (N, 4) px; boxes without extent where there is no ground truth.
    """
    centres = grid.centres
    if not len(boxes):
        return torch.cat([centres, centres], dim=1)
    diagonals = (boxes[:, 2:] - boxes[:, :2]).norm(dim=1).clamp(min=1e-6)
    nearest = boxes[(torch.cdist(centres, box_centres(boxes)) / diagonals).argmin(dim=1)]
    return torch.cat([torch.minimum(nearest[:, :2], centres), torch.maximum(nearest[:, 2:], centres)], dim=1)


def paint(grid: Grid, weights: Tensor, height: int, width: int) -> np.ndarray:
    """Weights of cells as a picture: each cell a square of its stride around its centre, the largest level wins.

    Args:
        grid: the cells.
        weights: (N,), not negative.
        height: of the picture, px.
        width: of the picture, px.

    Returns:
        (height, width) float32.
    """
    picture = np.zeros((height, width), np.float32)
    for cell in torch.nonzero(weights).flatten().tolist():
        x, y = grid.centres[cell].tolist()
        half = float(grid.strides[cell]) / 2
        rows = slice(max(round(y - half), 0), max(round(y + half), 0))
        columns = slice(max(round(x - half), 0), max(round(x + half), 0))
        np.maximum(picture[rows, columns], float(weights[cell]), out=picture[rows, columns])
    return picture


def cosine_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """``1 - cos`` over the channels of two maps (C, h, w): (h, w), 0 to 2.

    Raises:
        DistillationError: the maps differ in shape.
    """
    if student.shape != teacher.shape:
        raise DistillationError(
            f"the maps differ: {tuple(student.shape)} and {tuple(teacher.shape)}; compare networks with the same "
            "strides and the same form of regression"
        )
    return (1 - F.cosine_similarity(student, teacher, dim=0)).clamp(min=0)  # rounding can go below
