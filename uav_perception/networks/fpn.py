"""Feature pyramid with the extra coarse levels of dense detectors."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from uav_perception.networks.layers import conv3x3


class FeaturePyramid(nn.Module):
    """FPN as mmdet builds it for GFL, ATSS and FCOS.

    1x1 laterals, nearest upsampling to the finer level's size, 3x3 output convolutions, no norm and no activation;
    coarse levels by 3x3 convolutions of stride 2 on the coarsest *output*.

    Args:
        channels_in: channels of the backbone's outputs, finest first.
        channels: channels of every output.
        extra_levels: coarse levels to add (2 gives P6 and P7).
        relu_before_extra: rectify before each extra convolution but the first, as FCOS does.
        separable: depthwise separable 3x3 convolutions, for light detectors.
    """

    def __init__(
        self,
        channels_in: tuple[int, ...],
        channels: int = 256,
        extra_levels: int = 2,
        relu_before_extra: bool = False,
        separable: bool = False,
    ):
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(number, channels, 1) for number in channels_in)
        self.outputs = nn.ModuleList(conv3x3(channels, channels, separable=separable) for _ in channels_in)
        self.extras = nn.ModuleList(
            conv3x3(channels, channels, stride=2, separable=separable) for _ in range(extra_levels)
        )
        self.relu_before_extra = relu_before_extra
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Backbone maps, finest first, to pyramid maps (B, channels, H_l, W_l)."""
        laterals = [lateral(x) for lateral, x in zip(self.laterals, features, strict=True)]
        for finer in range(len(laterals) - 2, -1, -1):
            size = laterals[finer].shape[-2:]
            laterals[finer] = laterals[finer] + F.interpolate(laterals[finer + 1], size=size, mode="nearest")
        levels = [output(x) for output, x in zip(self.outputs, laterals, strict=True)]
        for number, extra in enumerate(self.extras):
            x = levels[-1]
            levels.append(extra(F.relu(x) if self.relu_before_extra and number else x))
        return levels
