"""Dense convolutions in bfloat16, everything else in float32: what pays on CPUs with AVX512-BF16 or AMX.

Autocast would run depthwise convolutions and norms in bfloat16 too, where their gradients are slower than in float32.
"""

from __future__ import annotations

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn


def compute_in_bfloat16(module: nn.Module) -> int:
    """Let every dense convolution of a module multiply in bfloat16 and give float32; weights stay float32.

    Args:
        module: changed in place; its state dict stays as it is.

    Returns:
        How many convolutions there are.
    """
    dense = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d) and layer.groups == 1]
    for layer in dense:
        layer.forward = partial(_convolve, layer)
    return len(dense)


def _convolve(layer: nn.Conv2d, x: Tensor) -> Tensor:
    bias = None if layer.bias is None else layer.bias.bfloat16()
    weight = layer.weight.bfloat16()
    return F.conv2d(x.bfloat16(), weight, bias, layer.stride, layer.padding, layer.dilation).to(x.dtype)
