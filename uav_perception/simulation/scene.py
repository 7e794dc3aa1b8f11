"""A scene: ground, houses, trees and movable things, compiled into one MuJoCo model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uav_perception.simulation import vehicles
from uav_perception.simulation.activities import Pose
from uav_perception.simulation.mj import mujoco
from uav_perception.simulation.person import JOINTS, Colour, PersonLook, person_xml


@dataclass(frozen=True)
class Entity:
    """A thing that moves or may be detected.

    Attributes:
        index: number in the scene; also its mocap body.
        kind: a detection class, or "crate".
        height: of a standing person or of the vehicle [m].
    """

    index: int
    kind: str
    height: float


@dataclass(frozen=True)
class Light:
    """Sun and sky.

    Attributes:
        azimuth: direction in which the light travels, counter-clockwise from east [rad].
        elevation: height of the sun above the horizon [rad].
        sun: colour and strength of the direct light, RGB.
        ambient: colour and strength of the light from everywhere, RGB.
        shadows: whether things cast shadows (not under an overcast sky).
    """

    azimuth: float
    elevation: float
    sun: Colour
    ambient: Colour
    shadows: bool

    def __post_init__(self) -> None:
        if not 0 < self.elevation <= np.pi / 2:
            raise ValueError(
                f"The sun stands above the horizon, but its elevation is {np.degrees(self.elevation):g} deg."
            )

    @property
    def direction(self) -> np.ndarray:
        """Unit vector along the light, shape (3,)."""
        c = np.cos(self.elevation)
        return np.array([c * np.cos(self.azimuth), c * np.sin(self.azimuth), -np.sin(self.elevation)])


def random_light(rng: np.random.Generator) -> Light:
    """Draw a time of day and weather."""
    overcast = rng.random() < 0.2
    elevation = float(rng.uniform(np.radians(22), np.radians(72)))
    warmth = float(rng.uniform(-0.1, 0.16)) + (0.08 if elevation < 0.6 else 0.0)
    strength = float(rng.uniform(0.3, 0.5) if overcast else rng.uniform(0.6, 1.0))
    sky = float(rng.uniform(0.45, 0.65) if overcast else rng.uniform(0.28, 0.48))
    return Light(
        azimuth=float(rng.uniform(0, 2 * np.pi)),
        elevation=elevation,
        sun=(strength * (1 + warmth), strength, strength * (1 - warmth)),
        ambient=(sky * (1 - 0.5 * warmth), sky, sky * (1 + 0.5 * warmth)),
        shadows=not overcast,
    )


def _box(place: tuple, half: tuple, yaw: float, colour: Colour) -> str:
    pos, size = (" ".join(f"{v:.3f}" for v in values) for values in (place, half))
    rgba = "{:.3f} {:.3f} {:.3f} 1".format(*colour)
    return f'<geom type="box" pos="{pos}" size="{size}" euler="0 0 {np.degrees(yaw):.2f}" rgba="{rgba}"/>'


def building_xml(
    x: float, y: float, half: tuple[float, float], height: float, yaw: float, rng: np.random.Generator
) -> str:
    """MJCF of a house: walls, a band of windows a floor, a roof with boxes on it."""
    tone = float(rng.uniform(0.35, 0.85))
    wall = tuple(float(c) for c in np.clip(tone * rng.uniform(0.8, 1.1, 3), 0, 1))
    roof = tuple(float(c) for c in rng.uniform(0.2, 0.6, 3))
    parts = _box((x, y, height / 2), (*half, height / 2), yaw, wall)
    for floor in range(int(height // 3)):
        parts += _box((x, y, 3 * floor + 1.8), (half[0] + 0.04, half[1] + 0.04, 0.55), yaw, (0.12, 0.15, 0.2))
    parts += _box((x, y, height + 0.12), (half[0] + 0.25, half[1] + 0.25, 0.12), yaw, roof)
    for _ in range(int(rng.integers(0, 3))):
        dx, dy = rng.uniform(-0.6, 0.6, 2) * np.array(half)
        place = (x + dx * np.cos(yaw) - dy * np.sin(yaw), y + dx * np.sin(yaw) + dy * np.cos(yaw), height + 0.7)
        parts += _box(place, (0.8, 0.6, 0.5), yaw, (0.65, 0.65, 0.66))
    return parts


def tree_xml(x: float, y: float, height: float, rng: np.random.Generator) -> str:
    """MJCF of a tree: a trunk and a crown of a few ellipsoids."""
    green = np.array([rng.uniform(0.1, 0.35), rng.uniform(0.25, 0.45), rng.uniform(0.05, 0.15)])
    half_trunk = height / 4
    parts = (
        f'<geom type="cylinder" pos="{x:.2f} {y:.2f} {half_trunk:.2f}" size="{0.03 * height:.2f} {half_trunk:.2f}" '
        'rgba="0.3 0.22 0.15 1"/>'
    )
    for _ in range(int(rng.integers(3, 6))):
        dx, dy = rng.uniform(-0.14, 0.14, 2) * height
        z, r = rng.uniform(0.55, 0.8) * height, rng.uniform(0.14, 0.22) * height
        rgba = "{:.3f} {:.3f} {:.3f} 1".format(*np.clip(green * rng.uniform(0.75, 1.25), 0, 1))
        parts += (
            f'<geom type="ellipsoid" pos="{x + dx:.2f} {y + dy:.2f} {z:.2f}" '
            f'size="{r:.2f} {r:.2f} {0.85 * r:.2f}" rgba="{rgba}"/>'
        )
    return parts


class SceneBuilder:
    """Collects what a scene holds; :meth:`compile` makes the model."""

    def __init__(self, light: Light, width: int, height: int) -> None:
        """Args: the light, and the size of the images that will be drawn [px]."""
        self._light, self._size = light, (width, height)
        self._bodies: list[str] = []
        self._static: list[str] = []
        self._entities: list[Entity] = []
        self._grounds: list[tuple[np.ndarray, float]] = []

    def _add(self, kind: str, height: float, xml: str) -> Entity:
        entity = Entity(len(self._entities), kind, height)
        self._entities.append(entity)
        self._bodies.append(xml)
        return entity

    def _name(self) -> str:
        return f"e{len(self._entities)}"

    def person(self, look: PersonLook) -> Entity:
        """Add a person."""
        return self._add("person", look.height, person_xml(self._name(), look))

    def vehicle(self, look: vehicles.VehicleLook) -> Entity:
        """Add a car, van, truck or bus."""
        return self._add(look.kind, look.height, vehicles.vehicle_xml(self._name(), look))

    def bicycle(self, paint: Colour) -> Entity:
        """Add a bicycle."""
        return self._add("bicycle", 1.07, vehicles.bicycle_xml(self._name(), paint))

    def crate(self, paint: Colour) -> Entity:
        """Add a crate on wheels."""
        return self._add("crate", 1.15, vehicles.crate_xml(self._name(), paint))

    def static(self, xml: str) -> None:
        """Add fixed MJCF geoms (houses, trees)."""
        self._static.append(xml)

    def ground(self, texture: np.ndarray, size: float) -> None:
        """Add a ground: a square of ``size`` metres centred on the origin. Later ones lie above earlier ones.

        Args:
            texture: uint8 RGB, shape (n, n, 3), row 0 at the smallest y.
        """
        self._grounds.append((texture, size))

    def _xml(self) -> str:
        light = self._light
        assets, planes = "", ""
        for i, (texture, size) in enumerate(self._grounds):
            n = len(texture)
            assets += (
                f'<texture name="ground{i}" type="2d" builtin="flat" width="{n}" height="{n}"/>'
                f'<material name="ground{i}" texture="ground{i}" specular="0" shininess="0"/>'
            )
            # Lower grounds lie deeper by more than the depth buffer's step at 100 m.
            depth = 0.15 * (len(self._grounds) - 1 - i)
            planes += f'<geom type="plane" size="{size / 2} {size / 2} 10" pos="0 0 {-depth}" material="ground{i}"/>'
        sun, ambient = ("{:.4f} {:.4f} {:.4f}".format(*colour) for colour in (light.sun, light.ambient))
        direction = "{:.5f} {:.5f} {:.5f}".format(*light.direction)
        return (
            '<mujoco><compiler angle="degree" autolimits="true"/>'
            '<option><flag contact="disable" constraint="disable" gravity="disable"/></option>'
            '<statistic extent="50" center="0 0 0"/>'
            f'<visual><global offwidth="{self._size[0]}" offheight="{self._size[1]}"/>'
            '<quality shadowsize="1024" offsamples="0" numslices="10" numstacks="6" numquads="1"/>'
            f'<headlight ambient="{ambient}" diffuse="0 0 0" specular="0 0 0"/>'
            '<map znear="0.08" zfar="12" shadowclip="0.3"/></visual>'
            f"<asset>{assets}</asset>"
            '<default><geom contype="0" conaffinity="0"/></default>'
            "<worldbody>"
            f'<light name="sun" directional="true" castshadow="{str(light.shadows).lower()}" pos="0 0 60" '
            f'dir="{direction}" diffuse="{sun}" ambient="0 0 0" specular="0.1 0.1 0.1"/>'
            '<camera name="drone" pos="0 0 30" fovy="45"/>'
            f"{planes}{''.join(self._static)}{''.join(self._bodies)}"
            "</worldbody></mujoco>"
        )

    def compile(self) -> Scene:
        """Make the model and fill in the textures."""
        model = mujoco.MjModel.from_xml_string(self._xml())
        for i, (texture, _) in enumerate(self._grounds):
            start = int(model.tex_adr[i])
            model.tex_data[start : start + texture.size] = texture[::-1].reshape(
                -1
            )  # MuJoCo's row 0 is at the largest y
        return Scene(model, tuple(self._entities), self._light)


class Scene:
    """A compiled scene whose entities can be placed and posed.

    Attributes:
        model, data: MuJoCo's.
        entities: everything movable, by index.
        geom_entity: int32, shape (ngeom,): the entity that a geom belongs to, -1 for the ground and houses.
    """

    def __init__(self, model: mujoco.MjModel, entities: tuple[Entity, ...], light: Light) -> None:
        self.model, self.data, self.entities, self.light = model, mujoco.MjData(model), entities, light
        body_entity = np.full(model.nbody, -1, np.int32)
        for entity in entities:
            body_entity[model.body(f"e{entity.index}").id] = entity.index
        self.geom_entity = body_entity[model.body_rootid[model.geom_bodyid]]
        people = [e.index for e in entities if e.kind == "person"]
        self._qpos_start = {i: int(model.joint(f"e{i}/{JOINTS[0]}").qposadr[0]) for i in people}
        self._feet = np.array(
            [[model.geom(f"e{i}/{side}_foot").id for side in ("left", "right")] for i in people], int
        ).reshape(-1, 2)
        self._people = np.array(people, int)
        self._lift = np.zeros(len(entities))

    def place(self, entity: Entity, x: float, y: float, yaw: float) -> None:
        """Put a vehicle, bicycle or crate on the ground, heading ``yaw`` [rad]."""
        self.data.mocap_pos[entity.index] = (x, y, 0)
        self.data.mocap_quat[entity.index] = (np.cos(yaw / 2), 0, 0, np.sin(yaw / 2))

    def pose(self, entity: Entity, x: float, y: float, yaw: float, pose: Pose) -> None:
        """Put a person at (x, y) [m] heading ``yaw`` [rad] (the pose's own place and yaw are not added)."""
        cy, sy, cp, sp = np.cos(yaw / 2), np.sin(yaw / 2), np.cos(pose.pitch / 2), np.sin(pose.pitch / 2)
        self.data.mocap_pos[entity.index] = (x, y, 0 if pose.seat is None else pose.seat)
        self.data.mocap_quat[entity.index] = (cy * cp, -sy * sp, cy * sp, sy * cp)  # yaw about z, then pitch about y
        start = self._qpos_start[entity.index]
        self.data.qpos[start : start + len(JOINTS)] = pose.angles
        self._lift[entity.index] = pose.lift if pose.seat is None else np.nan

    def hide(self, entity: Entity) -> None:
        """Take an entity out of sight, deep below the ground."""
        self.data.mocap_pos[entity.index] = (0, 0, -200)
        self._lift[entity.index] = np.nan

    def sole_heights(self) -> np.ndarray:
        """Height of each person's lowest sole above the ground [m], in the order of the people."""
        feet = self._feet
        radius, half = self.model.geom_size[feet, 0], self.model.geom_size[feet, 1]
        tilt = np.abs(self.data.geom_xmat[feet, 8])
        return (self.data.geom_xpos[feet, 2] - tilt * half - radius).min(axis=1)

    def settle(self) -> None:
        """Compute the kinematics and set everyone on their feet."""
        mujoco.mj_kinematics(self.model, self.data)
        if len(self._people):
            lift = self._lift[self._people]
            rise = np.where(np.isnan(lift), 0.0, lift - self.sole_heights())
            self.data.mocap_pos[self._people, 2] += rise
            mujoco.mj_kinematics(self.model, self.data)
