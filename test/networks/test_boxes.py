import math

import pytest
import torch

from uav_perception.networks import boxes as box_ops
from uav_perception.networks.vision import torchvision

torch.manual_seed(0)


def random_boxes(count, generator, size=100.0):
    corner = torch.rand(count, 2, generator=generator, dtype=torch.float64) * size
    return torch.cat([corner, corner + torch.rand(count, 2, generator=generator, dtype=torch.float64) * 30 + 1], 1)


def slow_overlaps(a, b):
    """IoU, GIoU and DIoU of two boxes, one number at a time."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    hull_w, hull_h = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    hull = hull_w * hull_h
    dx, dy = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
    iou = both / union
    return iou, iou - (hull - union) / hull, iou - (dx * dx + dy * dy) / (hull_w**2 + hull_h**2)


def test_overlaps_equal_the_slow_ones_and_torchvision():
    generator = torch.Generator().manual_seed(1)
    a, b = random_boxes(60, generator), random_boxes(60, generator)
    expected = torch.tensor([slow_overlaps(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)])
    for column, function in enumerate((box_ops.iou, box_ops.giou, box_ops.diou)):
        torch.testing.assert_close(function(a, b), expected[:, column].double(), atol=1e-6, rtol=1e-6)
    import torchvision.ops as ops

    torch.testing.assert_close(box_ops.iou(a[:, None], b[None]), ops.box_iou(a, b))
    torch.testing.assert_close(box_ops.giou(a[:, None], b[None]), ops.generalized_box_iou(a, b))
    assert torchvision.ops is ops


def test_boxes_without_area_overlap_nothing_and_give_no_nan():
    flat = torch.tensor([[5.0, 5.0, 5.0, 9.0], [3.0, 3.0, 3.0, 3.0], [9.0, 9.0, 4.0, 4.0]])
    solid = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    assert box_ops.iou(flat, flat).tolist() == [0, 0, 0]
    assert box_ops.iou(flat, solid).tolist() == [0, 0, 0]
    for function in (box_ops.giou, box_ops.diou):
        assert function(flat, flat).isfinite().all()


def test_identical_boxes_have_every_overlap_one():
    box = torch.tensor([3.0, 4.0, 10.0, 20.0])
    assert [f(box, box).item() for f in (box_ops.iou, box_ops.giou, box_ops.diou)] == pytest.approx([1, 1, 1])


def test_distances_and_boxes_are_inverse_and_clamped():
    points, boxes = torch.tensor([[5.0, 5.0], [0.0, 0.0]]), torch.tensor([[2.0, 1.0, 9.0, 30.0], [1.0, 1.0, 2.0, 2.0]])
    distances = box_ops.boxes_to_distances(points, boxes)
    assert distances.tolist() == [[3, 4, 4, 25], [-1, -1, 2, 2]]
    torch.testing.assert_close(box_ops.distances_to_boxes(points, distances), boxes)
    clamped = box_ops.boxes_to_distances(points, boxes, maximum=15.9)
    torch.testing.assert_close(clamped, torch.tensor([[3, 4, 4, 15.9], [0, 0, 2, 2]]))


def test_deltas_mean_what_faster_rcnn_says():
    anchor, box = torch.tensor([0.0, 0.0, 64.0, 64.0]), torch.tensor([20.0, 30.0, 40.0, 42.0])
    deltas = [(30 - 32) / 64 / 0.1, (36 - 32) / 64 / 0.1, math.log(20 / 64) / 0.2, math.log(12 / 64) / 0.2]
    torch.testing.assert_close(box_ops.decode_deltas(anchor, torch.tensor(deltas)), box)
    wild = box_ops.decode_deltas(anchor, torch.tensor([0.0, 0.0, 100.0, -100.0]))
    assert (wild[2:] - wild[:2]).tolist() == pytest.approx([64 * 62.5, 64 / 62.5], rel=1e-4)


def test_the_integral_is_the_expected_bin():
    logits = torch.full((1, 4 * 17), -1e4)
    for side, distance in enumerate((0, 3, 16, 7)):
        logits[0, side * 17 + distance] = 0
    assert box_ops.integral(logits, 17).tolist() == [[0, 3, 16, 7]]
    assert box_ops.integral(torch.zeros(2, 36), 9).tolist() == [[4, 4, 4, 4]] * 2
    half = torch.full((17,), -1e4)
    half[[4, 5]] = 0
    assert box_ops.integral(half.repeat(4), 17).tolist() == [4.5] * 4
    random = 3 * torch.randn(50, 68, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):  # distances are float32, whatever the network ran in
        mixed = box_ops.integral(random, 17)
    assert torch.equal(mixed, box_ops.integral(random, 17))


def test_centerness_by_hand():
    found = box_ops.centerness(torch.tensor([[5.0, 5, 5, 5], [2, 1, 8, 4], [-1, 3, 4, 3], [0, 0, 0, 0]]))
    assert found.tolist() == pytest.approx([1, 0.25, 0, 0])


@pytest.mark.parametrize("function", [box_ops.iou, box_ops.giou, box_ops.diou])
def test_gradients_of_overlaps(function):
    generator = torch.Generator().manual_seed(2)
    a = random_boxes(6, generator, size=20).requires_grad_()
    assert torch.autograd.gradcheck(function, (a, random_boxes(6, generator, size=20)))


def test_gradients_of_decoding():
    distribution = torch.randn(3, 36, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: box_ops.integral(x, 9), (distribution,))
    deltas = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    anchors = random_boxes(3, torch.Generator().manual_seed(3))
    assert torch.autograd.gradcheck(lambda x: box_ops.decode_deltas(anchors, x), (deltas,))
