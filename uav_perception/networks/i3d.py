"""I3D (Carreira & Zisserman 2017): Inception v1 inflated to three dimensions, for RGB or optical flow.

Parameters carry the names of the public PyTorch conversion of DeepMind's checkpoints (``Conv3d_1a_7x7.conv3d.weight``,
``Mixed_3b.b1a.bn.running_mean``, ``logits.conv3d.bias``), so ``rgb_imagenet.pt``, ``flow_imagenet.pt`` and the Charades
ones load as they are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = {"rgb": 3, "flow": 2}
FEATURE_SIZE = 1024

# b0 | b1 reduce, b1 | b2 reduce, b2 | b3
_MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
_POOLED_BEFORE = {"Mixed_4b": (3, 2), "Mixed_5b": (2, 2)}


def pad_same(x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    """TensorFlow's SAME padding with zeros: the odd element goes to the end.

    Args:
        x: (B, C, T, H, W).
        kernel: sizes along T, H, W.
        stride: steps along T, H, W.
    """
    padding: list[int] = []
    for length, size, step in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
        total = max((-(-length // step) - 1) * step + size - length, 0)
        padding += [total // 2, total - total // 2]
    return F.pad(x, padding)


class _Unit(nn.Module):
    """Convolution, batch norm, ReLU; the last one of the network has a bias and neither of the others."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int = 1, final: bool = False) -> None:
        super().__init__()
        self.kernel, self.stride, self.final = (kernel,) * 3, (stride,) * 3, final
        self.conv3d = nn.Conv3d(channels, width, kernel, stride=stride, bias=final)
        if not final:
            self.bn = nn.BatchNorm3d(width, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv3d(pad_same(x, self.kernel, self.stride))
        return x if self.final else F.relu(self.bn(x))


def _pool(x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    return F.max_pool3d(pad_same(x, kernel, stride), kernel, stride)


class _Mixed(nn.Module):
    def __init__(self, channels: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        one, reduce_three, three, reduce_five, five, pooled = widths
        self.b0 = _Unit(channels, one, 1)
        self.b1a = _Unit(channels, reduce_three, 1)
        self.b1b = _Unit(reduce_three, three, 3)
        self.b2a = _Unit(channels, reduce_five, 1)
        self.b2b = _Unit(reduce_five, five, 3)
        self.b3b = _Unit(channels, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.b3b(_pool(x, (3, 3, 3), (1, 1, 1)))
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), pooled], 1)


class I3d(nn.Module):
    """One stream: clip (B, T, 3 or 2, 224, 224) in [-1, 1] to logits (B, classes), the mean over time."""

    def __init__(self, classes: int, modality: str = "rgb", dropout: float = 0.5) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = _Unit(CHANNELS[modality], 64, 7, stride=2)
        self.Conv3d_2b_1x1 = _Unit(64, 64, 1)
        self.Conv3d_2c_3x3 = _Unit(64, 192, 3)
        channels = 192
        for name, widths in _MIXED.items():
            setattr(self, name, _Mixed(channels, widths))
            channels = widths[0] + widths[2] + widths[4] + widths[5]
        self.dropout = nn.Dropout(dropout)
        self.logits = _Unit(FEATURE_SIZE, classes, 1, final=True)

    def forward(self, clip: Tensor) -> Tensor:
        """(B, T, C, H, W) to (B, classes). T of at least 9 and H, W of at least 193 reach the 2x7x7 pool."""
        x = _pool(self.Conv3d_1a_7x7(clip.transpose(1, 2)), (1, 3, 3), (1, 2, 2))
        x = _pool(self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x)), (1, 3, 3), (1, 2, 2))
        for name in _MIXED:
            if name in _POOLED_BEFORE:
                size, step = _POOLED_BEFORE[name]
                x = _pool(x, (size,) * 3, (step,) * 3)
            x = getattr(self, name)(x)
        x = self.dropout(F.avg_pool3d(x, (2, 7, 7), stride=1))
        return self.logits(x).mean((2, 3, 4))
