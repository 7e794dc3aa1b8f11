"""The eleven actions as procedural motion: joint angles and places as functions of time.

Every motion is a pure function of an :class:`Activity` (the drawn style: rate, phase, amplitude, side, members) and the
time. Places are in the activity's own frame: x along its heading, y to the left, the origin moving along the path at
``Activity.speed``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np

from uav_perception.simulation.person import HIP_HEIGHT, SHANK, THIGH, joint_angles, level_feet, mirrored

IDLE = "stand"  # what passers-by may do besides walking; not an action class

# A bicycle's measures [m], shared with its model: wheel radius, pedal axle and crank, saddle.
WHEEL_RADIUS, CRANK_LENGTH, CRANK_HEIGHT, SADDLE_HEIGHT, SADDLE_X = 0.34, 0.17, 0.29, 0.97, -0.22


@dataclass(frozen=True)
class Pose:
    """Where and how one person stands.

    Attributes:
        x, y: place of the hips in the activity's frame [m].
        yaw: heading relative to the activity's, counter-clockwise [rad].
        pitch: forward lean of the pelvis [rad].
        angles: joint angles, shape (len(JOINTS),) [rad].
        lift: height of the lowest sole above the ground [m].
        seat: height of the hips [m] for a rider; None when the feet carry.
    """

    x: float
    y: float
    yaw: float
    pitch: float
    angles: np.ndarray
    lift: float = 0.0
    seat: float | None = None


@dataclass(frozen=True)
class Activity:
    """One action with its drawn style.

    Attributes:
        action: one of ``ACTION_CLASSES`` or ``IDLE``.
        members: number of people.
        rate: repetitions (or gait cycles) per second [Hz].
        phase: start within the cycle, 0 to 1.
        amplitude: size of the motion relative to the usual, 0.8 to 1.2.
        right_handed: which arm or leg leads.
        variant: 0 to 1; chooses between ways of doing the action.
        speed: travel along the path [m/s].
        offsets: phase of each member, shape (members,), 0 to 1.
        places: place of each member of a walking group, shape (members, 2) [m].
    """

    action: str
    members: int
    rate: float
    phase: float
    amplitude: float
    right_handed: bool
    variant: float
    speed: float
    offsets: tuple[float, ...]
    places: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if self.action not in _MOTIONS:
            raise ValueError(f"Unknown action {self.action!r}; it must be one of {', '.join(_MOTIONS)}.")
        if not len(self.offsets) == len(self.places) == self.members:
            raise ValueError(
                f"An activity needs one offset and one place per member: {self.members} members, "
                f"{len(self.offsets)} offsets, {len(self.places)} places."
            )

    @property
    def prop(self) -> str | None:
        """What the people use: "bicycle", "crate" or nothing."""
        if self.action == "ride":
            return "bicycle"
        return "crate" if self.action == "push" and self.members == 1 else None

    def cycle(self, t: float, member: int = 0) -> float:
        """Position within the cycle at time ``t`` [s], 0 to 1."""
        return (self.rate * t + self.phase + self.offsets[member]) % 1.0

    def poses(self, t: float) -> list[Pose]:
        """Poses of all members at time ``t`` [s]."""
        poses = _MOTIONS[self.action](self, t)
        if self.right_handed:
            return poses
        return [Pose(p.x, p.y, p.yaw, p.pitch, mirrored(p.angles), p.lift, p.seat) for p in poses]

    def prop_place(self) -> tuple[float, float]:
        """Place of the bicycle or crate in the activity's frame [m]."""
        return (0.0, 0.0) if self.prop == "bicycle" else (CRATE_X, 0.0)


CRATE_X = 0.98  # centre of a pushed crate ahead of the pusher's hips [m]


def _step(x: float) -> float:
    """Smooth 0 to 1 while x goes from 0 to 1, constant outside."""
    x = min(max(x, 0.0), 1.0)
    return x * x * (3 - 2 * x)


def _pulse(phase: float, rise: float, hold: float, fall: float) -> float:
    """0, smoothly up during ``rise``, 1 during ``hold``, down during ``fall``, 0 for the rest of the cycle."""
    return _step(phase / rise) - _step((phase - rise - hold) / fall)


def _keyed(phase: float, keys: list[tuple[float, np.ndarray]]) -> np.ndarray:
    """Smooth interpolation between key poses of a cycle; the last key leads back to the first."""
    times = [time for time, _ in keys] + [keys[0][0] + 1.0]
    values = [value for _, value in keys] + [keys[0][1]]
    if phase < times[0]:
        phase += 1.0
    i = max(k for k in range(len(keys)) if times[k] <= phase)
    w = _step((phase - times[i]) / (times[i + 1] - times[i]))
    return (1 - w) * values[i] + w * values[i + 1]


def _gait(phase: float, swing: float, knee: float, arms: float, elbow: float, bias: float, lean: float) -> np.ndarray:
    """Legs and arms of walking or running.

    Args:
        phase: gait cycle, 0 to 1.
        swing: amplitude of the thighs [deg].
        knee: knee flexion of the swinging leg [deg].
        arms: amplitude of the arms [deg].
        elbow: elbow flexion [deg].
        bias: forward offset of the thighs [deg].
        lean: forward lean of the pelvis, which the thighs make up for [deg].
    """
    a = 2 * pi * phase
    return joint_angles(
        left_hip_flex=bias + lean + swing * sin(a),
        right_hip_flex=bias + lean - swing * sin(a),
        left_knee=8 + bias + knee * max(0.0, cos(a + 0.35)) ** 1.5,
        right_knee=8 + bias + knee * max(0.0, -cos(a + 0.35)) ** 1.5,
        left_shoulder_flex=-arms * sin(a),
        right_shoulder_flex=arms * sin(a),
        shoulder_abduct=6,
        left_elbow=elbow - 0.35 * arms * sin(a),
        right_elbow=elbow + 0.35 * arms * sin(a),
        spine_yaw=7 * sin(a),
        spine_pitch=lean * 0.6,
    )


def _stand_angles(wobble: float = 0.0) -> np.ndarray:
    return joint_angles(
        shoulder_abduct=7,
        elbow=10,
        hip_abduct=4,
        neck_yaw=20 * wobble,
        left_shoulder_flex=4 * wobble,
        spine_roll=2 * wobble,
    )


def _pose(angles: np.ndarray, x: float = 0, y: float = 0, yaw: float = 0, lean: float = 0, lift: float = 0) -> Pose:
    pitch = np.radians(lean)
    return Pose(x, y, yaw, pitch, level_feet(angles, pitch), lift)


def _stand(a: Activity, t: float) -> list[Pose]:
    return [_pose(_stand_angles(sin(2 * pi * a.cycle(t))))]


def _walker(a: Activity, t: float, member: int = 0) -> Pose:
    angles = _gait(a.cycle(t, member), 27 * a.amplitude, 48, 26 * a.amplitude, 16, 3, 0)
    return _pose(angles, *a.places[member])


def _walk(a: Activity, t: float) -> list[Pose]:
    return [_walker(a, t)]


def _walk_multiple(a: Activity, t: float) -> list[Pose]:
    return [_walker(a, t, member) for member in range(a.members)]


def _run(a: Activity, t: float) -> list[Pose]:
    phase, lean = a.cycle(t), 9.0
    angles = _gait(phase, 46 * a.amplitude, 88, 48 * a.amplitude, 92, 12, lean)
    flight = 0.09 * max(0.0, sin(4 * pi * phase + 0.9))
    return [_pose(angles, lean=lean, lift=flight)]


def _bend(a: Activity, t: float) -> list[Pose]:
    b = _pulse(a.cycle(t), 0.3, 0.22, 0.3) * a.amplitude
    reach = 98 * b
    one_handed = a.variant < 0.4
    angles = joint_angles(
        spine_pitch=62 * b,
        neck_pitch=10 * b,
        right_shoulder_flex=reach,
        left_shoulder_flex=15 * b if one_handed else reach,
        left_elbow=40 * b if one_handed else 5,
        right_elbow=5,
        shoulder_abduct=6,
        hip_flex=(38 + 22 * a.variant) * b,
        knee=(8 + 34 * a.variant) * b,
        hip_abduct=5,
    )
    return [_pose(angles, lean=38 * b)]


def _squat(a: Activity, t: float) -> list[Pose]:
    b = 0.5 - 0.5 * cos(2 * pi * a.cycle(t))
    b = _step(b) * a.amplitude
    folded = a.variant < 0.35  # hands at the chest instead of stretched forward
    angles = joint_angles(
        hip_flex=112 * b,
        knee=126 * b,
        hip_abduct=9 + 10 * b,
        spine_pitch=16 * b,
        shoulder_flex=50 if folded else 12 + 76 * b,
        shoulder_twist=45 if folded else 0,
        elbow=120 if folded else 8,
        shoulder_abduct=5,
    )
    return [_pose(angles, lean=24 * b)]


def _clap(a: Activity, t: float) -> list[Pose]:
    opened = 0.5 - 0.5 * cos(2 * pi * a.cycle(t))
    overhead = a.variant > 0.7
    angles = joint_angles(
        shoulder_flex=150 if overhead else 62 + 22 * a.variant,
        shoulder_abduct=-16 + (62 if overhead else 58) * a.amplitude * opened,
        shoulder_twist=0 if overhead else 12,
        elbow=25 if overhead else 34,
        spine_pitch=-4,
        hip_abduct=5,
        knee=3,
    )
    return [_pose(angles)]


def _kick(a: Activity, t: float) -> list[Pose]:
    s = a.amplitude
    rest = joint_angles(shoulder_abduct=12, elbow=25, hip_abduct=4, knee=8)
    back = joint_angles(
        right_hip_flex=-32 * s, right_knee=85 * s, left_knee=14, spine_pitch=8,
        left_shoulder_flex=50 * s, right_shoulder_flex=-35 * s, shoulder_abduct=28, elbow=35, spine_yaw=-14,
    )  # fmt: skip
    strike = joint_angles(
        right_hip_flex=98 * s, right_knee=10, left_knee=10, left_hip_flex=-6, spine_pitch=-6,
        left_shoulder_flex=-20 * s, right_shoulder_flex=38 * s, shoulder_abduct=42, elbow=30, spine_yaw=16,
    )  # fmt: skip
    phase = a.cycle(t)
    angles = _keyed(phase, [(0.0, rest), (0.26, back), (0.46, strike), (0.58, strike), (0.86, rest)])
    lean = -14 * _pulse(phase - 0.3, 0.16, 0.12, 0.25)
    return [_pose(angles, lean=lean)]


def _handshake(a: Activity, t: float) -> list[Pose]:
    gap = 0.88 + 0.14 * a.variant
    shake = sin(2 * pi * a.cycle(t)) * a.amplitude
    # The hands let go for a moment every eight shakes.
    reach = 1 - 0.9 * _pulse(((a.rate * t + a.phase) / 8) % 1.0, 0.06, 0.05, 0.06)
    angles = joint_angles(
        right_shoulder_flex=(40 + 11 * shake) * reach,
        right_shoulder_abduct=-14 * reach,
        right_shoulder_twist=16 * reach,
        right_elbow=(34 + 17 * shake) * reach,
        left_shoulder_abduct=7,
        left_elbow=12,
        spine_pitch=7 * reach,
        neck_pitch=4,
        hip_abduct=3,
    )
    return [_pose(angles, -gap / 2, 0, 0), _pose(angles, gap / 2, 0, pi)]


def _hug(a: Activity, t: float) -> list[Pose]:
    # Step together, hold and sway, part a little: most of the cycle is the embrace.
    held = 1 - _pulse(a.cycle(t), 0.12, 0.04, 0.14)
    gap = 0.36 + 0.75 * (1 - held)
    sway = 5 * sin(2 * pi * 0.45 * t + 6 * a.variant)
    poses = []
    for member, (x, yaw) in enumerate(((-gap / 2, 0.0), (gap / 2, pi))):
        high = (member == 0) == (a.variant < 0.5)  # one reaches over the shoulders, the other around the waist
        angles = joint_angles(
            left_shoulder_flex=(88 if high else 52) * held + 62 * (1 - held),
            right_shoulder_flex=(80 if high else 46) * held + 62 * (1 - held),
            shoulder_abduct=24 * held + 52 * (1 - held),
            shoulder_twist=58 * held,
            elbow=72 * held + 20 * (1 - held),
            spine_pitch=9 * held,
            spine_roll=sway * held * (1 if member == 0 else -1),
            neck_yaw=28 * held,
            left_hip_flex=12 * (1 - held),
            right_hip_flex=-8 * (1 - held),
        )
        poses.append(_pose(angles, x, 0.04 if member == 0 else -0.04, yaw))
    return poses


def _push_crate(a: Activity, t: float) -> list[Pose]:
    phase, lean = a.cycle(t), 24.0
    legs = _gait(phase, 25 * a.amplitude, 34, 0, 0, 10, lean)
    arms = joint_angles(shoulder_flex=82, elbow=14, shoulder_abduct=0) - joint_angles(shoulder_abduct=6)
    return [_pose(legs + arms, lean=lean)]


def _push_person(a: Activity, t: float) -> list[Pose]:
    phase, s = a.cycle(t), a.amplitude
    ready = joint_angles(
        shoulder_flex=28,
        elbow=118,
        shoulder_abduct=14,
        left_hip_flex=22,
        left_knee=18,
        right_hip_flex=-12,
        right_knee=10,
    )
    thrust = joint_angles(
        shoulder_flex=88, elbow=6, spine_pitch=16, left_hip_flex=52, left_knee=42, right_hip_flex=-18, right_knee=6
    )
    pusher = _keyed(phase, [(0.0, ready), (0.2, ready), (0.32, thrust), (0.5, thrust), (0.75, ready)])
    forward = _pulse(phase - 0.2, 0.12, 0.2, 0.35)
    # The other is thrown back, catches himself with steps, and comes again.
    thrown = _pulse(phase - 0.29, 0.16, 0.12, 0.4)
    stumble = _gait((2.5 * phase) % 1.0, 26 * thrown, 40 * thrown, 10, 20, 4, 0) + joint_angles(
        shoulder_flex=55 * thrown * s,
        shoulder_abduct=38 * thrown,
        spine_pitch=-12 * _pulse(phase - 0.29, 0.1, 0.1, 0.2),
    )
    gap = 0.78
    return [
        _pose(pusher, -gap / 2 + 0.26 * forward, 0, 0, lean=4 + 14 * forward),
        _pose(stumble, gap / 2 + (0.26 + 0.62 * s) * thrown, 0, pi, lean=-13 * _pulse(phase - 0.29, 0.1, 0.1, 0.3)),
    ]


def _push(a: Activity, t: float) -> list[Pose]:
    return _push_crate(a, t) if a.members == 1 else _push_person(a, t)


def _leg_to(dx: float, dz: float) -> tuple[float, float]:
    """Thigh angle (forward) and knee flexion [deg] that put the ankle at (dx, dz) from the hip, for a 1.73 m person."""
    thigh, shank = THIGH * 1.73, SHANK * 1.73
    reach = min(np.hypot(dx, dz), 0.999 * (thigh + shank))
    knee = pi - np.arccos((thigh**2 + shank**2 - reach**2) / (2 * thigh * shank))
    inner = np.arccos((thigh**2 + reach**2 - shank**2) / (2 * thigh * reach))
    return np.degrees(np.arctan2(dx, -dz) + inner), np.degrees(knee)


def _ride(a: Activity, t: float) -> list[Pose]:
    lean = 14 + 14 * a.variant
    legs = {}
    for side, half_turn in (("left", 0.0), ("right", pi)):
        crank = 2 * pi * a.cycle(t) + half_turn
        pedal_x = CRANK_LENGTH * cos(crank) + 0.02
        pedal_z = CRANK_HEIGHT - CRANK_LENGTH * sin(crank) + 0.09
        hip, knee = _leg_to(pedal_x - SADDLE_X, pedal_z - SADDLE_HEIGHT)
        legs[f"{side}_hip_flex"], legs[f"{side}_knee"] = hip + lean, knee
    angles = joint_angles(
        **legs,
        spine_pitch=18 + 8 * a.variant,
        neck_pitch=-22,
        shoulder_flex=86,
        elbow=22,
        shoulder_abduct=4,
        hip_abduct=2,
    )
    pitch = np.radians(lean)
    return [Pose(SADDLE_X, 0, 0, pitch, level_feet(angles, pitch), seat=SADDLE_HEIGHT)]


_MOTIONS: dict[str, Callable[[Activity, float], list[Pose]]] = {
    "bend": _bend,
    "handshake": _handshake,
    "clap": _clap,
    "hug": _hug,
    "kick": _kick,
    "push": _push,
    "ride": _ride,
    "run": _run,
    "squat": _squat,
    "walk": _walk,
    "walk_multiple": _walk_multiple,
    IDLE: _stand,
}

# Repetitions per second, lowest and highest [Hz].
_RATES = {
    "bend": (0.36, 0.55), "handshake": (1.4, 2.2), "clap": (1.5, 2.4), "hug": (0.16, 0.26), "kick": (0.55, 0.85),
    "push": (0.45, 0.62), "ride": (0.9, 1.5), "run": (1.3, 1.6), "squat": (0.42, 0.68), "walk": (0.8, 1.0),
    "walk_multiple": (0.8, 1.0), IDLE: (0.1, 0.3),
}  # fmt: skip


def _ground_speed(action: str, rate: float, amplitude: float, members: int) -> float:
    """Travel [m/s]; for walkers so that the standing foot hardly slides: four quarter swings of the leg a cycle."""
    leg = HIP_HEIGHT * 1.73
    if action in ("walk", "walk_multiple"):
        return 4 * leg * np.sin(np.radians(27 * amplitude)) * rate
    if action == "run":
        return 4 * leg * np.sin(np.radians(46 * amplitude)) * rate * 0.9
    if action == "push" and members == 1:
        return 4 * leg * np.sin(np.radians(25 * amplitude)) * rate
    return 2.6 * rate + 1.0 if action == "ride" else 0.0


def _group_places(rng: np.random.Generator, members: int) -> tuple[tuple[float, float], ...]:
    """People abreast in loose rows of at most three."""
    places = []
    for i in range(members):
        row, column = divmod(i, 3)
        places.append(
            (
                float(-1.0 * row + rng.uniform(-0.28, 0.28)),
                float((column - 1) * rng.uniform(0.68, 0.85) + rng.uniform(-0.08, 0.08)),
            )
        )
    return tuple(places)


def random_activity(action: str, rng: np.random.Generator) -> Activity:
    """Draw a style for an action.

    Raises:
        ValueError: unknown action.
    """
    if action not in _MOTIONS:
        raise ValueError(f"Unknown action {action!r}; it must be one of {', '.join(_MOTIONS)}.")
    members = {"handshake": 2, "hug": 2}.get(action, 1)
    if action == "push":
        members = 2 if rng.random() < 0.65 else 1
    elif action == "walk_multiple":
        members = int(rng.integers(3, 6))
    rate = float(rng.uniform(*_RATES[action]))
    if action == "push" and members == 1:
        rate = float(rng.uniform(0.55, 0.8))
    amplitude = float(rng.uniform(0.88, 1.1))
    walking_group = action == "walk_multiple"
    return Activity(
        action=action,
        members=members,
        rate=rate,
        phase=float(rng.random()),
        amplitude=amplitude,
        right_handed=bool(rng.random() < 0.7),
        variant=float(rng.random()),
        speed=float(_ground_speed(action, rate, amplitude, members)),
        offsets=tuple(float(v) for v in rng.random(members)) if walking_group else (0.0,) * members,
        places=_group_places(rng, members) if walking_group else ((0.0, 0.0),) * members,
    )
