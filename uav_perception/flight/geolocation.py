"""Where on the ground a detection is, and how sure that is.

A pixel's ray is turned into the map by the camera's attitude and met with the ground. Every error that goes in
(attitude, position, height, time, pixel, the object's own extent) is carried through the derivative of that meeting
point.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import gammaincinv

from uav_perception.flight.camera import CameraModel, from_edges
from uav_perception.flight.errors import FlightError, StateError
from uav_perception.flight.frames import OPTICAL_TO_FLU
from uav_perception.flight.geodesy import Origin
from uav_perception.flight.rotations import from_roll_pitch_yaw, matrix, roll_pitch_yaw, skew
from uav_perception.flight.state import VehicleState
from uav_perception.flight.terrain import MapTerrain, TerrainGrid

METHODS = ("flat_plane", "height_above_ground", "terrain")
TERRAIN_REFERENCES = ("map", "ellipsoid")

OBJECT_HEIGHTS = {
    "person": 1.7, "pedestrian": 1.7, "people": 1.7, "bicycle": 1.2, "motor": 1.4, "car": 1.5, "van": 2.0, "truck": 3.0,
    "bus": 3.0,
}  # fmt: skip
"""Usual heights by class name [m], of which the nodes and the evaluation make `GeolocationOptions.object_heights`."""

ATTITUDE, POSITION, HEIGHT, TIME = slice(0, 3), slice(3, 6), 6, 7
"""Where the common errors stand in `Place.jacobian` and `Place.common`: attitude about the map's axes [rad], position
[m], height of the ground or above it [m], time [s]."""


@dataclass(frozen=True)
class Mount:
    """How the camera sits on the vehicle.

    Attributes:
        translation: of the camera in the body's frame, forward, left, up [m].
        roll_pitch_yaw: of the camera's forward-left-up frame in the body's [rad]; pitch is positive downwards. Used
            for a fixed camera only.
        gimbal: take the attitude from the gimbal's messages.
    """

    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    roll_pitch_yaw: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gimbal: bool = False

    def __post_init__(self) -> None:
        if not np.isfinite([*self.translation, *self.roll_pitch_yaw]).all():
            raise FlightError(
                f"The camera mount must be finite, but is at {self.translation}, turned {self.roll_pitch_yaw}."
            )

    @classmethod
    def fixed(cls, optical_to_body: np.ndarray, translation: np.ndarray) -> Mount:
        """Of a camera fixed to the body, from the transform of its optical frame into the body's.

        Args:
            optical_to_body: rotation, shape (3, 3).
            translation: of the camera in the body's frame [m], shape (3,).
        """
        return cls(tuple(map(float, translation)), roll_pitch_yaw(optical_to_body @ OPTICAL_TO_FLU.T))

    @property
    def optical_to_body(self) -> np.ndarray:
        """Rotation of the optical frame into the body's, shape (3, 3)."""
        return matrix(from_roll_pitch_yaw(*self.roll_pitch_yaw)) @ OPTICAL_TO_FLU


@dataclass(frozen=True)
class GeolocationOptions:
    """How detections are placed.

    The standard deviations stand in where the vehicle's messages carry none.

    Attributes:
        method: ``"flat_plane"`` (ground at a known z of the map), ``"height_above_ground"`` (below the vehicle, from a
            range finder or the autopilot) or ``"terrain"``.
        ground_z: z of the flat ground in the map [m]; 0 where the map starts at the take-off point.
        terrain_reference: what the terrain's heights count from. ``"map"``: anything, the grid is shifted so that the
            ground at the map's origin has the height ``ground_z``, which takes out the difference between sea level and
            the ellipsoid (tens of metres) and the origin's own error in height; ``"ellipsoid"``: WGS84's ellipsoid.
        attitude_std_deg: of roll, pitch and yaw [deg].
        position_std_m: of each axis [m].
        height_std_m: of the ground's z, or of the height above ground [m].
        time_std_s: of the image's stamp against the vehicle's [s].
        pixel_std: of the anchor in the image [px].
        anchor_std: the same as a part of the box's height, for what the box does not tell.
        object_std_m: of the anchor against the object's own middle, on the ground [m].
        extent_std: the same as a part of the box's width on the ground, added where the object's height is not known:
            the lower edge is the near side of an object of unknown depth.
        min_depression_deg: rays less steep than this are refused: a degree more or less moves them too far [deg].
        max_range_m: places farther away are refused [m].
        edge_margin: boxes that come nearer to the image's edge may be cut off and are refused [px]; 0 takes them all.
        object_heights: height of the objects of a class [m]. Where it is known, the middle of the box is met with the
            plane at half that height, which is right from every angle; without it the middle of the lower edge is
            taken, which is the near edge of wide objects seen from above.
    """

    method: str = "flat_plane"
    ground_z: float = 0.0
    terrain_reference: str = "map"
    attitude_std_deg: float = 0.5
    position_std_m: float = 0.5
    height_std_m: float = 0.5
    time_std_s: float = 0.02
    pixel_std: float = 1.0
    anchor_std: float = 0.05
    object_std_m: float = 0.2
    extent_std: float = 0.4
    min_depression_deg: float = 5.0
    max_range_m: float = 500.0
    edge_margin: float = 1.0
    object_heights: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise FlightError(f"Unknown geolocation method {self.method!r}. Known are: {', '.join(METHODS)}.")
        if self.terrain_reference not in TERRAIN_REFERENCES:
            raise FlightError(
                f"Expected `terrain_reference` to be {' or '.join(TERRAIN_REFERENCES)}, but got "
                f"{self.terrain_reference!r}."
            )
        for name, value in vars(self).items():
            if name.endswith(("_std", "_std_m", "_std_s", "_std_deg", "_margin")) and not 0.0 <= value < float("inf"):
                raise FlightError(f"Expected `{name}` to be 0 or more, but got {value}.")
        if not 0.0 < self.min_depression_deg < 90.0 or not self.max_range_m > 0.0 or not np.isfinite(self.ground_z):
            raise FlightError(
                "Expected `min_depression_deg` between 0 and 90, a positive `max_range_m` and a finite `ground_z`, but "
                f"got {self.min_depression_deg}, {self.max_range_m}, {self.ground_z}."
            )
        for class_id, height in self.object_heights.items():
            if not 0.0 < height < 50.0:
                raise FlightError(f"Expected the height of class {class_id} between 0 and 50 m, but got {height}.")


@dataclass(frozen=True)
class Place:
    """Where one detection is.

    Attributes:
        position: on the ground, east, north, up in the map [m], shape (3,).
        noise: covariance of what differs from image to image (pixel, anchor), shape (3, 3) [m^2].
        jacobian: derivative of the position by the common errors, shape (3, 8); see `ATTITUDE` and its neighbours.
        common: covariance of the common errors, which stay for seconds, shape (8, 8).
    """

    position: np.ndarray
    noise: np.ndarray
    jacobian: np.ndarray
    common: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """Of the position, all errors together, shape (3, 3) [m^2]."""
        return self.noise + self.jacobian @ self.common @ self.jacobian.T


@dataclass(frozen=True)
class Located:
    """The places of the detections of one image.

    Attributes:
        places: one for each detection; None where it was refused.
        refusals: how many were refused, by reason: ``cut_off`` (the box ends at the image's edge, so that its anchor is
            not seen), ``horizon``, ``range``, ``undistortion``, ``below_ground``, ``terrain_unknown``.
    """

    places: list[Place | None]
    refusals: Counter[str]


@dataclass(frozen=True)
class CameraPose:
    """The camera at one moment.

    Attributes:
        position: east, north, up [m], shape (3,).
        rotation: optical frame to map, shape (3, 3).
        angular_velocity: about the map's axes [rad/s], shape (3,).
        lever: from the vehicle's reference point to the camera, in the map [m], shape (3,).
        attitude_covariance: about the map's axes, shape (3, 3) [rad^2]; None when not known.
    """

    position: np.ndarray
    rotation: np.ndarray
    angular_velocity: np.ndarray
    lever: np.ndarray
    attitude_covariance: np.ndarray | None


def camera_pose(state: VehicleState, mount: Mount) -> CameraPose:
    """Where the camera is and how it is turned.

    Raises:
        StateError: ``no_gimbal``, the mount has one, but nothing is known of its attitude.
    """
    body = matrix(state.orientation)
    lever = body @ np.asarray(mount.translation, np.float64)
    if not mount.gimbal:
        rotation, rate, covariance = body @ mount.optical_to_body, state.angular_velocity, state.attitude_covariance
    elif state.camera_orientation is None:
        raise StateError("no_gimbal", "The camera is on a gimbal, but no gimbal attitude has been received.")
    else:
        rotation, rate = matrix(state.camera_orientation), state.camera_angular_velocity
        covariance = state.camera_attitude_covariance
    return CameraPose(state.position + lever, rotation, rate, lever, covariance)


def error_radius(covariance: np.ndarray) -> float:
    """Radius of the circle around an estimate that holds the truth with 95 % probability.

    The squared distance is a weighted sum of two chi-squares, taken as a gamma distribution of the same mean and
    variance (Satterthwaite): exact for a circle and for a line, within 1 % between.

    Args:
        covariance: shape (2, 2) or larger; the first two rows and columns count [m^2].
    """
    variances = np.clip(np.linalg.eigvalsh(np.asarray(covariance)[:2, :2]), 0.0, None)
    mean, spread = variances.sum(), 2 * (variances**2).sum()
    if mean == 0.0:
        return 0.0
    return float(np.sqrt(gammaincinv(mean**2 / spread, 0.95) * spread / mean))


class Geolocator:
    """Places detections of one camera on the ground.

    Args:
        camera: for the images that the detections come from (see `CameraModel.for_image`).
        mount: of the camera.
        options: see `GeolocationOptions`.
        terrain: the ground, for method ``"terrain"``.

    Raises:
        FlightError: method ``"terrain"`` without a terrain.
    """

    def __init__(
        self,
        camera: CameraModel,
        mount: Mount = Mount(),
        options: GeolocationOptions = GeolocationOptions(),
        terrain: TerrainGrid | None = None,
    ) -> None:
        if options.method == "terrain" and terrain is None:
            raise FlightError("The method 'terrain' needs a terrain file. Give one, or use 'flat_plane'.")
        self.camera = camera
        self.mount = mount
        self.options = options
        self._grid = terrain
        self._terrain: MapTerrain | None = None
        self._terrain_origin = None

    def locate(self, boxes: np.ndarray, class_ids: Sequence[int], state: VehicleState) -> Located:
        """Place the detections of one image.

        Args:
            boxes: shape (N, 4), edges in pixels of the image.
            class_ids: N numbers.
            state: of the vehicle at the image's stamp.

        Raises:
            StateError: ``no_gimbal``, ``no_height``, ``no_origin``, or ``terrain_unknown`` at the map's origin: nothing
                can be placed at all.
        """
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        pose = camera_pose(state, self.mount)
        common = self._common_errors(state, pose)
        heights = [self.options.object_heights.get(int(class_id)) for class_id in class_ids]
        rays = self._rays(boxes, heights) @ pose.rotation.T
        places: list[Place | None] = []
        refusals: Counter[str] = Counter()
        for box, height, around in zip(boxes, heights, rays, strict=True):
            if self._cut_off(box, height is None):
                place = "cut_off"
            else:
                place = self._place(around, box[2:] - box[:2], height, state, pose, common)
            if isinstance(place, str):
                refusals[place] += 1
            places.append(None if isinstance(place, str) else place)
        return Located(places, refusals)

    def _cut_off(self, box: np.ndarray, by_edge: bool) -> bool:
        """Whether the image's edge hides a side of the box that its anchor depends on."""
        margin = self.options.edge_margin
        cut = box[0] < margin or box[2] > self.camera.width - margin or box[3] > self.camera.height - margin
        return bool(cut or (box[1] < margin and not by_edge))

    def _rays(self, boxes: np.ndarray, heights: Sequence[float | None]) -> np.ndarray:
        """Through the anchor of every box, a pixel right of it and a pixel below it: shape (N, 3, 3)."""
        x = (boxes[:, 0] + boxes[:, 2]) / 2
        y = np.where([height is None for height in heights], boxes[:, 3], (boxes[:, 1] + boxes[:, 3]) / 2)
        around = np.column_stack([x, y])[:, None] + np.array([[0.0, 0], [1, 0], [0, 1]])
        return self.camera.rays(from_edges(around.reshape(-1, 2))).reshape(-1, 3, 3)

    def _place(
        self,
        rays: np.ndarray,
        box_size: np.ndarray,
        object_height: float | None,
        state: VehicleState,
        pose: CameraPose,
        common: np.ndarray,
    ) -> Place | str:
        """The place of one box, or the reason why there is none."""
        options = self.options
        if not np.isfinite(rays).all():
            return "undistortion"
        direction = rays[0]
        length = float(np.linalg.norm(direction))
        if -direction[2] / length < np.sin(np.radians(options.min_depression_deg)):
            return "horizon"
        ground = self._meet(pose, direction / length, state, 0.0 if object_height is None else object_height / 2)
        if isinstance(ground, str):
            return ground
        distance, normal = ground
        if distance > options.max_range_m:
            return "range"
        position = pose.position + direction / length * distance
        position[2] -= 0.0 if object_height is None else object_height / 2
        # How the meeting point answers: to a shift of the camera by `across`, of the direction by `scale * across`.
        along = direction / (normal @ direction)
        across = np.eye(3) - np.outer(along, normal)
        scale = distance / length
        jacobian = np.zeros((3, 8))
        jacobian[:, ATTITUDE] = -across @ (skew(pose.lever) + scale * skew(direction))
        # Above ground, the ground hangs below the vehicle: it moves with it, and rises when the height shrinks.
        hangs = options.method == "height_above_ground"
        jacobian[:, POSITION] = np.eye(3) if hangs else across
        jacobian[:, HEIGHT] = -along if hangs else along
        turning = np.cross(state.angular_velocity, pose.lever) + scale * np.cross(pose.angular_velocity, direction)
        jacobian[:, TIME] = jacobian[:, POSITION] @ state.velocity + across @ turning
        pixel = scale * across @ (rays[1:] - direction).T
        blur = np.diag([options.pixel_std**2, options.pixel_std**2 + (options.anchor_std * box_size[1]) ** 2])
        noise = pixel @ blur @ pixel.T
        width = box_size[0] * np.linalg.norm(pixel[:2, 0])  # on the ground [m]
        unknown = 0.0 if object_height is not None else options.extent_std * width
        noise[[0, 1], [0, 1]] += options.object_std_m**2 + unknown**2
        return Place(position, noise, jacobian, common)

    def _meet(
        self, pose: CameraPose, direction: np.ndarray, state: VehicleState, lift: float
    ) -> tuple[float, np.ndarray] | str:
        """Distance along a ray to the plane ``lift`` above the ground, and the ground's normal there."""
        if self.options.method == "terrain":
            return self._meet_terrain(pose, direction, state, lift)
        height = pose.position[2] - self._ground_z(state) - lift
        if height <= 0.0:
            return "below_ground"
        return height / -direction[2], np.array([0.0, 0.0, 1.0])

    def _ground_z(self, state: VehicleState) -> float:
        if self.options.method == "flat_plane":
            return self.options.ground_z
        if state.height_above_ground is None:
            raise StateError("no_height", "No height above ground has been received.")
        return state.position[2] - state.height_above_ground

    def _meet_terrain(
        self, pose: CameraPose, direction: np.ndarray, state: VehicleState, lift: float
    ) -> tuple[float, np.ndarray] | str:
        if state.origin is None:
            raise StateError("no_origin", "The terrain cannot be used before the map's global origin is known.")
        if self._terrain is None or state.origin != self._terrain_origin:
            self._terrain, self._terrain_origin = self._map_terrain(state.origin), state.origin
        start = pose.position - np.array([0.0, 0.0, lift])
        distance = self._terrain.meet(start, direction, self.options.max_range_m)
        if distance is None:
            return "range"
        if not np.isfinite(distance):
            return "terrain_unknown"
        if distance == 0.0:
            return "below_ground"
        place = start + distance * direction
        normal = self._terrain.normal(place[0], place[1])
        if not np.isfinite(normal).all():
            return "terrain_unknown"
        steepness = -(normal @ direction) / np.linalg.norm(normal)
        return (distance, normal) if steepness >= np.sin(np.radians(self.options.min_depression_deg)) else "horizon"

    def _map_terrain(self, origin: Origin) -> MapTerrain:
        if self.options.terrain_reference == "ellipsoid":
            return MapTerrain(self._grid, origin)
        ground = origin.altitude + self.options.ground_z
        return MapTerrain(self._grid.levelled(origin.latitude, origin.longitude, ground), origin)

    def _common_errors(self, state: VehicleState, pose: CameraPose) -> np.ndarray:
        options = self.options
        common = np.zeros((8, 8))
        attitude = np.eye(3) * np.radians(options.attitude_std_deg) ** 2
        common[ATTITUDE, ATTITUDE] = attitude if pose.attitude_covariance is None else pose.attitude_covariance
        position = np.eye(3) * options.position_std_m**2
        common[POSITION, POSITION] = position if state.position_covariance is None else state.position_covariance
        own_height = options.method == "height_above_ground" and state.height_variance is not None
        common[HEIGHT, HEIGHT] = state.height_variance if own_height else options.height_std_m**2
        common[TIME, TIME] = options.time_std_s**2
        return common
