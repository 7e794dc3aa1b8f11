import math

import pytest
import torch

from uav_perception.distillation import fgd
from uav_perception.distillation.errors import DistillationError


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_published_constants():
    gfl, fcos = fgd.FgdConstants.published("gfl"), fgd.FgdConstants.published("fcos")
    assert (gfl.temperature, gfl.foreground, gfl.background, gfl.attention, gfl.context) == (
        0.5,
        1e-3,
        5e-4,
        5e-4,
        5e-6,
    )
    assert (fcos.temperature, fcos.foreground, fcos.background) == (0.8, 1.6e-3, 8e-4)
    assert (fcos.attention, fcos.context) == (8e-4, 8e-6)
    assert fgd.FgdConstants.published("atss") == gfl


def slow_attention(features, temperature):
    n, c, h, w = features.shape
    spatial, channel = torch.zeros(n, h, w, dtype=torch.float64), torch.zeros(n, c, dtype=torch.float64)
    for b in range(n):
        strength = [
            [math.exp(sum(abs(features[b, k, y, x].item()) for k in range(c)) / c / temperature) for x in range(w)]
            for y in range(h)
        ]
        total = sum(map(sum, strength))
        for y in range(h):
            for x in range(w):
                spatial[b, y, x] = h * w * strength[y][x] / total
        strength = [math.exp(features[b, k].abs().sum().item() / (h * w) / temperature) for k in range(c)]
        for k in range(c):
            channel[b, k] = c * strength[k] / sum(strength)
    return spatial, channel


def test_attention_against_loops():
    features = draw(2, 3, 4, 5)
    spatial, channel = slow_attention(features, 0.5)
    torch.testing.assert_close(fgd.spatial_attention(features, 0.5), spatial)
    torch.testing.assert_close(fgd.channel_attention(features, 0.5), channel)
    assert fgd.spatial_attention(features, 0.5).sum().item() == pytest.approx(2 * 20)


def slow_masks(boxes, image_size, map_size):
    height, width = map_size
    foreground = [[0.0] * width for _ in range(height)]
    for x1, y1, x2, y2 in boxes:
        left, right = math.floor(x1 * width / image_size[1]), math.ceil(x2 * width / image_size[1])
        top, bottom = math.floor(y1 * height / image_size[0]), math.ceil(y2 * height / image_size[0])
        share = 1 / ((right - left + 1) * (bottom - top + 1))
        for y in range(max(top, 0), min(bottom, height - 1) + 1):
            for x in range(max(left, 0), min(right, width - 1) + 1):
                foreground[y][x] = max(foreground[y][x], share)
    empty = sum(value == 0 for row in foreground for value in row)
    background = [[(value == 0) / max(empty, 1) for value in row] for row in foreground]
    return foreground, background


@pytest.mark.parametrize(
    "boxes",
    [
        [],
        [[10.0, 10.0, 30.0, 20.0]],
        [[10.0, 10.0, 30.0, 20.0], [0.0, 0.0, 64.0, 48.0]],  # the small one wins where they overlap
        [[-20.0, 5.0, 10.0, 90.0], [500.0, 500.0, 510.0, 510.0], [20.0, 20.0, 20.0, 20.0]],
    ],
)
def test_masks_against_loops(boxes):
    tensor = torch.tensor(boxes).reshape(-1, 4)
    foreground, background = fgd.scale_masks([tensor, tensor[:0]], (48, 64), (6, 8))
    expected = slow_masks(boxes, (48, 64), (6, 8))
    torch.testing.assert_close(foreground[0], torch.tensor(expected[0]))
    torch.testing.assert_close(background[0], torch.tensor(expected[1]))
    assert foreground[1].sum() == 0
    assert background[1].sum().item() == pytest.approx(1)


def test_focal_loss_against_loops():
    student, teacher = draw(2, 3, 4, 5), draw(2, 3, 4, 5, seed=1)
    foreground, background = torch.rand(2, 4, 5).double(), torch.rand(2, 4, 5).double()
    constants = fgd.FgdConstants.published("gfl")
    spatial, channel = slow_attention(teacher, 0.5)
    own_spatial, own_channel = slow_attention(student, 0.5)
    front = back = 0.0
    for b in range(2):
        for k in range(3):
            for y in range(4):
                for x in range(5):
                    error = (student[b, k, y, x] - teacher[b, k, y, x]).item() ** 2
                    error *= spatial[b, y, x].item() * channel[b, k].item()
                    front += error * foreground[b, y, x].item()
                    back += error * background[b, y, x].item()
    attention = (own_spatial - spatial).abs().sum().item() + (own_channel - channel).abs().sum().item()
    expected = (1e-3 * front + 5e-4 * back + 5e-4 * attention) / 2
    assert fgd.focal_loss(student, teacher, foreground, background, constants).item() == pytest.approx(expected)


def test_focal_loss_gradient():
    student, teacher = draw(1, 2, 3, 3).requires_grad_(), draw(1, 2, 3, 3, seed=1)
    mask = torch.rand(1, 3, 3).double()
    constants = fgd.FgdConstants()
    assert torch.autograd.gradcheck(lambda s: fgd.focal_loss(s, teacher, mask, mask, constants), student)


def test_global_context_starts_as_identity_and_pools_by_softmax():
    torch.manual_seed(0)
    block = fgd.GlobalContext(4).double()
    features = draw(2, 4, 3, 5)
    torch.testing.assert_close(block(features), features)
    torch.nn.init.normal_(block.transform[-1].weight)
    expected = features.clone()
    for b in range(2):
        logits = [
            block.attend.bias.item()
            + sum(block.attend.weight[0, k, 0, 0].item() * features[b, k, y, x].item() for k in range(4))
            for y in range(3)
            for x in range(5)
        ]
        weights = torch.tensor(logits, dtype=torch.float64).softmax(0).reshape(3, 5)
        context = (features[b] * weights).sum((1, 2))
        expected[b] += block.transform(context[None, :, None, None])[0]
    torch.testing.assert_close(block(features), expected)


def test_context_loss_is_the_squared_error_over_the_batch_size():
    student, teacher = draw(2, 2, 2, 2), draw(2, 2, 2, 2, seed=1)
    assert fgd.context_loss(student, teacher).item() == pytest.approx((student - teacher).pow(2).sum().item() / 2)


def test_bad_constants_are_named():
    with pytest.raises(DistillationError, match="temperature is 0"):
        fgd.FgdConstants(temperature=0)
    with pytest.raises(DistillationError, match="context is -1"):
        fgd.FgdConstants(context=-1)
    with pytest.raises(DistillationError, match="'detr'; known"):
        fgd.FgdConstants.published("detr")
