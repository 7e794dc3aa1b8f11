"""Simulated flights: a drone over a scene where someone acts, with exact truth for every frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from uav_perception.simulation.activities import IDLE, random_activity
from uav_perception.simulation.camera import CameraPose, Pinhole
from uav_perception.simulation.classes import ACTION_CLASSES
from uav_perception.simulation.degrade import Degradation, random_degradation
from uav_perception.simulation.drone import (
    MOUNTS,
    PATHS,
    DroneState,
    Flightpath,
    fixed_pose,
    gimbal_pose,
    mount_rotation,
    usual_path,
)
from uav_perception.simulation.errors import SimulationError
from uav_perception.simulation.ground import GroundPlan, ParkingRow, Road, paint, random_plan
from uav_perception.simulation.layout import Layout
from uav_perception.simulation.render import SceneRenderer
from uav_perception.simulation.scene import SceneBuilder, random_light
from uav_perception.simulation.truth import TruthFinder, VisibleObject
from uav_perception.simulation.vehicles import random_vehicle
from uav_perception.simulation.world import Group, ObjectState, Path, World

GROUND_SIZE = 110.0
SUPERSAMPLING = 2
LEAD_IN = 0.5  # the vehicle's state is known this long before the first image and after the last [s]


@dataclass(frozen=True)
class FlightConfig:
    """What to fly over, how, and what the camera does.

    Attributes:
        seed: the same seed gives the same flight on the same machine.
        seconds: duration [s].
        rate: images per second [Hz].
        width, height: size of the images [px].
        path: one of ``PATHS``.
        mount: "gimbal" follows the main actors, "fixed" looks forward and down by ``depression``.
        vertical_fov: field of view over the image's height [deg].
        depression: of a fixed camera below the body's horizon [deg].
        altitude: height above the ground [m]; None for what is usual for the path.
        actions: what the main actors do, one after the other, for equal times. Empty for a drawn order.
        people: further groups of people around.
        vehicles: parked and driving vehicles, about half of each.
        degrade: whether the camera has mild faults (noise, softness, exposure).
        ground_pixels: side of the texture of the 110 m around the scene [px]; fewer are drawn faster and look softer.
    """

    seed: int = 0
    seconds: float = 20.0
    rate: float = 12.0
    width: int = 640
    height: int = 384
    path: str = "orbit"
    mount: str = "gimbal"
    vertical_fov: float = 35.0
    depression: float = 45.0
    altitude: float | None = None
    actions: tuple[str, ...] = ()
    people: int = 10
    vehicles: int = 12
    degrade: bool = True
    ground_pixels: int = 2048

    def __post_init__(self) -> None:
        if not (0 < self.seconds < np.inf and 0 < self.rate < np.inf):
            raise SimulationError(f"Duration and rate must be positive, got {self.seconds:g} s and {self.rate:g} Hz.")
        if round(self.seconds * self.rate) < 1:
            raise SimulationError(f"{self.seconds:g} s at {self.rate:g} Hz hold not one image; make the flight longer.")
        if self.people < 0 or self.vehicles < 0:
            raise SimulationError(
                f"People and vehicles must not be negative, got {self.people} groups and {self.vehicles} vehicles."
            )
        if self.path not in PATHS:
            raise SimulationError(f"Unknown path {self.path!r}; it must be one of {', '.join(PATHS)}.")
        if self.mount not in MOUNTS:
            raise SimulationError(f"Unknown mount {self.mount!r}; it must be one of {', '.join(MOUNTS)}.")
        if not 1 <= self.vertical_fov <= 120:
            raise SimulationError(f"The field of view lies between 1 and 120 deg, got {self.vertical_fov:g}.")
        Pinhole(self.width, self.height, float(np.radians(self.vertical_fov)))  # refuses what is no image
        unknown = set(self.actions) - set(ACTION_CLASSES)
        if unknown:
            raise SimulationError(f"Unknown actions {sorted(unknown)}; known are {', '.join(ACTION_CLASSES)}.")


@dataclass(frozen=True)
class FlightFrame:
    """One image of a flight with its truth.

    Attributes:
        t: time since the first image [s].
        image: uint8 BGR, shape (H, W, 3); None when only the truth was asked for.
        pose: of the camera.
        objects: what can be seen, with boxes.
        states: where every object is, by entity index.
        action: what the main actors do.
    """

    t: float
    image: np.ndarray | None
    pose: CameraPose
    objects: tuple[VisibleObject, ...]
    states: dict[int, ObjectState]
    action: str


class Flight:
    """A flight ready to be drawn.

    Attributes:
        config: what was asked for.
        camera: intrinsics.
        path: of the drone.
    """

    def __init__(self, config: FlightConfig) -> None:
        self.config = config
        rng = np.random.default_rng([config.seed, 7])
        self._image_seed = int(rng.integers(2**32))
        plan = _plan(rng)
        builder = SceneBuilder(random_light(rng), config.width * SUPERSAMPLING, config.height * SUPERSAMPLING)
        wide = GroundPlan(600.0, plan.kind, plan.patch_kind, plan.roads)
        builder.ground(paint(wide, 512, rng), wide.size)
        builder.ground(paint(plan, config.ground_pixels, rng), plan.size)
        layout = Layout(builder, plan, rng)
        self._main = _main_groups(layout, config)
        _surroundings(layout, config)
        self._scene = builder.compile()
        self._world = World(self._scene, layout.groups, layout.drivers, layout.parked)
        self.camera = Pinhole(config.width, config.height, float(np.radians(config.vertical_fov)))
        path = usual_path(config.path, (0.0, 0.0), float(rng.uniform(0, 2 * np.pi)), config.seconds)
        if config.altitude is not None:
            path = Flightpath(
                path.kind, path.focus, config.altitude, path.speed, config.altitude, path.start_angle, path.duration
            )
        self.path = path

    @property
    def frame_times(self) -> np.ndarray:
        """Times of the images since the first [s]."""
        return np.arange(round(self.config.seconds * self.config.rate)) / self.config.rate

    @property
    def mount_rotation(self) -> np.ndarray | None:
        """Optical axes in the body frame for a fixed camera, shape (3, 3); None for a gimbal."""
        return mount_rotation(np.radians(self.config.depression)) if self.config.mount == "fixed" else None

    def drone(self, t: float) -> DroneState:
        """State of the body at time ``t`` [s]."""
        return self.path.state(t)

    def camera_pose(self, t: float) -> CameraPose:
        """Place and attitude of the camera at time ``t`` [s]."""
        state = self.drone(t)
        if self.config.mount == "fixed":
            return fixed_pose(state, np.radians(self.config.depression))
        # The gimbal follows the middle of a second, not every step: it does not jump when an action changes.
        middles = [self._target(t + shift) for shift in np.linspace(-0.5, 0.5, 11)]
        return gimbal_pose(state, np.array([*np.mean(middles, axis=0), 0.8]), t)

    def _current(self, t: float) -> Group:
        return next((group for group in self._main if t < group.end), self._main[-1])

    def _target(self, t: float) -> tuple[float, float]:
        group = self._current(t)
        return group.centre(max(t, group.start))[:2]

    def frames(self, images: bool = True) -> Iterator[FlightFrame]:
        """Draw the images one after the other.

        Args:
            images: without them only the truth is found, in a fraction of the time.
        """
        config, finder = self.config, TruthFinder(self._scene)
        rng = np.random.default_rng(self._image_seed)
        degradation: Degradation | None = None
        with SceneRenderer(self._scene, config.width, config.height, SUPERSAMPLING) as renderer:
            for t in self.frame_times:
                states = self._world.advance(float(t))
                pose = self.camera_pose(float(t))
                focus, span = self._footprint(pose)
                renderer.aim(pose, self.camera, focus, span)
                image = renderer.image() if images else None
                objects = finder.find(renderer.instances(), pose, self.camera)
                if images and config.degrade:
                    degradation = degradation or random_degradation(rng, image)
                    image = degradation.apply(image, rng)
                by_entity = {state.entity.index: state for state in states}
                action = self._current(float(t)).activity.action
                yield FlightFrame(float(t), image, pose, tuple(objects), by_entity, action)

    def _footprint(self, pose: CameraPose) -> tuple[np.ndarray, float]:
        """Middle of what the camera sees on the ground [m] and how far around it shadows are needed [m]."""
        forward = pose.rotation[:, 2]
        reach = pose.position[2] / max(-forward[2], 0.2)
        focus = pose.position + reach * forward
        across = reach * np.tan(np.radians(self.config.vertical_fov) / 2) * self.config.width / self.config.height
        return focus[:2], float(np.clip(2.0 * across, 10, 70))


def _plan(rng: np.random.Generator) -> GroundPlan:
    """A ground with a road that passes beside the origin, a second road, and parking rows."""
    drawn = random_plan(rng, GROUND_SIZE, roads=0, parking=2)
    heading, width = float(rng.uniform(0, np.pi)), float(rng.uniform(2.9, 3.5))
    near = Road(*_beside(width + 3.2, heading), heading, width)
    turn = heading + np.pi / 2 + float(rng.uniform(-0.2, 0.2))
    crossing = Road(
        *_beside(float(rng.choice([-1, 1]) * rng.uniform(13, 24)), turn), turn, float(rng.uniform(2.9, 3.5))
    )
    row = ParkingRow(*_beside(-8.0, heading), heading, 9)
    return GroundPlan(GROUND_SIZE, drawn.kind, drawn.patch_kind, (near, crossing), (*drawn.parking, row))


def _beside(distance: float, heading: float) -> tuple[float, float]:
    """The point to the left of the origin, seen along ``heading`` [m]."""
    return -distance * float(np.sin(heading)), distance * float(np.cos(heading))


def _main_groups(layout: Layout, config: FlightConfig) -> list[Group]:
    """The main actors around the origin: one action after the other, by the same people where that is possible."""
    rng = layout.rng
    actions = config.actions or tuple(
        str(a) for a in rng.permutation(ACTION_CLASSES)[: max(1, round(config.seconds / 5))]
    )
    share = config.seconds / len(actions)
    activities = [random_activity(action, rng) for action in actions]
    people = layout.people(max(activity.members for activity in activities))
    groups: list[Group] = []
    x, y, heading = 0.0, 0.0, layout.plan.roads[0].heading + float(rng.normal(0, 0.15))
    gone = len(people)  # who has walked away
    for i, activity in enumerate(activities):
        start, end = i * share, (i + 1) * share
        # Fast actors go round in circles, so that a long flight stays over its scene.
        curvature = 1 / 6 if activity.speed > 2 else 1 / 15 if activity.speed > 0 else 0.0
        path = Path(x, y, heading, curvature)
        last = np.inf if i + 1 == len(activities) else end
        groups.append(layout.add_group_of(activity, path, people[: activity.members], start if i else -np.inf, last))
        for s in np.arange(0.0, activity.speed * share + 1.0, 2.0):
            layout.reserve(*path.at(s)[:2], 3.0)
        x, y, heading = path.at(activity.speed * share)
        # Those who take no part in what comes now and later walk away.
        needed = max((later.members for later in activities[i + 1 :]), default=gone)
        for k in range(needed, gone if i + 1 < len(activities) else 0):
            away = Path(x + 0.5, y + 0.5 * (k - needed), heading + 0.7 + 0.4 * k, 0.02)
            layout.add_group_of(random_activity("walk", rng), away, (people[k],), end)
        gone = min(gone, needed)
        for k in range(activity.members, gone):  # those whose turn comes later wait beside
            bearing = heading + 1.9 + 1.1 * k
            beside = Path(x + 2.2 * float(np.cos(bearing)), y + 2.2 * float(np.sin(bearing)), bearing + np.pi)
            layout.add_group_of(random_activity(IDLE, rng), beside, (people[k],), start if i else -np.inf, end)
    return groups


def _surroundings(layout: Layout, config: FlightConfig) -> None:
    """Everything else: low things near the origin, houses and trees where they do not hide the main actors."""
    rng = layout.rng
    driving = config.vehicles // 2
    layout.add_drivers(driving, 120.0)
    road = layout.plan.roads[0]
    main_side = -float(np.sign(road.offset(0.0, 0.0)))  # of the road, seen from the main actors
    at_kerb = min(2, config.vehicles - driving)
    for kind, along in list(zip(("car", "van"), (3.4, -5.4), strict=True))[:at_kerb]:
        x, y = road.point(road.along(0.0, 0.0) + along, float(road.offset(0.0, 0.0)) + 2.9 * main_side)
        layout.park(random_vehicle(kind, rng), x, y, road.heading)
    layout.add_parked(config.vehicles - driving - at_kerb, 28.0)
    actions = rng.choice([*ACTION_CLASSES, IDLE, "walk", "walk", "ride"], config.people)
    passing = config.people // 2
    for _ in range(passing):  # along the road, on the far side of the main actors, at a distance from them
        aside = float(road.offset(0.0, 0.0)) - main_side * float(rng.uniform(3.6, 5.2))
        x, y = road.point(float(rng.uniform(-25, 25)), aside)
        heading = road.heading + np.pi * int(rng.integers(2)) + float(rng.normal(0, 0.03))
        activity = random_activity(str(rng.choice(["walk", "walk", "ride", IDLE])), rng)
        layout.add_group(activity, Path(x, y, heading))
        layout.reserve(x, y, 0.8)
    layout.add_people([str(action) for action in actions[passing:]], 35.0, 7.0, off_road=0.3)
    layout.add_parked_bicycles(3, 15.0)
    layout.add_buildings(5, 50.0, inner=24.0, tallest=9.0)
    layout.add_trees(18, 50.0, inner=14.0)
