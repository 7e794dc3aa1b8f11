import math

import pytest
import torch

from uav_perception.networks import losses
from uav_perception.networks.vision import torchvision  # noqa: F401  (declares the operators that the next import needs)


def logistic(x):
    return 1 / (1 + math.exp(-x))


def cross_entropy(p, y):
    return -(y * math.log(p) + (1 - y) * math.log(1 - p))


def test_quality_focal_loss_equals_the_formula():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(12, 3, generator=generator, dtype=torch.float64) * 2
    labels = torch.randint(0, 4, (12,), generator=generator)  # 3 is background
    quality = torch.rand(12, generator=generator, dtype=torch.float64)
    found = losses.quality_focal_loss(logits, labels, quality)
    for row in range(12):
        for column in range(3):
            p = logistic(logits[row, column].item())
            if labels[row] == column:
                y = quality[row].item()
                expected = abs(y - p) ** 2 * cross_entropy(p, y)
            else:
                expected = p**2 * cross_entropy(p, 0.0)
            assert found[row, column].item() == pytest.approx(expected, rel=1e-9)


def test_quality_focal_loss_is_smallest_where_score_and_quality_meet():
    quality = torch.tensor([0.7], dtype=torch.float64)
    at = [
        losses.quality_focal_loss(torch.tensor([[x]]).double(), torch.tensor([0]), quality).item() for x in (-2, 0, 4)
    ]
    met = losses.quality_focal_loss(torch.logit(quality)[None], torch.tensor([0]), quality).item()
    assert met == pytest.approx(0, abs=1e-12)
    assert min(at) > met


def test_distribution_focal_loss_equals_the_formula():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(9, 4, 17, generator=generator, dtype=torch.float64)
    target = torch.rand(9, 4, generator=generator, dtype=torch.float64) * 15.9
    target[0] = torch.tensor([0.0, 15.9, 7.0, 0.5])
    found = losses.distribution_focal_loss(logits, target)
    for row in range(9):
        for side in range(4):
            weights = [math.exp(v) for v in logits[row, side].tolist()]
            y, total = target[row, side].item(), sum(weights)
            left = math.floor(y)
            expected = -(left + 1 - y) * math.log(weights[left] / total) - (y - left) * math.log(
                weights[left + 1] / total
            )
            assert found[row, side].item() == pytest.approx(expected, rel=1e-9)


def test_focal_loss_equals_torchvision():
    from torchvision.ops import sigmoid_focal_loss

    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(20, 5, generator=generator, dtype=torch.float64) * 3
    labels = torch.randint(0, 6, (20,), generator=generator)
    target = torch.nn.functional.one_hot(labels, 6)[:, :5].double()
    torch.testing.assert_close(losses.focal_loss(logits, labels), sigmoid_focal_loss(logits, target))


def test_box_losses_by_hand():
    box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    half = torch.tensor([[0.0, 0.0, 10.0, 5.0]])
    away = torch.tensor([[20.0, 0.0, 30.0, 10.0]])
    assert losses.iou_loss(half, box).item() == pytest.approx(math.log(2))
    assert losses.giou_loss(half, box).item() == pytest.approx(0.5)
    assert losses.giou_loss(away, box).item() == pytest.approx(1 + 100 / 300)
    assert losses.iou_loss(away, box).item() == pytest.approx(-math.log(1e-6), rel=1e-4)


def test_binary_cross_entropy_by_hand():
    found = losses.binary_cross_entropy(torch.tensor([0.0, 2.0]), torch.tensor([0.3, 1.0]))
    assert found.tolist() == pytest.approx([math.log(2), -math.log(logistic(2))])


def test_an_empty_sum_keeps_its_graph():
    parameter = torch.ones(3, requires_grad=True)
    values = (parameter * torch.ones(3))[torch.zeros(3, dtype=torch.bool)]
    losses.weighted_sum(values, torch.zeros(0), 1.0).backward()
    assert parameter.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_gradients(beta):
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    labels, quality = torch.tensor([0, 1, 2, 3, 3]), torch.rand(5, generator=generator, dtype=torch.float64)
    check = torch.autograd.gradcheck
    assert check(lambda x: losses.quality_focal_loss(x, labels, quality, beta), (logits,))
    assert check(lambda x: losses.focal_loss(x, labels), (logits,))
    bins = torch.randn(4, 9, generator=generator, dtype=torch.float64, requires_grad=True)
    assert check(lambda x: losses.distribution_focal_loss(x, torch.tensor([0.0, 0.3, 5.5, 7.9]).double()), (bins,))
    boxes = torch.tensor([[0.0, 0, 10, 10], [3, 2, 8, 9]], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[1.0, 2, 9, 12], [2, 2, 9, 8]], dtype=torch.float64)
    assert check(lambda x: losses.giou_loss(x, target), (boxes,))
    assert check(lambda x: losses.iou_loss(x, target), (boxes,))
