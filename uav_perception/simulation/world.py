"""What moves in a scene: groups of people with their activities, drivers, parked vehicles; all as functions of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uav_perception.simulation.activities import IDLE, Activity, Pose
from uav_perception.simulation.scene import Entity, Scene

EASE_SECONDS = 0.5  # from the pose of one action into that of the next


@dataclass(frozen=True)
class Path:
    """An arc or a straight line on the ground.

    Attributes:
        x, y: start [m].
        heading: direction at the start, counter-clockwise from east [rad].
        curvature: 1 / radius, positive to the left [1/m]; 0 is straight.
    """

    x: float
    y: float
    heading: float
    curvature: float = 0.0

    def at(self, s: float) -> tuple[float, float, float]:
        """Place [m] and heading [rad] after ``s`` metres."""
        k, h = self.curvature, self.heading
        if abs(k) < 1e-9:
            return self.x + s * np.cos(h), self.y + s * np.sin(h), h
        end = h + k * s
        return self.x + (np.sin(end) - np.sin(h)) / k, self.y - (np.cos(end) - np.cos(h)) / k, end


@dataclass(frozen=True)
class Group:
    """People who do something together, on a path.

    Attributes:
        activity: what they do.
        path: where.
        people: one entity for each member.
        prop: the bicycle or crate that belongs to the activity.
        start, end: when they are there [s]; outside that time they are not placed.
    """

    activity: Activity
    path: Path
    people: tuple[Entity, ...]
    prop: Entity | None = None
    start: float = -np.inf
    end: float = np.inf

    def __post_init__(self) -> None:
        if len(self.people) != self.activity.members:
            raise ValueError(
                f"The activity has {self.activity.members} members, but {len(self.people)} people were given."
            )
        if (self.prop is None) != (self.activity.prop is None):
            raise ValueError(
                f"The activity {self.activity.action!r} needs the prop {self.activity.prop}, got {self.prop}."
            )

    def centre(self, t: float) -> tuple[float, float, float]:
        """Origin of the activity [m] and its heading [rad] at time ``t`` [s]."""
        since = t - (self.start if np.isfinite(self.start) else 0.0)
        return self.path.at(self.activity.speed * since)


@dataclass(frozen=True)
class Driver:
    """A vehicle that drives along a straight line and begins again at its start when it has left the scene.

    Attributes:
        entity: the vehicle.
        path: straight line; ``start`` is where on it the vehicle is at t = 0 [m].
        speed: [m/s].
        span: length of the line [m].
    """

    entity: Entity
    path: Path
    start: float
    speed: float
    span: float

    def at(self, t: float) -> tuple[float, float, float]:
        """Place [m] and heading [rad] at time ``t`` [s]."""
        return self.path.at((self.start + self.speed * t) % self.span - self.span / 2)


@dataclass(frozen=True)
class ObjectState:
    """One object at one time.

    Attributes:
        entity: which.
        position: its point on the ground: east, north, up [m]. For a person the point below the hips.
        velocity: east, north, up [m/s].
        yaw: heading, counter-clockwise from east [rad].
        action: what a person does, "" for things.
    """

    entity: Entity
    position: tuple[float, float, float]
    velocity: tuple[float, float, float]
    yaw: float
    action: str


class World:
    """The moving content of a scene.

    A person may belong to several groups at different times (one action after the other), and glides from the pose of
    one into that of the next. Who is in no group at some time is hidden below the ground.
    """

    def __init__(
        self, scene: Scene, groups: list[Group], drivers: list[Driver], parked: list[tuple[Entity, float, float, float]]
    ) -> None:
        self.scene, self.groups, self.drivers = scene, groups, drivers
        for entity, x, y, yaw in parked:
            scene.place(entity, x, y, yaw)
        self._before = {
            (group, person): before
            for group in groups
            for person in group.people
            for before in groups
            if person in before.people and before.end == group.start
        }
        self._parked = [ObjectState(entity, (x, y, 0.0), (0.0, 0.0, 0.0), yaw, "") for entity, x, y, yaw in parked]

    def advance(self, t: float) -> list[ObjectState]:
        """Place and pose everything for time ``t`` [s], and say where everything is."""
        states = list(self._parked)
        for group in self.groups:
            if group.start <= t < group.end:
                states += self._place_group(group, t)
        for driver in self.drivers:
            x, y, yaw = driver.at(t)
            self.scene.place(driver.entity, x, y, yaw)
            velocity = (driver.speed * np.cos(yaw), driver.speed * np.sin(yaw), 0.0)
            states.append(ObjectState(driver.entity, (x, y, 0.0), velocity, yaw, ""))
        shown = {state.entity.index for state in states}
        for entity in self.scene.entities:
            if entity.index not in shown:
                self.scene.hide(entity)
        self.scene.settle()
        return states

    def _stance(self, group: Group, member: int, t: float) -> tuple[float, float, float, Pose]:
        """Place [m], heading [rad] and pose of one member, as the activity has it."""
        x0, y0, heading = group.centre(t)
        pose = group.activity.poses(t)[member]
        c, s = np.cos(heading), np.sin(heading)
        return x0 + c * pose.x - s * pose.y, y0 + s * pose.x + c * pose.y, heading + pose.yaw, pose

    def _eased_stance(self, group: Group, member: int, t: float) -> tuple[float, float, float, Pose]:
        """As :meth:`_stance`, but in the first moments of an action still coming from the one before."""
        x, y, yaw, pose = self._stance(group, member, t)
        before = self._before.get((group, group.people[member]))
        share = (t - group.start) / EASE_SECONDS
        if before is None or share >= 1:
            return x, y, yaw, pose
        x0, y0, yaw0, pose0 = self._stance(before, before.people.index(group.people[member]), t)
        if pose.seat is not None or pose0.seat is not None:
            return x, y, yaw, pose  # nobody glides onto a saddle
        w = share * share * (3 - 2 * share)
        turn = (yaw - yaw0 + np.pi) % (2 * np.pi) - np.pi
        eased = Pose(
            pose.x,
            pose.y,
            pose.yaw,
            (1 - w) * pose0.pitch + w * pose.pitch,
            (1 - w) * pose0.angles + w * pose.angles,
            (1 - w) * pose0.lift + w * pose.lift,
        )
        return (1 - w) * x0 + w * x, (1 - w) * y0 + w * y, yaw0 + w * turn, eased

    def _place_group(self, group: Group, t: float) -> list[ObjectState]:
        states, step = [], 0.02
        action = group.activity.action
        for member, entity in enumerate(group.people):
            x, y, yaw, pose = self._eased_stance(group, member, t)
            x1, y1, _, _ = self._eased_stance(group, member, t + step)
            self.scene.pose(entity, x, y, yaw, pose)
            velocity = ((x1 - x) / step, (y1 - y) / step, 0.0)
            states.append(ObjectState(entity, (x, y, 0.0), velocity, yaw, "" if action == IDLE else action))
        if group.prop is not None:
            x0, y0, heading = group.centre(t)
            dx, dy = group.activity.prop_place()
            x, y = x0 + np.cos(heading) * dx - np.sin(heading) * dy, y0 + np.sin(heading) * dx + np.cos(heading) * dy
            self.scene.place(group.prop, x, y, heading)
            speed = group.activity.speed
            velocity = (speed * np.cos(heading), speed * np.sin(heading), 0.0)
            states.append(ObjectState(group.prop, (x, y, 0.0), velocity, heading, ""))
        return states
