"""Vehicles, bicycles and crates of boxes and cylinders. Body frame: x forward, y left, z up, origin on the ground."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from uav_perception.simulation.activities import CRANK_HEIGHT, SADDLE_HEIGHT, SADDLE_X, WHEEL_RADIUS
from uav_perception.simulation.person import Colour, random_colour

# Length, width, height [m], lowest and highest, of the ordinary road vehicle of each class.
VEHICLE_SIZES: dict[str, tuple[tuple[float, float], ...]] = {
    "car": ((3.7, 4.9), (1.66, 1.9), (1.4, 1.6)),
    "van": ((4.7, 6.0), (1.85, 2.05), (2.0, 2.6)),
    "truck": ((6.5, 10.0), (2.3, 2.5), (3.0, 3.7)),
    "bus": ((10.0, 13.0), (2.45, 2.55), (2.9, 3.2)),
}

_GLASS: Colour = (0.07, 0.09, 0.12)
_TYRE: Colour = (0.05, 0.05, 0.05)


@dataclass(frozen=True)
class VehicleLook:
    """Size and paint of one vehicle.

    Attributes:
        kind: "car", "van", "truck" or "bus".
        length, width, height: outer size [m].
        paint: colour of the body. second: colour of a truck's box or a bus's stripe.
        variant: 0 to 1; chooses between body shapes (saloon or estate, box or flatbed).
    """

    kind: str
    length: float
    width: float
    height: float
    paint: Colour
    second: Colour
    variant: float

    def __post_init__(self) -> None:
        if self.kind not in VEHICLE_SIZES:
            raise ValueError(f"Unknown vehicle {self.kind!r}; it must be one of {', '.join(VEHICLE_SIZES)}.")


def _random_paint(rng: np.random.Generator) -> Colour:
    """Vehicles are white, silver, grey or black about as often as coloured."""
    if rng.random() < 0.45:
        tone = float(rng.choice([0.95, 0.8, 0.6, 0.35, 0.12]))
        return tone, tone, tone
    return random_colour(rng)


def random_vehicle(kind: str, rng: np.random.Generator) -> VehicleLook:
    """Draw size and paint for a vehicle class."""
    if kind not in VEHICLE_SIZES:
        raise ValueError(f"Unknown vehicle {kind!r}; it must be one of {', '.join(VEHICLE_SIZES)}.")
    length, width, height = (float(rng.uniform(*limits)) for limits in VEHICLE_SIZES[kind])
    return VehicleLook(kind, length, width, height, _random_paint(rng), _random_paint(rng), float(rng.random()))


def _geom(shape: str, centre: tuple, size: tuple, colour: Colour, extra: str = "") -> str:
    place, half = (" ".join(f"{v:.3f}" for v in values) for values in (centre, size))
    rgba = "{:.3f} {:.3f} {:.3f} 1".format(*colour)
    return f'<geom type="{shape}" pos="{place}" size="{half}" rgba="{rgba}" {extra}/>'


def _box(x: tuple[float, float], y: float, z: tuple[float, float], colour: Colour) -> str:
    """A box over an x interval, y in [-y, y], a z interval."""
    return _geom("box", ((x[0] + x[1]) / 2, 0, (z[0] + z[1]) / 2), ((x[1] - x[0]) / 2, y, (z[1] - z[0]) / 2), colour)


def _wheels(look: VehicleLook, radius: float, axles: tuple[float, ...]) -> str:
    return "".join(
        _geom("cylinder", (x, side * (look.width / 2 - 0.1), radius), (radius, 0.13), _TYRE, 'euler="90 0 0"')
        for x in axles
        for side in (-1, 1)
    )


def _lamps(look: VehicleLook, z: float) -> str:
    half, parts = look.length / 2, ""
    for side in (-1, 1):
        y = side * (look.width / 2 - 0.22)
        parts += _geom("box", (half, y, z), (0.02, 0.16, 0.07), (0.95, 0.95, 0.85))
        parts += _geom("box", (-half, y, z), (0.02, 0.14, 0.08), (0.7, 0.05, 0.05))
    return parts


def _car(v: VehicleLook) -> str:
    half, w = v.length / 2, v.width / 2
    beltline = 0.58 * v.height
    front, rear = 0.22 * v.length, -0.46 * v.length if v.variant < 0.45 else -0.3 * v.length
    return (
        _box((-half, half), w, (0.22, beltline), v.paint)
        + _box((rear, front), w - 0.1, (beltline, 0.93 * v.height), _GLASS)
        + _box((rear + 0.28, front - 0.5), w - 0.13, (0.9 * v.height, v.height), v.paint)
        + _box((rear + 0.75, rear + 0.85), w - 0.09, (beltline, 0.93 * v.height), v.paint)
        + _wheels(v, 0.32, (-0.3 * v.length, 0.31 * v.length))
        + _lamps(v, 0.45 * v.height)
    )


def _van(v: VehicleLook) -> str:
    half, w = v.length / 2, v.width / 2
    nose = half - 0.75
    return (
        _box((-half, nose), w, (0.3, v.height), v.paint)
        + _box((nose, half), w - 0.04, (0.3, 0.5 * v.height), v.paint)
        + _box((nose - 0.05, nose + 0.25), w - 0.12, (0.5 * v.height, 0.88 * v.height), _GLASS)
        + _box((nose - 1.3, nose - 0.3), w + 0.01, (0.55 * v.height, 0.82 * v.height), _GLASS)
        + (
            _box((-half + 0.4, nose - 1.5), w + 0.01, (0.55 * v.height, 0.82 * v.height), _GLASS)
            if v.variant < 0.4
            else ""
        )
        + _wheels(v, 0.36, (-0.31 * v.length, 0.33 * v.length))
        + _lamps(v, 0.36 * v.height)
    )


def _truck(v: VehicleLook) -> str:
    half, w = v.length / 2, v.width / 2
    cab = half - 1.9
    cab_top = min(2.8, 0.85 * v.height)
    parts = (
        _box((-half, half - 0.2), w - 0.15, (0.5, 0.95), (0.12, 0.12, 0.13))
        + _box((cab, half), w, (0.6, cab_top), v.paint)
        + _box((half - 0.35, half + 0.02), w - 0.12, (0.6 * cab_top, 0.92 * cab_top), _GLASS)
        + _box((cab + 0.6, half - 0.5), w + 0.01, (0.6 * cab_top, 0.88 * cab_top), _GLASS)
        + _wheels(v, 0.48, (-0.36 * v.length, -0.24 * v.length, 0.36 * v.length))
        + _lamps(v, 0.8)
    )
    if v.variant < 0.6:
        return parts + _box((-half, cab - 0.25), w, (0.95, v.height), v.second)
    load = 0.95 + 0.5 * (v.variant - 0.4)
    return (
        parts
        + _box((-half, cab - 0.25), w, (0.95, 1.15), v.second)
        + _box((-half + 0.15, cab - 0.4), w - 0.15, (1.15, 1.15 + load), (0.42, 0.33, 0.22))
    )


def _bus(v: VehicleLook) -> str:
    half, w = v.length / 2, v.width / 2
    return (
        _box((-half, half), w, (0.32, v.height), v.paint)
        + _box((-half + 0.3, half - 0.5), w + 0.015, (0.45 * v.height, 0.78 * v.height), _GLASS)
        + _box((half - 0.15, half + 0.02), w - 0.1, (0.4 * v.height, 0.86 * v.height), _GLASS)
        + _box((-half, half), w + 0.012, (0.22 * v.height, 0.3 * v.height), v.second)
        + _box((-0.55 * half, -0.2 * half), 0.7, (v.height, v.height + 0.16), (0.8, 0.8, 0.8))
        + _box((0.3 * half, 0.6 * half), 0.7, (v.height, v.height + 0.16), (0.8, 0.8, 0.8))
        + _wheels(v, 0.5, (-0.28 * v.length, 0.33 * v.length))
        + _lamps(v, 0.75)
    )


_BODIES = {"car": _car, "van": _van, "truck": _truck, "bus": _bus}


def vehicle_xml(name: str, look: VehicleLook) -> str:
    """MJCF of a vehicle as a mocap body."""
    return f'<body name="{name}" mocap="true">{_BODIES[look.kind](look)}</body>'


def _tube(start: tuple, end: tuple, radius: float, colour: Colour) -> str:
    numbers = " ".join(f"{v:.3f}" for v in (*start, *end))
    rgba = "{:.3f} {:.3f} {:.3f} 1".format(*colour)
    return f'<geom type="capsule" fromto="{numbers}" size="{radius}" rgba="{rgba}"/>'


def bicycle_xml(name: str, paint: Colour) -> str:
    """MJCF of a bicycle as a mocap body; its measures are those that the rider's pose is made for."""
    rear, front, head = (-0.5, 0, WHEEL_RADIUS), (0.55, 0, WHEEL_RADIUS), (0.36, 0, 0.92)
    crank, saddle = (0.0, 0, CRANK_HEIGHT), (SADDLE_X, 0, SADDLE_HEIGHT - 0.12)
    # A wheel is a ring of eight short tubes: a disc would hide what lies behind it.
    wheels = ""
    for x, _, z in (rear, front):
        corners = [
            (x + WHEEL_RADIUS * 0.94 * np.cos(a), 0, z + WHEEL_RADIUS * 0.94 * np.sin(a))
            for a in np.arange(9) * np.pi / 4
        ]
        wheels += "".join(_tube(p, q, 0.022, _TYRE) for p, q in pairwise(corners))
    return (
        f'<body name="{name}" mocap="true">'
        + wheels
        + _tube(rear, saddle, 0.02, paint)
        + _tube(rear, crank, 0.02, paint)
        + _tube(crank, saddle, 0.025, paint)
        + _tube(crank, head, 0.03, paint)
        + _tube(saddle, head, 0.03, paint)
        + _tube(front, head, 0.025, paint)
        + _tube(head, (0.34, 0, 1.05), 0.02, (0.2, 0.2, 0.2))
        + _tube((0.38, -0.27, 1.05), (0.38, 0.27, 1.05), 0.02, (0.15, 0.15, 0.15))
        + _geom("box", (SADDLE_X, 0, SADDLE_HEIGHT - 0.1), (0.13, 0.07, 0.03), (0.1, 0.1, 0.1))
        + "</body>"
    )


def crate_xml(name: str, paint: Colour) -> str:
    """MJCF of a crate with wheels that one person can push, as a mocap body."""
    darker = tuple(0.6 * c for c in paint)
    return (
        f'<body name="{name}" mocap="true">'
        + _box((-0.35, 0.45), 0.42, (0.1, 1.1), paint)
        + _box((-0.37, 0.47), 0.44, (0.1, 0.2), darker)
        + _box((-0.37, 0.47), 0.44, (1.05, 1.15), darker)
        + _box((-0.36, 0.46), 0.1, (0.1, 1.1), darker)
        + "</body>"
    )
