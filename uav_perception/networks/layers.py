"""The few layers that necks and heads are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvGroupNorm(nn.Module):
    """3x3 convolution and GroupNorm; the ReLU is applied by the caller, which may need the values before it.

    Args:
        channels_in, channels_out: numbers of channels.
        groups: groups of the GroupNorm.
        separable: a depthwise 3x3 followed by a 1x1, for light detectors.
        bias: whether the convolution has a bias (FCOS's improved form has).
    """

    def __init__(self, channels_in: int, channels_out: int, groups: int = 32, separable: bool = False, bias=False):
        super().__init__()
        self.conv = conv3x3(channels_in, channels_out, separable=separable, bias=bias)
        self.norm = nn.GroupNorm(groups, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H, W), normalised, not rectified."""
        return self.norm(self.conv(x))


def conv3x3(channels_in: int, channels_out: int, stride: int = 1, separable: bool = False, bias: bool = True):
    """A padded 3x3 convolution, dense or depthwise separable."""
    if not separable:
        return nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=bias)
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_in, 3, stride, padding=1, groups=channels_in, bias=False),
        nn.Conv2d(channels_in, channels_out, 1, bias=bias),
    )


class Scale(nn.Module):
    """One learnable factor, which lets a head shared over levels regress different ranges."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        """x times the factor."""
        return x * self.factor
