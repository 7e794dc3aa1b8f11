import pytest
import torch
import torch.nn.functional as F

from uav_perception.distillation.errors import DistillationError
from uav_perception.distillation.mgd import FeatureGenerator, MgdConstants, random_mask, regeneration_loss


def test_published_constants():
    assert (MgdConstants().weight, MgdConstants().masked) == (2e-5, 0.65)


def test_mask_zeroes_the_stated_share_in_every_channel():
    features = torch.zeros(8, 5, 100, 100)
    mask = random_mask(features, 0.65, torch.Generator().manual_seed(0))
    assert mask.shape == (8, 1, 100, 100)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    # 80,000 draws: the standard deviation of the share is 0.0017.
    assert (mask == 0).double().mean().item() == pytest.approx(0.65, abs=0.007)
    assert random_mask(features, 0.0).min() == 1


@pytest.mark.parametrize("channels", [(6, 6), (4, 6)])
def test_generator_is_mask_conv_relu_conv(channels):
    torch.manual_seed(0)
    generator = FeatureGenerator(*channels).double()
    features = torch.randn(2, channels[0], 7, 5, dtype=torch.float64)
    mask = random_mask(features, 0.5, torch.Generator().manual_seed(1))
    hidden = features
    if channels[0] != channels[1]:
        hidden = F.conv2d(hidden, generator.align.weight, generator.align.bias)
    first, _, second = generator.rebuild
    hidden = F.conv2d(hidden * mask, first.weight, first.bias, padding=1).clamp(min=0)
    expected = F.conv2d(hidden, second.weight, second.bias, padding=1)
    torch.testing.assert_close(generator(features, mask), expected)


def test_loss_is_the_squared_error_over_the_batch_size():
    rebuilt = torch.randn(3, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(3, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    expected = (
        sum((a - b) ** 2 for a, b in zip(rebuilt.flatten().tolist(), teacher.flatten().tolist(), strict=True)) / 3
    )
    loss = regeneration_loss(rebuilt, teacher)
    assert loss.item() == pytest.approx(expected)
    loss.backward()
    assert teacher.grad is None
    assert torch.autograd.gradcheck(lambda r: regeneration_loss(r, teacher), rebuilt)


def test_bad_constants_are_named():
    with pytest.raises(DistillationError, match="masked share is 1"):
        MgdConstants(masked=1)
    with pytest.raises(DistillationError, match="weight is -1"):
        MgdConstants(weight=-1)
