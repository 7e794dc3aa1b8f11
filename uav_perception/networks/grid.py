"""The cells on which a dense detector predicts, and the conversion of level maps to one long list of cells."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """Cells of all levels, level after level, each level row by row.

    Attributes:
        centres: (N, 2), x and y of every cell [px of the network's input].
        strides: (N,), stride of the cell's level [px].
        level_shapes: rows and columns of each level.
        level_strides: stride of each level [px].
        anchor_scale: side of the square anchor of a cell in units of its stride.
    """

    centres: Tensor
    strides: Tensor
    level_shapes: tuple[tuple[int, int], ...]
    level_strides: tuple[int, ...]
    anchor_scale: float = 8.0

    @property
    def level_sizes(self) -> list[int]:
        """Number of cells of each level; gives the argument for ``tensor.split(grid.level_sizes, dim)``."""
        return [rows * columns for rows, columns in self.level_shapes]

    @property
    def anchors(self) -> Tensor:
        """One square anchor a cell, (N, 4) [px]."""
        half = (self.strides * self.anchor_scale / 2)[:, None]
        return torch.cat([self.centres - half, self.centres + half], -1)

    @property
    def levels(self) -> Tensor:
        """Index of each cell's level, (N,) int64."""
        sizes = torch.tensor(self.level_sizes, device=self.centres.device)
        return torch.arange(len(sizes), device=self.centres.device).repeat_interleave(sizes)

    def inside(self, height: int, width: int) -> Tensor:
        """Which cells lie on an image of this size [px] in the corner of a larger padded batch; (N,) bool."""
        masks = []
        for (rows, columns), stride in zip(self.level_shapes, self.level_strides, strict=True):
            row = torch.arange(rows, device=self.centres.device) < -(-height // stride)
            column = torch.arange(columns, device=self.centres.device) < -(-width // stride)
            masks.append((row[:, None] & column[None]).flatten())
        return torch.cat(masks)


def make_grid(
    level_shapes: list[tuple[int, int]],
    level_strides: tuple[int, ...],
    offset: float,
    anchor_scale: float = 8.0,
    device: torch.device | str | None = None,
) -> Grid:
    """The grid of feature maps of these shapes.

    Args:
        level_shapes: rows and columns of each level.
        level_strides: stride of each level [px].
        offset: where a cell's centre lies: 0 at its upper left corner (GFL, ATSS), 0.5 in its middle (FCOS).
        anchor_scale: side of the anchors in units of the stride.
        device: where the tensors go.
    """
    centres, strides = [], []
    for (rows, columns), stride in zip(level_shapes, level_strides, strict=True):
        y = (torch.arange(rows, device=device, dtype=torch.float32) + offset) * stride
        x = (torch.arange(columns, device=device, dtype=torch.float32) + offset) * stride
        centres.append(torch.stack([x.repeat(rows), y.repeat_interleave(columns)], -1))
        strides.append(torch.full((rows * columns,), float(stride), device=device))
    shapes = tuple((int(rows), int(columns)) for rows, columns in level_shapes)
    return Grid(torch.cat(centres), torch.cat(strides), shapes, tuple(level_strides), anchor_scale)


def flatten_levels(maps: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    """Level maps (B, C, H, W) as one list of cells (B, N, C), in the order of :class:`Grid`."""
    return torch.cat([level.flatten(2) for level in maps], 2).transpose(1, 2)
