import pytest
import torch
from slow_reference import diou, iou, kl

from uav_perception.distillation.errors import DistillationError
from uav_perception.distillation.localization import (
    LdConstants,
    class_loss,
    distribution_loss,
    fcos_vlr,
    inside_boxes,
    vlr_weights,
)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64) * 3


def boxes(count, seed=0, extent=200.0):
    low = torch.rand(count, 2, generator=generator(seed), dtype=torch.float64) * extent
    size = torch.rand(count, 2, generator=generator(seed + 1), dtype=torch.float64) * 60 + 2
    return torch.cat([low, low + size], 1)


def test_published_constants():
    gfl, atss, fcos = (LdConstants.published(name) for name in ("gfl", "atss", "fcos"))
    assert (gfl.temperature, gfl.main_scale, gfl.vlr_scale) == (10, 0.0625, 0.25 / 16)
    assert (gfl.class_temperature, gfl.class_weight, gfl.gamma) == (2, 10, 0.25)
    assert atss.vlr_scale == pytest.approx(0.15 * 0.25 / 4)
    assert fcos.vlr_scale == pytest.approx(0.25 * 0.25 / 4)
    assert LdConstants.published("gfl", vlr_weight=0.5).vlr_scale == 2 * gfl.vlr_scale


@pytest.mark.parametrize("count", [0, 1, 7])
def test_distribution_loss_is_the_plain_sum(count):
    student, teacher = draw(count, 4, 17), draw(count, 4, 17, seed=1)
    weights = torch.rand(count, generator=generator(2), dtype=torch.float64)
    expected = sum(
        weights[i].item() * kl(student[i, side].tolist(), teacher[i, side].tolist(), 10.0) / 17
        for i in range(count)
        for side in range(4)
    )
    assert distribution_loss(student, teacher, weights, 10.0).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_distribution_loss_gradient():
    student, teacher = draw(2, 4, 5).requires_grad_(), draw(2, 4, 5, seed=1)
    weights = torch.tensor([0.3, 0.8], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: distribution_loss(s, teacher, weights, 10.0), student)
    distribution_loss(student, teacher, weights, 10.0).backward()
    assert weights.grad is None  # the weights are constants


def test_class_loss_averages_on_each_level():
    student, teacher = draw(6, 10), draw(6, 10, seed=1)
    levels = torch.tensor([0, 0, 0, 3, 3, 4])  # levels 1 and 2 have no positive
    expected = 0.0
    for level in (0, 3, 4):
        rows = [i for i in range(6) if levels[i] == level]
        expected += sum(kl(student[i].tolist(), teacher[i].tolist(), 2.0) / 10 for i in rows) / len(rows)
    assert class_loss(student, teacher, levels, 2.0).item() == pytest.approx(expected, rel=1e-9)
    nothing = class_loss(student[:0].requires_grad_(), teacher[:0], levels[:0], 2.0)
    assert nothing.item() == 0
    assert nothing.requires_grad


@pytest.mark.parametrize("seed", range(5))
def test_vlr_is_the_band_below_the_threshold(seed):
    anchors, truth = boxes(150, seed), boxes(6, seed + 50)
    thresholds = torch.rand(6, generator=generator(seed), dtype=torch.float64) * 0.5 + 0.1
    expected = []
    for anchor in anchors.tolist():
        weight = 0.0
        for box, threshold in zip(truth.tolist(), thresholds.tolist(), strict=True):
            if 0.25 * threshold <= diou(anchor, box) < threshold:
                weight = max(weight, iou(anchor, box))
        expected.append(weight)
    weights = vlr_weights(anchors, truth, thresholds)
    torch.testing.assert_close(weights, torch.tensor(expected, dtype=torch.float64))
    assert 0 < (weights > 0).sum() < 150


def test_vlr_bounds_are_closed_below_and_open_above():
    truth = torch.tensor([[0.0, 0.0, 8.0, 8.0]])
    # The same centre: DIoU is the IoU, here exactly 1/4 and 1.
    anchors = torch.tensor([[2.0, 2.0, 6.0, 6.0], [0.0, 0.0, 8.0, 8.0]])
    assert vlr_weights(anchors, truth, torch.tensor([1.0])).tolist() == [0.25, 0.0]
    assert vlr_weights(anchors, truth, torch.tensor([0.25])).tolist() == [0.0, 0.0]


def test_vlr_without_truth_or_with_a_box_without_area():
    anchors = boxes(5)
    assert vlr_weights(anchors, torch.zeros(0, 4), torch.zeros(0)).tolist() == [0] * 5
    flat = torch.tensor([[10.0, 10.0, 10.0, 10.0]], dtype=torch.float64)
    assert vlr_weights(anchors, flat, torch.tensor([0.1])).isfinite().all()


@pytest.mark.parametrize("seed", range(3))
def test_fcos_region(seed):
    points = torch.rand(200, 2, generator=generator(seed)) * 200
    truth = boxes(4, seed).float()
    positive = torch.rand(200, generator=generator(seed + 1)) < 0.3
    inside = [any(b[0] < x < b[2] and b[1] < y < b[3] for b in truth.tolist()) for x, y in points.tolist()]
    expected = [within and not taken for within, taken in zip(inside, positive.tolist(), strict=True)]
    assert fcos_vlr(points, truth, positive).tolist() == expected
    assert inside_boxes(points, truth[:0]).shape == (200, 0)
    assert not fcos_vlr(points, truth[:0], positive).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0}, "temperature is 0"),
        ({"gamma": 1.5}, "gamma is 1.5"),
        ({"vlr_weight": -1}, "vlr_weight is -1"),
    ],
)
def test_bad_constants_are_named(change, message):
    with pytest.raises(DistillationError, match=message):
        LdConstants.published("gfl", **change)
    with pytest.raises(DistillationError, match="'yolox'; known: gfl, atss, fcos"):
        LdConstants.published("yolox")
