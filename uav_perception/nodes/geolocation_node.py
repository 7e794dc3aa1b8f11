"""Detections and the vehicle's state in, places on the ground out."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import Point, PoseStamped, Vector3
from rclpy.clock import Clock, ClockType

from uav_perception.actions.ticks import TickGrid
from uav_perception.flight.errors import FlightError, StateError
from uav_perception.flight.filter import FilterOptions, TargetFilter
from uav_perception.flight.geodesy import to_wgs84
from uav_perception.flight.geolocation import Geolocator, error_radius
from uav_perception.flight.state import VehicleState
from uav_perception.flight.terrain import TerrainGrid, read_terrain
from uav_perception.msg import ActionArray, DetectionArray, GeoTarget, GeoTargetArray
from uav_perception.nodes import conversions
from uav_perception.nodes.camera_input import CameraInput
from uav_perception.nodes.diagnostics import ERROR, OK, WARN, Health
from uav_perception.nodes.errors import NodeError
from uav_perception.nodes.geolocation_parameters import PARAMETERS, geolocation_options, parse_heights
from uav_perception.nodes.managed import ManagedNode
from uav_perception.nodes.parameters import Value
from uav_perception.nodes.publishing import publish
from uav_perception.nodes.qos import OVERRIDABLE, results
from uav_perception.nodes.statistics import Statistics
from uav_perception.nodes.vehicle_parameters import camera_mount
from uav_perception.nodes.vehicle_sources import VehicleLink

_ACTION_LIFE_NS = 2_000_000_000  # an actor's label is repeated on targets for this long [ns]
_MOST_WAITING = 150  # as many messages as a camera makes within the longest `max_state_wait`
_RETRY_PERIOD = 0.02  # how often detections that are ahead of the vehicle's state are tried again [s]


@dataclass(frozen=True)
class _Waiting:
    """Detections whose vehicle state may still come; ``received`` when [s, monotonic]."""

    message: DetectionArray
    received: float


class GeolocationNode(ManagedNode):
    """Publishes ``~/targets`` for every message on ``detector/detections``.

    Args:
        hub: not used; every node of a process is made alike.
        options: further arguments of `rclpy.lifecycle.LifecycleNode`.
    """

    def __init__(self, hub: object = None, **options: object) -> None:
        self._vehicle: VehicleLink | None = None
        self._camera: CameraInput | None = None
        self._filter = TargetFilter()
        self._terrain: TerrainGrid | None = None
        self._locator: Geolocator | None = None
        self._locator_key: tuple | None = None
        self._heights: dict[str, float] = {}
        self._class_names: dict[int, str] = {}
        self._actions: dict[int, tuple[int, str]] = {}
        self._outputs: dict[str, object] = {}
        self._inputs: list[object] = []
        self._retry_timer: object = None
        self._waiting: deque[_Waiting] = deque()
        self._refused: Counter[str] = Counter()
        self._problem = ""
        self._statistics = Statistics()
        self._target_ticks = TickGrid(10.0)
        super().__init__("geolocation", PARAMETERS, **options)

    def load(self) -> TerrainGrid | None:
        """Check the settings and read the terrain."""
        values = self.parameters
        if values["vehicle"] == "none":
            raise NodeError("the parameter vehicle is none. Set it to mavros, px4, odometry or tf.")
        if values["method"] == "height_above_ground" and values["height_source"] == "none":
            raise NodeError("method height_above_ground needs height_source: relative_altitude or range.")
        return read_terrain(str(values["terrain"])) if values["method"] == "terrain" else None

    def configure(self, loaded: TerrainGrid | None) -> None:
        """Take the terrain, advertise."""
        self._heights = parse_heights(str(self.parameters["object_heights"]))
        self._terrain = loaded
        self._filter = TargetFilter(FilterOptions())
        self._outputs = {
            "targets": self.create_publisher(
                GeoTargetArray, "~/targets", results(), qos_overriding_options=OVERRIDABLE
            ),
            "target_pose": self.create_publisher(
                PoseStamped, "~/target_pose", results(), qos_overriding_options=OVERRIDABLE
            ),
        }

    def activate(self) -> None:
        """Subscribe to the camera, the detections and the vehicle."""
        self._vehicle = VehicleLink(self, self.parameters)
        self._camera = CameraInput(self, str(self.parameters["camera_info"]))
        self._inputs = [
            self.create_subscription(
                DetectionArray,
                "detector/detections",
                self._take_detections,
                results(),
                qos_overriding_options=OVERRIDABLE,
            ),
            self.create_subscription(ActionArray, "action/actions", self._take_actions, results()),
        ]
        # Steady time, also for patience: simulated time stands still and jumps back.
        self._retry_timer = self.create_timer(
            _RETRY_PERIOD, self._try_waiting, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._target_ticks = TickGrid(float(self.parameters["target_rate"]))

    def deactivate(self) -> None:
        """Take nothing more, forget the targets."""
        if self._retry_timer is not None:
            self.destroy_timer(self._retry_timer)
            self._retry_timer = None
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs = []
        for source in (self._vehicle, self._camera):
            if source is not None:
                source.close()
        self._vehicle = self._camera = self._locator = self._locator_key = None
        self._waiting.clear()
        self._filter.reset()

    def cleanup(self) -> None:
        """Take the publishers away."""
        for publisher in self._outputs.values():
            self.destroy_publisher(publisher)
        self._outputs = {}
        self._terrain = None

    def parameter_changed(self, name: str, value: Value) -> None:
        """The chosen target changes with the next image."""
        if name == "target_rate":
            self._target_ticks = TickGrid(float(value))

    def health(self) -> Health:
        """Rate, refusals by reason, jumps of the state."""
        summary = self._statistics.summary(time.monotonic())
        values = {
            "rate_hz": summary.rate,
            "latency_p50_ms": summary.latency_p50 * 1e3,
            "latency_p99_ms": summary.latency_p99 * 1e3,
            "stamp_age_ms": summary.age * 1e3,
            "vehicle": self.parameters["vehicle"],
            "method": self.parameters["method"],
            **{f"refused_{reason}": count for reason, count in sorted(self._refused.items())},
            **self._vehicle.counts(),
            **{f"filter_{reason}": count for reason, count in sorted(self._filter.restarts.items())},
        }
        if self._camera.problem:
            return Health(ERROR, self._camera.problem, values)
        if self._problem:
            return Health(WARN, self._problem, values)
        return Health(OK, "active", values)

    def _take_actions(self, message: ActionArray) -> None:
        stamp_ns = conversions.from_time(message.header.stamp)
        self._actions = {t: entry for t, entry in self._actions.items() if abs(stamp_ns - entry[0]) <= _ACTION_LIFE_NS}
        self._actions.update(
            {label.track_id: (stamp_ns, label.label) for label in message.actions if label.track_id >= 0}
        )

    def _take_detections(self, message: DetectionArray) -> None:
        if len(self._waiting) == _MOST_WAITING:
            text = f"More than {_MOST_WAITING} messages of detections wait for the vehicle's state."
            self._refuse_all(self._waiting.popleft(), StateError("overtaken", text))
        self._waiting.append(_Waiting(message, time.monotonic()))
        self._try_waiting()

    def _try_waiting(self) -> None:
        """Place the waiting detections in their order, as far as the vehicle's state has come."""
        while self._waiting:
            waiting = self._waiting[0]
            patience = time.monotonic() - waiting.received < self.parameters["max_state_wait"]
            try:
                state = self._state(waiting.message)
            except StateError as error:
                if error.reason in ("stale", "missing") and patience:
                    return
                self._waiting.popleft()
                self._refuse_all(waiting, error)
            else:
                self._waiting.popleft()
                self._place(waiting, state)

    def _state(self, message: DetectionArray) -> VehicleState:
        stamp_ns = conversions.from_time(message.header.stamp)
        height_matters = self.parameters["method"] == "height_above_ground"
        return self._vehicle.at(stamp_ns, message.header.frame_id, height_matters)

    def _place(self, waiting: _Waiting, state: VehicleState) -> None:
        message = waiting.message
        detections = conversions.from_detection_array(message)
        try:
            located = self._geolocator(message).locate(detections.boxes, detections.class_ids.tolist(), state)
        except FlightError as error:
            self._refuse_all(waiting, error)
            return
        self._refused.update(located.refusals)
        self._said("")
        stamp_ns = conversions.from_time(message.header.stamp)
        tracked = {
            detection.track_id: place
            for detection, place in zip(message.detections, located.places, strict=True)
            if place is not None and detection.track_id >= 0
        }
        estimates = self._filter.update(tracked, stamp_ns, state.epoch)
        targets = []
        for detection, place in zip(message.detections, located.places, strict=True):
            if place is None:
                continue
            estimate = estimates.get(detection.track_id)
            position, covariance, velocity = place.position, place.covariance, np.zeros(3)
            if estimate is not None:
                position, covariance, velocity = estimate.position, estimate.covariance, estimate.velocity
            targets.append(self._target(detection, position, covariance, velocity, state))
        self._publish(waiting, targets, len(message.detections) - len(targets))

    def _target(
        self, detection: object, position: np.ndarray, covariance: np.ndarray, velocity: np.ndarray, state: VehicleState
    ) -> GeoTarget:
        latitude = longitude = altitude = math.nan
        if state.origin is not None:
            latitude, longitude, altitude = to_wgs84(state.origin, position)
        stamp, action = self._actions.get(detection.track_id, (0, ""))
        return GeoTarget(
            track_id=detection.track_id,
            class_id=detection.class_id,
            class_name=detection.class_name,
            score=detection.score,
            action=action if abs(state.stamp_ns - stamp) <= _ACTION_LIFE_NS else "",
            position=Point(x=float(position[0]), y=float(position[1]), z=float(position[2])),
            position_covariance=covariance.reshape(9),
            latitude=latitude,
            longitude=longitude,
            altitude=altitude,
            error_radius=error_radius(covariance),
            velocity=Vector3(x=float(velocity[0]), y=float(velocity[1]), z=float(velocity[2])),
        )

    def _geolocator(self, message: DetectionArray) -> Geolocator:
        camera = self._camera.for_image(message.image_width, message.image_height)
        self._class_names.update({d.class_id: d.class_name for d in message.detections})
        names = tuple(sorted(self._class_names.items()))
        if self._locator_key is None or self._locator_key[0] is not camera or self._locator_key[1] != names:
            heights = {i: self._heights[name] for i, name in names if name in self._heights}
            options = geolocation_options(self.parameters, heights)
            self._locator = Geolocator(camera, camera_mount(self.parameters), options, self._terrain)
            self._locator_key = (camera, names)
        return self._locator

    def _refuse_all(self, waiting: _Waiting, error: FlightError) -> None:
        count = len(waiting.message.detections)
        self._refused[getattr(error, "reason", "camera")] += max(count, 1)
        self._said(str(error))
        self._publish(waiting, [], count)

    def _said(self, problem: str) -> None:
        """Log a problem when it begins, not at every image."""
        if problem and not self._problem:
            self.get_logger().warning(f"detections cannot be placed: {problem}")
        self._problem = problem

    def _publish(self, waiting: _Waiting, targets: list[GeoTarget], refused: int) -> None:
        stamp = waiting.message.header.stamp
        message = GeoTargetArray(method=self.parameters["method"], refused=refused, targets=targets)
        message.header.stamp, message.header.frame_id = stamp, str(self.parameters["map_frame"])
        if publish(self._outputs["targets"], message, self):
            now = time.monotonic()
            age = (self.get_clock().now().nanoseconds - conversions.from_time(stamp)) / 1e9
            self._statistics.record(now, now - waiting.received, age)
        self._republish_chosen(message)

    def _republish_chosen(self, message: GeoTargetArray) -> None:
        chosen = [t for t in message.targets if t.track_id == self.parameters["target_track"] and t.track_id >= 0]
        if chosen and self._target_ticks.due(conversions.from_time(message.header.stamp)):
            pose = PoseStamped(header=message.header)
            pose.pose.position = chosen[0].position
            pose.pose.orientation.w = 1.0
            publish(self._outputs["target_pose"], pose, self)
