"""Cutting a large picture into overlapping tiles, for objects too small in the whole (SAHI, arXiv 2202.06934)."""

from __future__ import annotations

from dataclasses import dataclass

from uav_perception.inference.errors import ModelError


@dataclass(frozen=True)
class Tiling:
    """How a picture is cut.

    Attributes:
        width: of a tile [px of the picture].
        height: of a tile [px of the picture].
        overlap: shared part of neighbouring tiles, 0 to below 1 of a side.
        with_whole: look at the whole picture too, for objects larger than a tile.
        merge_threshold: boxes of one class whose intersection covers this part of the smaller one are one object. A
            part of an object cut by a tile's edge has a small IoU with the whole of it, but lies inside.

    Raises:
        ModelError: a value is out of its range.
    """

    width: int
    height: int
    overlap: float = 0.2
    with_whole: bool = True
    merge_threshold: float = 0.5

    def __post_init__(self) -> None:
        if self.width < 16 or self.height < 16:
            raise ModelError(f"A tile must measure at least 16x16 px, not {self.width}x{self.height}.")
        if not 0 <= self.overlap < 1:
            raise ModelError(f"The overlap of tiles must be at least 0 and below 1, not {self.overlap}.")
        if not 0 < self.merge_threshold <= 1:
            raise ModelError(f"The merge threshold must be above 0 and at most 1, not {self.merge_threshold}.")

    def tiles(self, width: int, height: int) -> list[tuple[int, int, int, int]]:
        """The tiles of a picture, row by row.

        Args:
            width: of the picture [px].
            height: of the picture [px].

        Returns:
            ``x_min, y_min, x_max, y_max`` of each tile. They cover the picture; the last of a row or column is moved
            back inside. A single tile where the picture fits into one.
        """
        columns = _starts(width, self.width, self.overlap)
        rows = _starts(height, self.height, self.overlap)
        return [(x, y, min(x + self.width, width), min(y + self.height, height)) for y in rows for x in columns]


def _starts(length: int, tile: int, overlap: float) -> list[int]:
    if length <= tile:
        return [0]
    step = max(int(tile * (1 - overlap)), 1)
    starts = list(range(0, length - tile, step))
    return [*starts, length - tile]
