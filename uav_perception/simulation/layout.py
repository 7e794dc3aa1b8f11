"""Filling a scene at random: houses and trees, parked and driving vehicles, people who do something."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from uav_perception.simulation.activities import Activity, random_activity
from uav_perception.simulation.ground import GroundPlan
from uav_perception.simulation.person import random_colour, random_look
from uav_perception.simulation.scene import Entity, SceneBuilder, building_xml, tree_xml
from uav_perception.simulation.vehicles import VehicleLook, random_vehicle
from uav_perception.simulation.world import Driver, Group, Path

VEHICLE_SHARES = {"car": 0.5, "van": 0.2, "truck": 0.16, "bus": 0.14}


def _circles_under(look: VehicleLook, x: float, y: float, heading: float) -> list[tuple[float, float, float]]:
    """Circles (x, y, radius) [m] that cover a vehicle: of its width, so that vehicles may stand side by side."""
    reach = (look.length - look.width) / 2
    return [
        (float(x + d * np.cos(heading)), float(y + d * np.sin(heading)), look.width / 2)
        for d in np.linspace(-reach, reach, 5)
    ]


@dataclass
class Layout:
    """A scene being filled; keeps things from standing in one another.

    Attributes:
        builder: receives what is added.
        plan: the ground.
        taken: circles (x, y, radius) [m] that are occupied.
    """

    builder: SceneBuilder
    plan: GroundPlan
    rng: np.random.Generator
    taken: list[tuple[float, float, float]] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    drivers: list[Driver] = field(default_factory=list)
    parked: list[tuple[Entity, float, float, float]] = field(default_factory=list)

    def reserve(self, x: float, y: float, radius: float) -> None:
        """Keep a circle free [m]."""
        self.taken.append((x, y, radius))

    def is_free(self, x: float, y: float, radius: float) -> bool:
        """Whether a circle meets nothing [m]."""
        return all((x - a) ** 2 + (y - b) ** 2 > (radius + r) ** 2 for a, b, r in self.taken)

    def _free_place(
        self, reach: float, radius: float, off_road: float | None, inner: float = 0.0
    ) -> tuple[float, float] | None:
        """A random free place between ``inner`` and ``reach`` from the origin; None after 30 vain tries."""
        for _ in range(30):
            distance, angle = reach * np.sqrt(self.rng.uniform((inner / reach) ** 2, 1)), self.rng.uniform(0, 2 * np.pi)
            x, y = float(distance * np.cos(angle)), float(distance * np.sin(angle))
            if self.is_free(x, y, radius) and (off_road is None or not self.plan.on_road(x, y, off_road)):
                return x, y
        return None

    def add_buildings(self, count: int, reach: float, inner: float = 0.0, tallest: float = 14.0) -> None:
        """Houses beside the roads."""
        for _ in range(count):
            half = tuple(float(v) for v in self.rng.uniform(2.5, 7.0, 2))
            radius = float(np.hypot(*half))
            place = self._free_place(reach, radius, radius + 2, inner)
            if place is not None:
                height = float(self.rng.uniform(3, tallest))
                heading = self.plan.roads[0].heading if self.plan.roads else self.rng.uniform(0, np.pi)
                self.builder.static(building_xml(*place, half, height, heading, self.rng))
                self.reserve(*place, radius)

    def add_trees(self, count: int, reach: float, inner: float = 0.0) -> None:
        """Trees and bushes beside the roads."""
        for _ in range(count):
            height = float(self.rng.uniform(1.5, 9.0))
            place = self._free_place(reach, 0.25 * height, 0.25 * height + 0.5, inner)
            if place is not None:
                self.builder.static(tree_xml(*place, height, self.rng))
                self.reserve(*place, 0.3)

    def _vehicle_kind(self) -> str:
        return str(self.rng.choice(list(VEHICLE_SHARES), p=list(VEHICLE_SHARES.values())))

    def add_parked(self, count: int, reach: float) -> None:
        """Vehicles in the parking bays, along the roads' kerbs, and at random places.

        Args:
            count: how many.
            reach: how far from the origin [m].
        """
        bays = [(*row.bay(i), row.heading + np.pi / 2) for row in self.plan.parking for i in range(row.bays)]
        self.rng.shuffle(bays)
        for _ in range(count):
            kind = self._vehicle_kind()
            look = random_vehicle(kind, self.rng)
            if bays and kind in ("car", "van"):
                x, y, heading = bays.pop()
            elif self.plan.roads and self.rng.random() < 0.6:
                road = self.plan.roads[int(self.rng.integers(len(self.plan.roads)))]
                side = float(self.rng.choice([-1, 1])) * (road.half_width + look.width / 2 + 0.1)
                x, y = road.point(float(self.rng.uniform(-reach, reach)), side)
                heading = road.heading
            else:
                place = self._free_place(reach, look.length / 2, look.width)
                if place is None:
                    continue
                (x, y), heading = place, self.rng.uniform(0, 2 * np.pi)
            heading = float(heading + self.rng.normal(0, 0.04) + np.pi * self.rng.integers(2))
            if all(self.is_free(*circle) for circle in _circles_under(look, x, y, heading)):
                self.park(look, float(x), float(y), heading)

    def park(self, look: VehicleLook, x: float, y: float, heading: float) -> None:
        """Leave a vehicle at a place [m], whatever is there."""
        self.parked.append((self.builder.vehicle(look), x, y, heading))
        self.taken += _circles_under(look, x, y, heading)

    def add_drivers(self, count: int, span: float) -> None:
        """Vehicles driving in their lanes; those of one lane have one speed and equal gaps."""
        lanes = [(road, side) for road in self.plan.roads for side in (-1, 1)]
        for i, (road, side) in enumerate(lanes):
            number = len(range(i, count, len(lanes)))
            speed, shift = float(self.rng.uniform(3, 12)), float(self.rng.uniform(0, span))
            x, y = road.point(0.0, -side * road.lane_width / 2)
            heading = road.heading if side > 0 else road.heading + np.pi
            for k in range(number):
                entity = self.builder.vehicle(random_vehicle(self._vehicle_kind(), self.rng))
                self.drivers.append(Driver(entity, Path(x, y, float(heading)), shift + k * span / number, speed, span))

    def add_group(self, activity: Activity, path: Path, start: float = -np.inf, end: float = np.inf) -> Group:
        """People with an activity on a given path, with the bicycle or crate that they need."""
        return self.add_group_of(activity, path, self.people(activity.members), start, end)

    def people(self, count: int) -> tuple[Entity, ...]:
        """New people, to be given to groups."""
        return tuple(self.builder.person(random_look(self.rng)) for _ in range(count))

    def add_group_of(
        self, activity: Activity, path: Path, people: tuple[Entity, ...], start: float = -np.inf, end: float = np.inf
    ) -> Group:
        """As :meth:`add_group`, with people who are already there."""
        prop = None
        if activity.prop == "bicycle":
            prop = self.builder.bicycle(random_colour(self.rng))
        elif activity.prop == "crate":
            prop = self.builder.crate(random_colour(self.rng))
        group = Group(activity, path, people, prop, start, end)
        self.groups.append(group)
        return group

    def add_people(self, actions: list[str], reach: float, inner: float = 0.0, off_road: float | None = None) -> None:
        """One group for each action, at random free places, walking on gentle arcs.

        Args:
            actions: what the groups do.
            reach, inner: how far from the origin and how near to it [m].
            off_road: how far beside the roads they begin [m]; None lets them be on the roads too.
        """
        for action in actions:
            place = self._free_place(reach, 1.2, off_road, inner)
            if place is None:
                continue
            radius = float(self.rng.uniform(6, 25))
            curvature = float(self.rng.choice([-1, 1])) / radius
            self.add_group(
                random_activity(action, self.rng), Path(*place, float(self.rng.uniform(0, 2 * np.pi)), curvature)
            )
            self.reserve(*place, 1.2)

    def add_parked_bicycles(self, count: int, reach: float) -> None:
        """Bicycles that stand alone."""
        for _ in range(count):
            place = self._free_place(reach, 1.0, None)
            if place is not None:
                self.parked.append(
                    (self.builder.bicycle(random_colour(self.rng)), *place, float(self.rng.uniform(0, 2 * np.pi)))
                )
                self.reserve(*place, 0.9)
