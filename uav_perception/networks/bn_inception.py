"""BN-Inception (Ioffe & Szegedy 2015), the "Inception v1" of TSN and of the paper's Table I.

Parameters carry the names of the widely used Caffe conversion (``conv1_7x7_s2``, ``inception_3a_double_3x3_1_bn``,
``last_linear`` or ``fc``), so its checkpoints load as they are. Those expect BGR in 0..255 less (104, 117, 128).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class _Mixed:
    """Widths of one block. ``stride`` 2 blocks have no 1x1 branch and pass the pool through."""

    one: int
    three_reduce: int
    three: int
    double_reduce: int
    double: int
    pool: int
    pooling: str = "avg"
    stride: int = 1


_BLOCKS = {
    "3a": _Mixed(64, 64, 64, 64, 96, 32),
    "3b": _Mixed(64, 64, 96, 64, 96, 64),
    "3c": _Mixed(0, 128, 160, 64, 96, 0, "max", 2),
    "4a": _Mixed(224, 64, 96, 96, 128, 128),
    "4b": _Mixed(192, 96, 128, 96, 128, 128),
    "4c": _Mixed(160, 128, 160, 128, 160, 128),
    "4d": _Mixed(96, 128, 192, 160, 192, 128),
    "4e": _Mixed(0, 128, 192, 192, 256, 0, "max", 2),
    "5a": _Mixed(352, 192, 320, 160, 224, 128),
    "5b": _Mixed(352, 192, 320, 192, 224, 128, "max"),
}
FEATURE_SIZE = 1024


class BnInception(nn.Module):
    """(B, 3, 224, 224) to logits (B, classes)."""

    def __init__(self, classes: int = 1000, dropout: float = 0.0) -> None:
        super().__init__()
        self._unit("conv1_7x7_s2", 3, 64, 7, stride=2)
        self._unit("conv2_3x3_reduce", 64, 64, 1)
        self._unit("conv2_3x3", 64, 192, 3)
        channels = 192
        for name, block in _BLOCKS.items():
            channels = self._block(f"inception_{name}", channels, block)
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.average = nn.AvgPool2d(3, stride=1, padding=1)
        self.maximum = nn.MaxPool2d(3, stride=1, padding=1)
        self.global_pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.last_linear = nn.Linear(FEATURE_SIZE, classes)

    def _unit(self, name: str, channels: int, width: int, kernel: int, stride: int = 1) -> None:
        setattr(self, name, nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2))
        setattr(self, f"{name}_bn", nn.BatchNorm2d(width))

    def _block(self, name: str, channels: int, block: _Mixed) -> int:
        if block.one:
            self._unit(f"{name}_1x1", channels, block.one, 1)
        self._unit(f"{name}_3x3_reduce", channels, block.three_reduce, 1)
        self._unit(f"{name}_3x3", block.three_reduce, block.three, 3, block.stride)
        self._unit(f"{name}_double_3x3_reduce", channels, block.double_reduce, 1)
        self._unit(f"{name}_double_3x3_1", block.double_reduce, block.double, 3)
        self._unit(f"{name}_double_3x3_2", block.double, block.double, 3, block.stride)
        if block.pool:
            self._unit(f"{name}_pool_proj", channels, block.pool, 1)
        return block.one + block.three + block.double + (block.pool or channels)

    def _run(self, name: str, inputs: Tensor) -> Tensor:
        return torch.relu(getattr(self, f"{name}_bn")(getattr(self, name)(inputs)))

    def _run_block(self, name: str, inputs: Tensor, block: _Mixed) -> Tensor:
        branches = [self._run(f"{name}_1x1", inputs)] if block.one else []
        branches.append(self._run(f"{name}_3x3", self._run(f"{name}_3x3_reduce", inputs)))
        double = self._run(f"{name}_double_3x3_1", self._run(f"{name}_double_3x3_reduce", inputs))
        branches.append(self._run(f"{name}_double_3x3_2", double))
        if block.pool:
            pooled = self.average(inputs) if block.pooling == "avg" else self.maximum(inputs)
            branches.append(self._run(f"{name}_pool_proj", pooled))
        else:
            branches.append(self.pool(inputs))
        return torch.cat(branches, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, classes)."""
        x = self.pool(self._run("conv1_7x7_s2", images))
        x = self.pool(self._run("conv2_3x3", self._run("conv2_3x3_reduce", x)))
        for name, block in _BLOCKS.items():
            x = self._run_block(f"inception_{name}", x, block)
        return self.last_linear(self.dropout(self.global_pool(x).flatten(1)))
