"""How the drone flies: paths, body attitude and camera mount, all closed functions of time.

Frames are ROS's: map is east, north, up; base_link is forward, left, up; the camera's optical frame is right, down,
forward (REP-103).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uav_perception.simulation.camera import CameraPose, look_at
from uav_perception.simulation.errors import SimulationError

PATHS = ("hover", "orbit", "fast", "low", "high")
MOUNTS = ("gimbal", "fixed")
GRAVITY = 9.80665
# Height above the ground [m] and speed [m/s] of each path.
_USUAL = {"hover": (25.0, 0.0), "orbit": (24.0, 4.0), "fast": (28.0, 13.0), "low": (12.0, 3.0), "high": (60.0, 6.0)}


@dataclass(frozen=True)
class DroneState:
    """The drone at one time.

    Attributes:
        position: east, north, up of the home place [m], shape (3,).
        rotation: body axes (forward, left, up) in the map as columns, shape (3, 3).
        velocity: east, north, up [m/s], shape (3,).
        angular_velocity: about the body's axes [rad/s], shape (3,).
        specific_force: what an accelerometer measures, in the body [m/s^2], shape (3,).
    """

    position: np.ndarray
    rotation: np.ndarray
    velocity: np.ndarray
    angular_velocity: np.ndarray
    specific_force: np.ndarray


@dataclass(frozen=True)
class Flightpath:
    """Where the drone is.

    Attributes:
        kind: "hover" (wind moves it a little), "orbit" around the focus, "fast" (straight pass over the focus), "low"
            and "high" (slow straight passes beside the focus).
        focus: east, north of what the flight is about [m].
        altitude: height above the ground [m].
        speed: along the path [m/s].
        distance: from the focus to the orbit or to the hovering place, and how far a slow pass keeps aside [m].
        start_angle: bearing of the drone from the focus at the start, and for straight passes the heading,
            counter-clockwise from east [rad].
        duration: of the flight [s]; a straight pass is nearest to the focus at half time.
    """

    kind: str
    focus: tuple[float, float]
    altitude: float
    speed: float
    distance: float
    start_angle: float
    duration: float

    def __post_init__(self) -> None:
        if self.kind not in PATHS:
            raise SimulationError(f"Unknown path {self.kind!r}; it must be one of {', '.join(PATHS)}.")
        if self.altitude <= 3:
            raise SimulationError(f"The drone flies higher than 3 m, but the altitude is {self.altitude:g} m.")

    def position(self, t: float) -> np.ndarray:
        """East, north, up [m] at time ``t`` [s], shape (3,)."""
        sway = np.array([0.25 * np.sin(0.7 * t + 1), 0.2 * np.sin(0.9 * t), 0.12 * np.sin(0.5 * t + 2)])
        focus, a = np.array([*self.focus, 0.0]), self.start_angle
        if self.kind in ("hover", "orbit"):
            turn = a + (self.speed * t / self.distance if self.kind == "orbit" else 0.0)
            arm = np.array([self.distance * np.cos(turn), self.distance * np.sin(turn), self.altitude])
            return focus + arm + sway
        along = self.speed * (t - self.duration / 2)
        aside = 0.0 if self.kind == "fast" else self.distance
        place = along * np.array([np.cos(a), np.sin(a), 0]) + aside * np.array([np.sin(a), -np.cos(a), 0])
        return focus + place + np.array([0, 0, self.altitude]) + sway

    def heading(self, t: float) -> float:
        """Where the nose points, counter-clockwise from east [rad]."""
        if self.kind in ("fast", "low", "high"):
            return self.start_angle + 0.03 * float(np.sin(0.4 * t))
        to_focus = np.array(self.focus) - self.position(t)[:2]
        return float(np.arctan2(to_focus[1], to_focus[0])) + 0.03 * float(np.sin(0.4 * t))

    def rotation(self, t: float) -> np.ndarray:
        """Body attitude, shape (3, 3): the thrust carries the weight and the acceleration, and wind shakes it."""
        step = 1e-3
        acceleration = (self.position(t + step) - 2 * self.position(t) + self.position(t - step)) / step**2
        velocity = (self.position(t + step) - self.position(t - step)) / (2 * step)
        drag = 0.18 * velocity * np.array([1, 1, 0])  # the body leans into the air stream
        gust = 0.18 * np.array([np.sin(3.1 * t), np.sin(2.3 * t + 1), 0]) + 0.1 * np.array(
            [np.sin(7 * t), np.cos(6 * t), 0]
        )
        up = acceleration + drag + gust + np.array([0, 0, GRAVITY])
        up /= np.linalg.norm(up)
        heading = self.heading(t)
        left = np.cross(up, [np.cos(heading), np.sin(heading), 0])
        left /= np.linalg.norm(left)
        return np.stack([np.cross(left, up), left, up], axis=1)

    def state(self, t: float) -> DroneState:
        """Everything about the body at time ``t`` [s]; rates by central differences of the closed forms."""
        step = 1e-3
        before, now, after = self.position(t - step), self.position(t), self.position(t + step)
        rotation = self.rotation(t)
        spin = rotation.T @ (self.rotation(t + step) - self.rotation(t - step)) / (2 * step)
        acceleration = (after - 2 * now + before) / step**2
        return DroneState(
            position=now,
            rotation=rotation,
            velocity=(after - before) / (2 * step),
            angular_velocity=np.array([spin[2, 1] - spin[1, 2], spin[0, 2] - spin[2, 0], spin[1, 0] - spin[0, 1]]) / 2,
            specific_force=rotation.T @ (acceleration + np.array([0, 0, GRAVITY])),
        )


def usual_path(kind: str, focus: tuple[float, float], start_angle: float, duration: float) -> Flightpath:
    """A path with the altitude, speed and distance that are usual for its kind.

    Raises:
        SimulationError: unknown kind.
    """
    if kind not in _USUAL:
        raise SimulationError(f"Unknown path {kind!r}; it must be one of {', '.join(PATHS)}.")
    altitude, speed = _USUAL[kind]
    return Flightpath(kind, focus, altitude, speed, altitude, start_angle, duration)


def mount_rotation(depression: float) -> np.ndarray:
    """Optical axes in the body frame as columns, for a camera that looks forward and down by ``depression`` [rad]."""
    s, c = np.sin(depression), np.cos(depression)
    return np.array([[0, -s, c], [-1, 0, 0], [0, -c, -s]], float)


def gimbal_pose(state: DroneState, target: np.ndarray, t: float) -> CameraPose:
    """A gimbal camera at the body's origin that follows ``target`` [m, map] with a remaining error of about 0.1 deg."""
    reach = float(np.linalg.norm(target - state.position))
    wobble = 0.0015 * reach * np.array([np.sin(5.3 * t), np.cos(4.1 * t), 0.6 * np.sin(6.7 * t)])
    return look_at(state.position, target + wobble, roll=0.002 * float(np.sin(3.7 * t)))


def fixed_pose(state: DroneState, depression: float) -> CameraPose:
    """A camera bolted to the body's origin, looking forward and down by ``depression`` [rad]."""
    return CameraPose(state.position, state.rotation @ mount_rotation(depression))
