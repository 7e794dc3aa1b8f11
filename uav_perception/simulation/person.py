"""An articulated person: capsules on hinges, posed by joint angles.

The body frame has x forward, y left, z up, its origin between the hip joints. Segment lengths are fractions of the
standing height after Drillis and Contini (1966), as tabulated in Winter, "Biomechanics and Motor Control of Human
Movement". Angles grow with flexion and abduction; zero is standing upright with hanging arms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Joint name -> limits [deg]. The order is the order of the angles in a pose and of the joints in the model.
JOINT_LIMITS: dict[str, tuple[float, float]] = {
    "spine_pitch": (-35, 100),
    "spine_roll": (-40, 40),
    "spine_yaw": (-60, 60),
    "neck_pitch": (-50, 60),
    "neck_yaw": (-80, 80),
    "left_shoulder_flex": (-60, 180),
    "left_shoulder_abduct": (-50, 180),
    "left_shoulder_twist": (-90, 100),
    "left_elbow": (0, 150),
    "right_shoulder_flex": (-60, 180),
    "right_shoulder_abduct": (-50, 180),
    "right_shoulder_twist": (-90, 100),
    "right_elbow": (0, 150),
    "left_hip_flex": (-35, 125),
    "left_hip_abduct": (-30, 60),
    "left_knee": (0, 150),
    "left_ankle": (-60, 60),
    "right_hip_flex": (-35, 125),
    "right_hip_abduct": (-30, 60),
    "right_knee": (0, 150),
    "right_ankle": (-60, 60),
}
JOINTS = tuple(JOINT_LIMITS)
_INDEX = {name: i for i, name in enumerate(JOINTS)}
_LOWER, _UPPER = np.radians(np.array(list(JOINT_LIMITS.values()))).T

THIGH, SHANK, ANKLE_HEIGHT = 0.245, 0.246, 0.042  # fractions of the standing height
HIP_HEIGHT = THIGH + SHANK + ANKLE_HEIGHT
UPPER_ARM, FOREARM = 0.186, 0.146

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class PersonLook:
    """Size and clothes of one person.

    Attributes:
        height: standing height [m], 1.0 to 2.2.
        build: width of the body relative to the average, 0.7 to 1.5.
        shirt, trousers, shoes, skin, hair: RGB colours, 0 to 1.
        long_sleeves, long_trousers: whether clothes cover the forearms and the shanks.
        backpack: colour of a backpack, None without one.
    """

    height: float
    build: float
    shirt: Colour
    trousers: Colour
    shoes: Colour
    skin: Colour
    hair: Colour
    long_sleeves: bool
    long_trousers: bool
    backpack: Colour | None = None

    def __post_init__(self) -> None:
        if not 1.0 <= self.height <= 2.2:
            raise ValueError(f"A person's height lies between 1.0 and 2.2 m, but got {self.height}.")
        if not 0.7 <= self.build <= 1.5:
            raise ValueError(f"A person's build lies between 0.7 and 1.5, but got {self.build}.")


_SKIN = ((0.95, 0.79, 0.67), (0.87, 0.67, 0.53), (0.70, 0.49, 0.36), (0.45, 0.30, 0.21), (0.29, 0.19, 0.14))
_HAIR = (
    (0.08, 0.06, 0.05),
    (0.25, 0.16, 0.09),
    (0.55, 0.40, 0.2),
    (0.6, 0.6, 0.6),
    (0.75, 0.15, 0.12),
    (0.1, 0.15, 0.4),
)


def random_colour(rng: np.random.Generator) -> Colour:
    """A clothes or paint colour: greys, darks and whites as often as saturated ones."""
    value = rng.uniform(0.08, 0.95)
    saturation = 0.0 if rng.random() < 0.25 else rng.uniform(0.1, 0.9)
    hue = rng.uniform(0, 6)
    ramp = np.clip(np.abs((hue + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0, 1)
    red, green, blue = value * (1 - saturation + saturation * ramp)
    return float(red), float(green), float(blue)


def random_look(rng: np.random.Generator) -> PersonLook:
    """A person with random size and clothes."""
    return PersonLook(
        height=float(rng.uniform(1.52, 1.95)),
        build=float(rng.uniform(0.88, 1.22)),
        shirt=random_colour(rng),
        trousers=random_colour(rng),
        shoes=random_colour(rng),
        skin=_SKIN[rng.integers(len(_SKIN))],
        hair=_HAIR[rng.integers(len(_HAIR))],
        long_sleeves=bool(rng.random() < 0.5),
        long_trousers=bool(rng.random() < 0.7),
        backpack=random_colour(rng) if rng.random() < 0.15 else None,
    )


def joint_angles(**degrees: float) -> np.ndarray:
    """Angles of a pose by joint name; joints left out are 0.

    Args:
        degrees: angle by joint name [deg]. ``shoulder_flex=...`` without a side sets both sides.

    Returns:
        float64, shape (len(JOINTS),) [rad], clipped to the joints' limits.

    Raises:
        KeyError: no such joint.
    """
    angles = np.zeros(len(JOINTS))
    for name, value in degrees.items():
        names = (name,) if name in _INDEX else (f"left_{name}", f"right_{name}")
        for one in names:
            angles[_INDEX[one]] = np.radians(value)
    return np.clip(angles, _LOWER, _UPPER)


_MIRROR = np.array(
    [
        _INDEX[name.replace("left_", "right_") if name.startswith("left_") else name.replace("right_", "left_")]
        for name in JOINTS
    ]
)
_MIRROR_SIGN = np.array([-1.0 if name in ("spine_roll", "spine_yaw", "neck_yaw") else 1.0 for name in JOINTS])


def mirrored(angles: np.ndarray) -> np.ndarray:
    """The same pose with left and right exchanged."""
    return angles[_MIRROR] * _MIRROR_SIGN


def level_feet(angles: np.ndarray, pitch: float) -> np.ndarray:
    """Turn the ankles so that the soles are level, as far as the joints allow.

    Args:
        angles: pose [rad]; a changed copy is returned.
        pitch: forward lean of the pelvis [rad].
    """
    angles = angles.copy()
    for side in ("left", "right"):
        tilt = angles[_INDEX[f"{side}_hip_flex"]] - pitch - angles[_INDEX[f"{side}_knee"]]
        angles[_INDEX[f"{side}_ankle"]] = -tilt
    return np.clip(angles, _LOWER, _UPPER)


def _rgba(colour: Colour) -> str:
    return "{:.3f} {:.3f} {:.3f} 1".format(*colour)


def _capsule(start: tuple, end: tuple, radius: float, colour: Colour, name: str = "") -> str:
    label = f'name="{name}" ' if name else ""
    numbers = " ".join(f"{v:.4f}" for v in (*start, *end))
    return f'<geom {label}type="capsule" fromto="{numbers}" size="{radius:.4f}" rgba="{_rgba(colour)}"/>'


def _ellipsoid(centre: tuple, radii: tuple, colour: Colour) -> str:
    place, size = (" ".join(f"{v:.4f}" for v in values) for values in (centre, radii))
    return f'<geom type="ellipsoid" pos="{place}" size="{size}" rgba="{_rgba(colour)}"/>'


def _joint(name: str, joint: str, axis: str) -> str:
    low, high = JOINT_LIMITS[joint]
    return f'<joint name="{name}/{joint}" type="hinge" axis="{axis}" range="{low} {high}"/>'


def _arm(name: str, side: str, look: PersonLook) -> str:
    h, sign = look.height, 1 if side == "left" else -1
    thick = look.build * h
    sleeve = look.shirt if look.long_sleeves else look.skin
    return (
        f'<body pos="0 {sign * 0.118 * h * look.build:.4f} {0.235 * h:.4f}">'
        + _joint(name, f"{side}_shoulder_flex", "0 -1 0")
        + _joint(name, f"{side}_shoulder_abduct", f"{sign} 0 0")
        + _joint(name, f"{side}_shoulder_twist", f"0 0 {-sign}")
        + _capsule((0, 0, 0), (0, 0, -UPPER_ARM * h), 0.031 * thick, look.shirt)
        + f'<body pos="0 0 {-UPPER_ARM * h:.4f}">'
        + _joint(name, f"{side}_elbow", "0 -1 0")
        + _capsule((0, 0, 0), (0, 0, -FOREARM * h), 0.026 * thick, sleeve)
        + _capsule((0, 0, -FOREARM * h), (0, 0, -(FOREARM + 0.06) * h), 0.027 * h, look.skin, f"{name}/{side}_hand")
        + "</body></body>"
    )


def _leg(name: str, side: str, look: PersonLook) -> str:
    h, sign = look.height, 1 if side == "left" else -1
    thick = look.build * h
    shin = look.trousers if look.long_trousers else look.skin
    return (
        f'<body pos="0 {sign * 0.052 * h:.4f} 0">'
        + _joint(name, f"{side}_hip_flex", "0 -1 0")
        + _joint(name, f"{side}_hip_abduct", f"{sign} 0 0")
        + _capsule((0, 0, -0.02 * h), (0, 0, -THIGH * h), 0.047 * thick, look.trousers)
        + f'<body pos="0 0 {-THIGH * h:.4f}">'
        + _joint(name, f"{side}_knee", "0 1 0")
        + _capsule((0, 0, 0), (0, 0, -0.225 * h), 0.036 * thick, shin)
        + f'<body pos="0 0 {-SHANK * h:.4f}">'
        + _joint(name, f"{side}_ankle", "0 -1 0")
        + _capsule((-0.03 * h, 0, -0.018 * h), (0.095 * h, 0, -0.018 * h), 0.024 * h, look.shoes, f"{name}/{side}_foot")
        + "</body></body></body>"
    )


def person_xml(name: str, look: PersonLook) -> str:
    """MJCF of a person: a mocap body at the hips (placed by position and quaternion) with hinged limbs."""
    h, thick = look.height, look.build * look.height
    backpack = ""
    if look.backpack is not None:
        backpack = (
            f'<geom type="box" pos="{-0.095 * thick:.4f} 0 {0.16 * h:.4f}" '
            f'size="{0.045 * h:.4f} {0.08 * h:.4f} {0.11 * h:.4f}" rgba="{_rgba(look.backpack)}"/>'
        )
    return (
        f'<body name="{name}" mocap="true">'
        + _capsule((0, -0.05 * thick, 0.01 * h), (0, 0.05 * thick, 0.01 * h), 0.072 * thick, look.trousers)
        + f'<body pos="0 0 {0.055 * h:.4f}">'
        + _joint(name, "spine_pitch", "0 1 0")
        + _joint(name, "spine_roll", "1 0 0")
        + _joint(name, "spine_yaw", "0 0 1")
        + _ellipsoid((0, 0, 0.125 * h), (0.068 * thick, 0.102 * thick, 0.17 * h), look.shirt)
        + _capsule((0, -0.085 * thick, 0.225 * h), (0, 0.085 * thick, 0.225 * h), 0.048 * thick, look.shirt)
        + backpack
        + f'<body pos="0 0 {0.27 * h:.4f}">'
        + _joint(name, "neck_pitch", "0 1 0")
        + _joint(name, "neck_yaw", "0 0 1")
        + _capsule((0, 0, 0), (0, 0, 0.05 * h), 0.03 * h, look.skin)
        + _ellipsoid((0.006 * h, 0, 0.085 * h), (0.056 * h, 0.047 * h, 0.068 * h), look.skin)
        + _ellipsoid((-0.012 * h, 0, 0.1 * h), (0.057 * h, 0.051 * h, 0.062 * h), look.hair)
        + "</body>"
        + _arm(name, "left", look)
        + _arm(name, "right", look)
        + "</body>"
        + _leg(name, "left", look)
        + _leg(name, "right", look)
        + "</body>"
    )
