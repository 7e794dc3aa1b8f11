import math

import pytest
import torch
from slow_reference import centerness as slow_centerness

from uav_perception.distillation import cid
from uav_perception.distillation.errors import DistillationError


def generator(seed):
    return torch.Generator().manual_seed(seed)


def points(count, seed=0, extent=100.0):
    return torch.rand(count, 2, generator=generator(seed), dtype=torch.float64) * extent


def boxes(count, seed=0, extent=100.0):
    low = points(count, seed, extent)
    return torch.cat([low, low + points(count, seed + 1, 40.0) + 1], 1)


def test_paper_constants():
    constants = cid.CidConstants()
    assert (constants.gamma, constants.alpha, constants.beta, constants.masked) == (0.45, 1, 4, 0.65)
    assert cid.NEAR_DIAGONALS == 0.75


def around(centres, seed):
    """Boxes around points, some of them missing their point."""
    sides = torch.rand(len(centres), 4, generator=generator(seed), dtype=torch.float64) * 30 - 3
    return torch.cat([centres - sides[:, :2], centres + sides[:, 2:]], 1)


@pytest.mark.parametrize("seed", range(4))
def test_centerness_is_equation_7(seed):
    centres = points(200, seed)
    predicted = around(centres, seed + 7)
    expected = [slow_centerness(p, b) for p, b in zip(centres.tolist(), predicted.tolist(), strict=True)]
    torch.testing.assert_close(cid.centerness(centres, predicted), torch.tensor(expected, dtype=torch.float64))


def test_centerness_at_the_edges():
    point = torch.tensor([[5.0, 5.0]])

    def of(*box):
        return cid.centerness(point, torch.tensor([box])).item()

    assert of(0.0, 0.0, 10.0, 10.0) == 1
    assert of(5.0, 0.0, 10.0, 10.0) == 0  # on the left edge
    assert of(6.0, 0.0, 10.0, 10.0) == 0  # outside
    assert of(0.0, 0.0, 20.0, 10.0) == pytest.approx(math.sqrt(5 / 15))
    assert of(5.0, 5.0, 5.0, 5.0) == 1  # no extent: 0/0


def test_centerness_does_not_depend_on_size():
    centres = points(50)
    predicted = around(centres, 3)
    torch.testing.assert_close(cid.centerness(centres * 7, predicted * 7), cid.centerness(centres, predicted))


@pytest.mark.parametrize("seed", range(4))
def test_cid_weights_against_loops(seed):
    centres, truth = points(300, seed), boxes(4, seed + 20)
    predicted = around(centres, seed + 7)
    expected = []
    for point, box in zip(centres.tolist(), predicted.tolist(), strict=True):
        near = any(
            math.dist(point, ((t[0] + t[2]) / 2, (t[1] + t[3]) / 2)) <= 0.75 * math.dist(t[:2], t[2:])
            for t in truth.tolist()
        )
        value = slow_centerness(point, box)
        expected.append(1 - value if near and value < 0.45 else 0.0)
    weights = cid.cid_weights(centres, predicted, truth, 0.45)
    torch.testing.assert_close(weights, torch.tensor(expected, dtype=torch.float64))
    assert 0 < (weights > 0).sum() < 300
    assert weights[weights > 0].min() > 1 - 0.45


@pytest.mark.parametrize("seed", range(4))
def test_cid_within_gt_uses_the_smallest_box_around_the_point(seed):
    centres, truth = points(300, seed), boxes(8, seed + 20)
    expected = []
    for x, y in centres.tolist():
        around_point = [b for b in truth.tolist() if b[0] < x < b[2] and b[1] < y < b[3]]
        value = 1.0
        if around_point:
            smallest = min(around_point, key=lambda b: (b[2] - b[0]) * (b[3] - b[1]))
            value = slow_centerness((x, y), smallest)
        expected.append(1 - value if value < 0.45 else 0.0)
    weights = cid.cid_within_gt_weights(centres, truth, 0.45)
    torch.testing.assert_close(weights, torch.tensor(expected, dtype=torch.float64))


def test_without_truth_no_location_counts():
    centres, none = points(20), torch.zeros(0, 4, dtype=torch.float64)
    assert cid.cid_weights(centres, boxes(20), none, 0.45).sum() == 0
    assert cid.cid_within_gt_weights(centres, none, 0.45).sum() == 0


def test_truth_without_area_reaches_only_its_own_point():
    centres = torch.tensor([[5.0, 5.0], [6.0, 5.0]])
    assert cid.near_ground_truth(centres, torch.tensor([[5.0, 5.0, 5.0, 5.0]])).tolist() == [True, False]


def test_a_larger_gamma_never_shrinks_the_region():
    centres, truth = points(300), boxes(4, 20)
    predicted = around(centres, 7)
    sizes = [
        (cid.cid_weights(centres, predicted, truth, g) > 0).sum().item() for g in (0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_global_loss_is_the_mean_smooth_l1():
    rebuilt, teacher = torch.randn(2, 3, 4, 5).double() * 2, torch.randn(2, 3, 4, 5).double()
    total = 0.0
    for a, b in zip(rebuilt.flatten().tolist(), teacher.flatten().tolist(), strict=True):
        gap = abs(a - b)
        total += gap - 0.5 if gap >= 1 else gap**2 / 2
    assert cid.global_loss(rebuilt, teacher).item() == pytest.approx(total / rebuilt.numel())
    assert torch.autograd.gradcheck(lambda r: cid.global_loss(r, teacher), rebuilt.requires_grad_())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"region": "vlr"}, "region is 'vlr'; use one of cid, cid_within_gt, own"),
        ({"global_tensor": "fpn"}, "use one of logits, tower, none"),
        ({"gamma": 1.2}, "gamma is 1.2"),
        ({"masked": 1.0}, "masked share is 1.0"),
        ({"alpha": -1}, "alpha is -1"),
    ],
)
def test_bad_constants_are_named(change, message):
    with pytest.raises(DistillationError, match=message):
        cid.CidConstants(**change)
