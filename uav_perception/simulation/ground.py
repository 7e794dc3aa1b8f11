"""Ground textures painted with NumPy: grass, dirt, asphalt, fields, paving, with roads, lane marks and parking bays."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import cos, sin, sqrt

import cv2
import numpy as np

GROUND_KINDS = ("grass", "dirt", "asphalt", "field", "paving", "sand")

# Two colours (RGB, 0 to 1) between which the noise of a ground mixes.
_PALETTES = {
    "grass": ((0.20, 0.31, 0.12), (0.48, 0.56, 0.25)),
    "dirt": ((0.38, 0.29, 0.20), (0.63, 0.52, 0.39)),
    "asphalt": ((0.28, 0.28, 0.29), (0.50, 0.50, 0.50)),
    "field": ((0.38, 0.33, 0.18), (0.62, 0.59, 0.30)),
    "paving": ((0.50, 0.48, 0.46), (0.74, 0.71, 0.68)),
    "sand": ((0.66, 0.59, 0.46), (0.85, 0.78, 0.64)),
}


@dataclass(frozen=True)
class Road:
    """A straight road through the ground.

    Attributes:
        x, y: a point on the centre line [m].
        heading: direction of the centre line [rad].
        lane_width: [m]; there is one lane for each direction.
    """

    x: float
    y: float
    heading: float
    lane_width: float

    @property
    def half_width(self) -> float:
        """From the centre line to the kerb [m]."""
        return self.lane_width + 0.4

    def offset(self, x: np.ndarray | float, y: np.ndarray | float) -> np.ndarray | float:
        """Signed distance of points from the centre line, to the left [m]."""
        return -(x - self.x) * sin(self.heading) + (y - self.y) * cos(self.heading)

    def along(self, x: np.ndarray | float, y: np.ndarray | float) -> np.ndarray | float:
        """Distance of points along the centre line [m]."""
        return (x - self.x) * cos(self.heading) + (y - self.y) * sin(self.heading)

    def point(self, along: float, offset: float) -> tuple[float, float]:
        """The place at a distance along and to the left of the centre line [m]."""
        c, s = cos(self.heading), sin(self.heading)
        return float(self.x + along * c - offset * s), float(self.y + along * s + offset * c)


@dataclass(frozen=True)
class ParkingRow:
    """Bays side by side.

    Attributes:
        x, y: centre of the row [m].
        heading: direction in which the bays follow one another [rad]; vehicles stand across it.
        bays: number of bays, each 2.7 m wide and 5.4 m long.
    """

    x: float
    y: float
    heading: float
    bays: int

    def bay(self, i: int) -> tuple[float, float]:
        """Centre of bay ``i`` [m]."""
        along = (i - (self.bays - 1) / 2) * 2.7
        return float(self.x + along * cos(self.heading)), float(self.y + along * sin(self.heading))


@dataclass(frozen=True)
class GroundPlan:
    """What is painted on the ground.

    Attributes:
        size: side of the painted square, centred on the origin [m].
        kind: one of ``GROUND_KINDS``.
        patch_kind: a second ground that shows in patches.
        roads, parking: what is painted over it.
    """

    size: float
    kind: str
    patch_kind: str
    roads: tuple[Road, ...] = field(default=())
    parking: tuple[ParkingRow, ...] = field(default=())

    def __post_init__(self) -> None:
        for kind in (self.kind, self.patch_kind):
            if kind not in GROUND_KINDS:
                raise ValueError(f"Unknown ground {kind!r}; it must be one of {', '.join(GROUND_KINDS)}.")

    def on_road(self, x: float, y: float, margin: float = 0.0) -> bool:
        """Whether a point lies on a road or closer than ``margin`` [m] to one."""
        return any(abs(road.offset(x, y)) < road.half_width + margin for road in self.roads)


def random_plan(rng: np.random.Generator, size: float, roads: int, parking: int) -> GroundPlan:
    """Draw a ground with roads and parking rows.

    Args:
        size: side of the square [m].
        roads: at most two; the second crosses the first about at a right angle.
        parking: number of parking rows.
    """
    kind, patch_kind = (str(name) for name in rng.choice(GROUND_KINDS, 2))
    heading = rng.uniform(0, np.pi)
    drawn = []
    for i in range(roads):
        turn = heading + i * (np.pi / 2 + rng.uniform(-0.25, 0.25))
        offset = rng.uniform(-0.22, 0.22) * size
        drawn.append(
            Road(float(-offset * np.sin(turn)), float(offset * np.cos(turn)), float(turn), float(rng.uniform(2.9, 3.7)))
        )
    rows = []
    for _ in range(parking):
        along, across = rng.uniform(-0.3, 0.3, 2) * size
        rows.append(ParkingRow(float(along), float(across), float(heading), int(rng.integers(4, 13))))
    return GroundPlan(size, kind, patch_kind, tuple(drawn), tuple(rows))


def _noise(rng: np.random.Generator, pixels: int, cells: int) -> np.ndarray:
    """Smooth noise with about unit variance and ``cells`` bumps along a side."""
    grid = rng.standard_normal((cells, cells), dtype=np.float32)
    return cv2.resize(grid, (pixels, pixels), interpolation=cv2.INTER_CUBIC)


def _fractal(rng: np.random.Generator, pixels: int, sharpness: float) -> np.ndarray:
    """Noise over several scales, mapped to 0..1; more ``sharpness`` gives more fine grain."""
    total = np.zeros((pixels, pixels), np.float32)
    weight_sum = 0.0
    for cells in (5, 17, 61, pixels // 8, pixels // 3):
        weight = (cells / 5) ** (sharpness - 0.5)
        total += weight * _noise(rng, pixels, cells)
        weight_sum += weight**2
    return np.clip(0.5 + 0.22 * total / sqrt(weight_sum), 0, 1)


def _base(rng: np.random.Generator, kind: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """RGB float32 image of a ground without roads."""
    mix = _fractal(rng, len(x), rng.uniform(0.3, 0.65))
    if kind == "field":
        heading, width = rng.uniform(0, np.pi), rng.uniform(0.5, 2.5)
        across = -x * sin(heading) + y * cos(heading)
        mix = 0.45 * mix + 0.55 * (0.5 + 0.5 * np.sin(2 * np.pi * across / width))
    elif kind == "paving":
        heading, side = rng.uniform(0, np.pi / 2), rng.uniform(0.6, 2.0)
        u = (x * cos(heading) + y * sin(heading)) / side
        v = (-x * sin(heading) + y * cos(heading)) / side
        joint = np.minimum(np.abs(u - np.round(u)), np.abs(v - np.round(v))) < 0.04
        tiles = np.sin(12.9898 * np.floor(u) + 78.233 * np.floor(v)).astype(np.float32)
        mix = np.where(joint, 0.15 * mix, 0.55 * mix + 0.2 + 0.15 * tiles)
    low, high = (np.array(colour) * rng.uniform(0.85, 1.15, 3) for colour in _PALETTES[kind])
    return low.astype(np.float32) + mix[..., None] * (high - low).astype(np.float32)


def _paint_road(image: np.ndarray, road: Road, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> None:
    offset, along = road.offset(x, y), road.along(x, y)
    distance = np.abs(offset)
    grain = 1 + 0.1 * (_fractal(rng, len(image), 0.5)[..., None] - 0.5)
    kerb = (distance < road.half_width + 1.6) & (distance >= road.half_width)
    image[kerb] = (np.array([0.52, 0.51, 0.49], np.float32) * grain)[kerb]
    lane = distance < road.half_width
    image[lane] = (np.float32(rng.uniform(0.22, 0.36)) * grain * np.ones(3, np.float32))[lane]
    white = np.float32(rng.uniform(0.7, 0.88))
    image[(distance < 0.08) & (along % 6 < 3)] = white
    image[np.abs(distance - road.lane_width) < 0.07] = white
    crossing = rng.uniform(-0.3, 0.3) * (x.max() - x.min())
    image[lane & (np.abs(along - crossing) < 1.6) & (offset % 1.0 < 0.5)] = white


def _paint_parking(image: np.ndarray, row: ParkingRow, x: np.ndarray, y: np.ndarray) -> None:
    along = (x - row.x) * cos(row.heading) + (y - row.y) * sin(row.heading)
    across = np.abs(-(x - row.x) * sin(row.heading) + (y - row.y) * cos(row.heading))
    half = row.bays * 1.35
    inside = (np.abs(along) < half + 0.3) & (across < 3.0)
    image[inside] = 0.35 * image[inside] + 0.65 * np.float32(0.3)
    line = np.abs((along + half + 1.35) % 2.7 - 1.35) < 0.06
    image[inside & line & (across < 2.7) & (np.abs(along) < half + 0.1)] = 0.8


def paint(plan: GroundPlan, pixels: int, rng: np.random.Generator) -> np.ndarray:
    """Paint a ground plan.

    Args:
        plan: what to paint.
        pixels: side of the texture [px].

    Returns:
        uint8 RGB, shape (pixels, pixels, 3). Row 0 lies at the smallest y, column 0 at the smallest x.
    """
    line = ((np.arange(pixels, dtype=np.float32) + 0.5) / pixels - 0.5) * np.float32(plan.size)
    x, y = np.meshgrid(line, line)
    image = _base(rng, plan.kind, x, y)
    if plan.patch_kind != plan.kind:
        patch = np.clip((_noise(rng, pixels, 9) + 0.35 * _noise(rng, pixels, 40) - 0.7) * 4, 0, 1)[..., None]
        image = image * (1 - patch) + _base(rng, plan.patch_kind, x, y) * patch
    for road in plan.roads:
        _paint_road(image, road, x, y, rng)
    for row in plan.parking:
        _paint_parking(image, row, x, y)
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)
