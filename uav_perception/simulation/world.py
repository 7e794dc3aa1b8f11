"""What moves in a scene: groups of people with their activities, drivers, parked vehicles; all as functions of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uav_perception.simulation.activities import IDLE, Activity
from uav_perception.simulation.scene import Entity, Scene


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

    A person may belong to several groups at different times (one action after the other); a person whom no group places
    at some time is hidden below the ground.
    """

    def __init__(
        self, scene: Scene, groups: list[Group], drivers: list[Driver], parked: list[tuple[Entity, float, float, float]]
    ) -> None:
        self.scene, self.groups, self.drivers = scene, groups, drivers
        for entity, x, y, yaw in parked:
            scene.place(entity, x, y, yaw)
        self._parked = [ObjectState(entity, (x, y, 0.0), (0.0, 0.0, 0.0), yaw, "") for entity, x, y, yaw in parked]

    def advance(self, t: float) -> list[ObjectState]:
        """Place and pose everything for time ``t`` [s], and say where everything is."""
        states = list(self._parked)
        hidden = {entity for group in self.groups for entity in (*group.people, group.prop) if entity is not None}
        for group in self.groups:
            if group.start <= t < group.end:
                states += self._place_group(group, t)
                hidden -= {*group.people, group.prop}
        for driver in self.drivers:
            x, y, yaw = driver.at(t)
            self.scene.place(driver.entity, x, y, yaw)
            velocity = (driver.speed * np.cos(yaw), driver.speed * np.sin(yaw), 0.0)
            states.append(ObjectState(driver.entity, (x, y, 0.0), velocity, yaw, ""))
        for entity in hidden:
            self.scene.hide(entity)
        self.scene.settle()
        return states

    def _member_places(self, group: Group, t: float) -> list[tuple[float, float, float]]:
        x0, y0, heading = group.centre(t)
        c, s = np.cos(heading), np.sin(heading)
        return [(x0 + c * p.x - s * p.y, y0 + s * p.x + c * p.y, heading + p.yaw) for p in group.activity.poses(t)]

    def _place_group(self, group: Group, t: float) -> list[ObjectState]:
        states, step = [], 0.02
        action = group.activity.action
        places = self._member_places(group, t)
        later = self._member_places(group, t + step)
        for entity, pose, (x, y, yaw), (x1, y1, _) in zip(
            group.people, group.activity.poses(t), places, later, strict=True
        ):
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
