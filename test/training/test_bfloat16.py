import copy

import torch
from torch import nn

from uav_perception.training.bfloat16 import compute_in_bfloat16


def test_dense_convolutions_agree_with_float32_to_bfloat16s_precision():
    torch.manual_seed(0)
    exact = nn.Sequential(
        nn.Conv2d(8, 16, 3, padding=1), nn.Conv2d(16, 16, 3, groups=16), nn.Conv2d(16, 4, 1, stride=2)
    )
    quick = copy.deepcopy(exact)
    assert compute_in_bfloat16(quick) == 2  # the depthwise one stays as it is
    images = torch.randn(2, 8, 16, 16)
    a, b = exact(images), quick(images)
    assert b.dtype == torch.float32
    assert 0 < (a - b).abs().max() < 0.02 * a.abs().max()  # bfloat16 has 8 significant bits
    a.square().mean().backward()
    b.square().mean().backward()
    for one, other in zip(exact.parameters(), quick.parameters(), strict=True):
        assert other.grad.dtype == torch.float32
        assert torch.nn.functional.cosine_similarity(one.grad.flatten(), other.grad.flatten(), dim=0) > 0.999


def test_the_state_dict_is_that_of_the_plain_module():
    plain = nn.Conv2d(3, 4, 3)
    quick = copy.deepcopy(plain)
    compute_in_bfloat16(quick)
    assert quick.state_dict().keys() == plain.state_dict().keys()
    plain.load_state_dict(quick.state_dict())
