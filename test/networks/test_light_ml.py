import pytest
import torch

from uav_perception.networks.errors import NetworkError
from uav_perception.networks.light_ml import (
    ClassificationToLocalisation,
    LightML,
    LocalisationToClassification,
    channel_shuffle,
)


def towers(channels=8):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, channels, 3, 4, generator=generator) for _ in range(2)]


def test_shuffling_alternates_the_branches():
    a, b = torch.arange(4.0).reshape(1, 4, 1, 1), torch.arange(10.0, 14.0).reshape(1, 4, 1, 1)
    first, second = channel_shuffle(a, b)
    assert first.flatten().tolist() == [0, 10, 1, 11]
    assert second.flatten().tolist() == [2, 12, 3, 13]


def test_light_ml_equals_equations_3_to_6_written_out():
    module = LightML(8, k=0.25, activation=False)
    classification, localisation = towers()
    lifted_class, lifted_box = module(classification, localisation)
    convolved = module.conv(torch.cat([classification[:, :2], localisation[:, :2]], 1))
    pairs = zip(classification[:, 2:].unbind(1), localisation[:, 2:].unbind(1), strict=True)
    shuffled = torch.stack([channel for pair in pairs for channel in pair], 1)
    torch.testing.assert_close(lifted_class, torch.cat([convolved[:, :2], shuffled[:, :6]], 1))
    torch.testing.assert_close(lifted_box, torch.cat([convolved[:, 2:], shuffled[:, 6:]], 1))


@pytest.mark.parametrize(("k", "weights"), [(0, 0), (0.25, 147_456), (0.5, 589_824), (1, 2_359_296)])
def test_parameters_of_the_paper(k, weights):
    module = LightML(256, k, activation=False)
    assert sum(p.numel() for name, p in module.named_parameters() if name.endswith("weight")) == weights
    classification, localisation = towers(256)
    assert [x.shape for x in module(classification, localisation)] == [classification.shape] * 2


@pytest.mark.parametrize(("k", "message"), [(1.5, "between 0 and 1, not 1.5"), (0.3, "must be whole; 0.3 x 256")])
def test_impossible_k_is_refused(k, message):
    with pytest.raises(NetworkError, match=message):
        LightML(256, k)


def test_one_way_exchanges_change_only_their_target():
    classification, localisation = towers()
    same, lifted = ClassificationToLocalisation(8)(classification, localisation)
    assert same is classification
    assert not torch.equal(lifted, localisation)
    logits = torch.randn(2, 12, 3, 4)
    assert LocalisationToClassification(12, 8)(classification, logits).shape == classification.shape


def test_gradients_reach_both_branches_from_one():
    module = LightML(8, k=0.25)
    classification, localisation = (x.requires_grad_() for x in towers())
    module(classification, localisation)[0].sum().backward()
    assert classification.grad.abs().sum() > 0
    assert localisation.grad.abs().sum() > 0
