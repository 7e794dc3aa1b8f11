import math
import statistics

import pytest
import torch

from uav_perception.networks.assigners import (
    FCOS_RANGES,
    ImageTargets,
    assign_atss,
    assign_fcos,
    gather_assignment,
)
from uav_perception.networks.grid import make_grid

STRIDES = (8, 16, 32, 64, 128)


def grid_of(height, width, offset=0.0):
    shapes = [(math.ceil(height / s), math.ceil(width / s)) for s in STRIDES]
    return make_grid(shapes, STRIDES, offset)


def random_boxes(count, height, width, generator, smallest=4.0, largest=200.0):
    size = torch.exp(torch.empty(count, 2).uniform_(math.log(smallest), math.log(largest), generator=generator))
    centre = torch.rand(count, 2, generator=generator) * torch.tensor([width, height])
    return torch.cat([centre - size / 2, centre + size / 2], 1)


def slow_iou(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + max(b[2] - b[0], 0) * max(b[3] - b[1], 0) - width * height
    return width * height / max(union, 1e-6)


def slow_atss(grid, boxes, valid):
    """Algorithm 1 of the paper, one box and one cell at a time."""
    centres, anchors = grid.centres.double().tolist(), grid.anchors.double().tolist()
    best = [(-1.0, -1)] * len(centres)
    thresholds = []
    for number, box in enumerate(boxes.double().tolist()):
        middle, start, chosen = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), 0, []
        for size in grid.level_sizes:
            cells = [i for i in range(start, start + size) if valid[i]]
            chosen += sorted(cells, key=lambda i: math.dist(centres[i], middle))[:9]
            start += size
        overlaps = [slow_iou(anchors[i], box) for i in chosen]
        deviation = statistics.stdev(overlaps) if len(overlaps) > 1 else 0.0
        threshold = sum(overlaps) / len(overlaps) + deviation
        thresholds.append(threshold)
        for i, overlap in zip(chosen, overlaps, strict=True):
            x, y = centres[i]
            inside = min(x - box[0], y - box[1], box[2] - x, box[3] - y) > 0.01
            if overlap >= threshold and inside and overlap > best[i][0]:
                best[i] = (overlap, number)
    return [index for _, index in best], thresholds


def slow_fcos(grid, boxes, radius):
    index, start = [], 0
    centres = grid.centres.tolist()
    for size, stride, (low, high) in zip(grid.level_sizes, grid.level_strides, FCOS_RANGES, strict=True):
        for x, y in centres[start : start + size]:
            smallest, winner = math.inf, -1
            for number, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
                sides = (x - x1, y - y1, x2 - x, y2 - y)
                region = (x1, y1, x2, y2)
                if radius is not None:
                    cx, cy, r = (x1 + x2) / 2, (y1 + y2) / 2, radius * stride
                    region = (max(cx - r, x1), max(cy - r, y1), min(cx + r, x2), min(cy + r, y2))
                inside = min(sides) > 0 and region[0] < x < region[2] and region[1] < y < region[3]
                area = (x2 - x1) * (y2 - y1)
                if inside and low <= max(sides) <= high and area < smallest:
                    smallest, winner = area, number
            index.append(winner)
        start += size
    return index


@pytest.mark.parametrize("seed", range(4))
def test_atss_equals_the_slow_one(seed):
    generator = torch.Generator().manual_seed(seed)
    grid = grid_of(160, 224)
    boxes = random_boxes(7, 160, 224, generator)
    valid = grid.inside(130, 200) if seed % 2 else grid.inside(160, 224)
    found = assign_atss(grid, boxes, valid)
    index, thresholds = slow_atss(grid, boxes, valid.tolist())
    assert found.gt_index.tolist() == index
    assert found.thresholds.tolist() == pytest.approx(thresholds, abs=1e-5)
    assert (found.gt_index >= 0).any()
    assert not (found.gt_index[~valid] >= 0).any()


@pytest.mark.parametrize("radius", [None, 1.5])
@pytest.mark.parametrize("seed", range(2))
def test_fcos_equals_the_slow_one(seed, radius):
    generator = torch.Generator().manual_seed(10 + seed)
    grid = grid_of(160, 224, offset=0.5)
    boxes = random_boxes(7, 160, 224, generator)
    found = assign_fcos(grid, boxes, sampling_radius=radius)
    assert found.gt_index.tolist() == slow_fcos(grid, boxes, radius)
    assert (found.gt_index >= 0).any()


@pytest.mark.parametrize("assign", [assign_atss, assign_fcos])
def test_edge_cases(assign):
    grid = grid_of(128, 128, offset=0.5)
    nothing = assign(grid, torch.zeros(0, 4))
    assert (nothing.gt_index == -1).all()
    assert len(nothing.thresholds) == 0
    # Outside the image, without area, and turned inside out: none of them wins a cell.
    strange = torch.tensor([[500.0, 500.0, 560.0, 560.0], [40.0, 40.0, 40.0, 60.0], [60.0, 60.0, 30.0, 30.0]])
    assert (assign(grid, strange).gt_index == -1).all()
    # All cells ignored.
    box = torch.tensor([[20.0, 20.0, 90.0, 90.0]])
    assert (assign(grid, box, torch.zeros(len(grid.centres), dtype=torch.bool)).gt_index == -1).all()


def test_one_positive_on_one_level():
    grid = grid_of(128, 128)
    tiny = torch.tensor(
        [[62.0, 62.0, 67.0, 67.0]]
    )  # holds the upper left corner of exactly one cell of each fine level
    found = assign_atss(grid, tiny)
    cells = torch.nonzero(found.gt_index == 0).flatten()
    assert grid.levels[cells].unique().tolist() == [0]
    assert grid.centres[cells].tolist() == [[64, 64]]


def test_of_two_boxes_the_better_overlap_wins_a_cell():
    grid = grid_of(128, 128)
    boxes = torch.tensor([[20.0, 20.0, 110.0, 110.0], [32.0, 32.0, 96.0, 96.0]])
    found = assign_atss(grid, boxes)
    centre = torch.nonzero((grid.centres == 64).all(1) & (grid.strides == 8)).item()
    assert found.gt_index[centre] == 1


def test_a_batch_gathers_labels_boxes_and_padding():
    grid = grid_of(128, 128)
    targets = [
        ImageTargets(torch.tensor([[10.0, 10.0, 60.0, 60.0]]), torch.tensor([2]), 128, 128),
        ImageTargets(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), 64, 96),
    ]
    found = gather_assignment(grid, targets, 3, assign_atss)
    assert found.positive[0].any()
    assert not found.positive[1].any()
    assert (found.labels[found.positive] == 2).all()
    assert (found.labels[~found.positive] == 3).all()
    assert (found.boxes[found.positive] == targets[0].boxes[0]).all()
    assert found.valid[0].all()
    assert found.valid[1].sum() == 8 * 12 + 4 * 6 + 2 * 3 + 1 * 2 + 1
