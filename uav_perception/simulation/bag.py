"""Writing simulated flights as rosbag2 bags: camera, MAVROS's topics, and the truth."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from json import dumps
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pymap3d
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from uav_perception.frames.typestore import typestore
from uav_perception.provenance import versions
from uav_perception.simulation.camera import CameraPose, Pinhole
from uav_perception.simulation.classes import ACTION_CLASSES, DETECTION_CLASSES
from uav_perception.simulation.drone import DroneState
from uav_perception.simulation.errors import SimulationError
from uav_perception.simulation.flight import LEAD_IN, Flight, FlightFrame

HOME = (47.397742, 8.545594, 488.0)  # latitude [deg], longitude [deg], height above the WGS84 ellipsoid [m]
START_NS = 1_750_000_000_000_000_000  # stamp of the first image; fixed, so that bags do not depend on the clock
STATE_RATE = 50.0  # [Hz]
MAP_FRAME, BODY_FRAME, CAMERA_FRAME = "map", "base_link", "camera_optical_frame"
STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
IMAGES = ("raw", "jpeg")
JPEG_QUALITY = 85
TRUTH_MODEL = "ground_truth"


@dataclass(frozen=True)
class Sample:
    """One message to be written: topic, type, stamp, content."""

    topic: str
    msgtype: str
    stamp_ns: int
    message: Any


class _Messages:
    """Builds messages of the type store; short names for what is used often."""

    def __init__(self) -> None:
        self.types = typestore().types

    def make(self, msgtype: str, **fields: Any) -> Any:
        return self.types[msgtype](**fields)

    def time(self, stamp_ns: int) -> Any:
        seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
        return self.make("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        return self.make("std_msgs/msg/Header", stamp=self.time(stamp_ns), frame_id=frame_id)

    def vector(self, values: np.ndarray) -> Any:
        x, y, z = (float(v) for v in values)
        return self.make("geometry_msgs/msg/Vector3", x=x, y=y, z=z)

    def point(self, values: np.ndarray) -> Any:
        x, y, z = (float(v) for v in values)
        return self.make("geometry_msgs/msg/Point", x=x, y=y, z=z)

    def quaternion(self, rotation: np.ndarray) -> Any:
        x, y, z, w = (float(v) for v in Rotation.from_matrix(rotation).as_quat())
        return self.make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)

    def pose(self, position: np.ndarray, rotation: np.ndarray) -> Any:
        return self.make("geometry_msgs/msg/Pose", position=self.point(position), orientation=self.quaternion(rotation))


def camera_info(camera: Pinhole, stamp_ns: int, make: _Messages) -> Any:
    """sensor_msgs/CameraInfo of an ideal camera.

    Its pixels are OpenCV's, whole numbers in the middles of pixels, so the principal point is (width - 1) / 2 there and
    width / 2 in the edges that boxes are given in.
    """
    k = camera.matrix - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
    roi = make.make("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return make.make(
        "sensor_msgs/msg/CameraInfo",
        header=make.header(stamp_ns, CAMERA_FRAME),
        height=camera.height,
        width=camera.width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=k.reshape(-1),
        r=np.eye(3).reshape(-1),
        p=np.hstack([k, np.zeros((3, 1))]).reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def image_sample(image: np.ndarray, stamp_ns: int, encoding: str, make: _Messages) -> Sample:
    """The image as sensor_msgs/Image (bgr8) or as CompressedImage (JPEG)."""
    header = make.header(stamp_ns, CAMERA_FRAME)
    if encoding == "jpeg":
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        message = make.make("sensor_msgs/msg/CompressedImage", header=header, format="jpeg", data=data.reshape(-1))
        return Sample("/camera/image_raw/compressed", "sensor_msgs/msg/CompressedImage", stamp_ns, message)
    height, width = image.shape[:2]
    message = make.make(
        "sensor_msgs/msg/Image",
        header=header,
        height=height,
        width=width,
        encoding="bgr8",
        is_bigendian=0,
        step=3 * width,
        data=np.ascontiguousarray(image).reshape(-1),
    )
    return Sample("/camera/image_raw", "sensor_msgs/msg/Image", stamp_ns, message)


def state_samples(state: DroneState, camera: CameraPose, stamp_ns: int, make: _Messages) -> Iterator[Sample]:
    """What MAVROS publishes about the vehicle, in its conventions (map ENU, body FLU), and the gimbal's attitude."""
    header = make.header(stamp_ns, MAP_FRAME)
    pose = make.pose(state.position, state.rotation)
    yield Sample(
        "/mavros/local_position/pose",
        "geometry_msgs/msg/PoseStamped",
        stamp_ns,
        make.make("geometry_msgs/msg/PoseStamped", header=header, pose=pose),
    )
    # The twist of nav_msgs/Odometry is in the child frame: the body's.
    twist = make.make(
        "geometry_msgs/msg/Twist",
        linear=make.vector(state.rotation.T @ state.velocity),
        angular=make.vector(state.angular_velocity),
    )
    yield Sample(
        "/mavros/local_position/odom",
        "nav_msgs/msg/Odometry",
        stamp_ns,
        make.make(
            "nav_msgs/msg/Odometry",
            header=header,
            child_frame_id=BODY_FRAME,
            pose=make.make("geometry_msgs/msg/PoseWithCovariance", pose=pose, covariance=np.zeros(36)),
            twist=make.make("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=np.zeros(36)),
        ),
    )
    yield Sample(
        "/mavros/imu/data",
        "sensor_msgs/msg/Imu",
        stamp_ns,
        make.make(
            "sensor_msgs/msg/Imu",
            header=make.header(stamp_ns, BODY_FRAME),
            orientation=make.quaternion(state.rotation),
            orientation_covariance=np.zeros(9),
            angular_velocity=make.vector(state.angular_velocity),
            angular_velocity_covariance=np.zeros(9),
            linear_acceleration=make.vector(state.specific_force),
            linear_acceleration_covariance=np.zeros(9),
        ),
    )
    latitude, longitude, altitude = (float(v) for v in pymap3d.enu2geodetic(*state.position, *HOME))
    fix = make.make("sensor_msgs/msg/NavSatStatus", status=0, service=1)
    yield Sample(
        "/mavros/global_position/global",
        "sensor_msgs/msg/NavSatFix",
        stamp_ns,
        make.make(
            "sensor_msgs/msg/NavSatFix",
            header=make.header(stamp_ns, BODY_FRAME),
            status=fix,
            latitude=latitude,
            longitude=longitude,
            altitude=altitude,
            position_covariance=np.zeros(9),
            position_covariance_type=0,
        ),
    )
    yield Sample(
        "/mavros/global_position/rel_alt",
        "std_msgs/msg/Float64",
        stamp_ns,
        make.make("std_msgs/msg/Float64", data=float(state.position[2])),
    )
    yield Sample(
        "/gimbal/attitude",
        "geometry_msgs/msg/QuaternionStamped",
        stamp_ns,
        make.make("geometry_msgs/msg/QuaternionStamped", header=header, quaternion=make.quaternion(camera.rotation)),
    )


def _detections(frame: FlightFrame, camera: Pinhole, stamp_ns: int, make: _Messages) -> Any:
    detections = [
        make.make(
            "uav_perception/msg/Detection",
            class_id=seen.class_id,
            class_name=DETECTION_CLASSES[seen.class_id],
            score=1.0 if seen.evaluated else 0.0,
            x_min=float(seen.box[0]),
            y_min=float(seen.box[1]),
            x_max=float(seen.box[2]),
            y_max=float(seen.box[3]),
            track_id=seen.entity,
            velocity_x=0.0,
            velocity_y=0.0,
        )
        for seen in sorted(frame.objects, key=lambda seen: not seen.evaluated)
    ]
    return make.make(
        "uav_perception/msg/DetectionArray",
        header=make.header(stamp_ns, CAMERA_FRAME),
        image_width=camera.width,
        image_height=camera.height,
        model=TRUTH_MODEL,
        detections=detections,
    )


def _action_label(scope: int, track_id: int, label: str, stamp_ns: int, make: _Messages) -> Any:
    score = make.make(
        "uav_perception/msg/ActionScore", class_id=ACTION_CLASSES.index(label), class_name=label, score=1.0
    )
    return make.make(
        "uav_perception/msg/ActionLabel",
        scope=scope,
        track_id=track_id,
        label=label,
        score=1.0,
        scores=[score],
        window_start=make.time(stamp_ns),
        window_end=make.time(stamp_ns),
        segments=0,
    )


def _actions(frame: FlightFrame, stamp_ns: int, make: _Messages) -> Any:
    labels = [_action_label(0, -1, frame.action, stamp_ns, make)]
    for seen in frame.objects:
        action = frame.states[seen.entity].action
        if action:
            labels.append(_action_label(1, seen.entity, action, stamp_ns, make))
    return make.make(
        "uav_perception/msg/ActionArray",
        header=make.header(stamp_ns, CAMERA_FRAME),
        model=TRUTH_MODEL,
        actions=labels,
    )


def _targets(frame: FlightFrame, stamp_ns: int, make: _Messages) -> Any:
    targets = []
    for seen in frame.objects:
        state = frame.states[seen.entity]
        latitude, longitude, altitude = (float(v) for v in pymap3d.enu2geodetic(*state.position, *HOME))
        targets.append(
            make.make(
                "uav_perception/msg/GeoTarget",
                track_id=seen.entity,
                class_id=seen.class_id,
                class_name=DETECTION_CLASSES[seen.class_id],
                score=1.0 if seen.evaluated else 0.0,
                action=state.action,
                position=make.point(state.position),
                position_covariance=np.zeros(9),
                latitude=latitude,
                longitude=longitude,
                altitude=altitude,
                error_radius=0.0,
                velocity=make.vector(state.velocity),
            )
        )
    return make.make(
        "uav_perception/msg/GeoTargetArray",
        header=make.header(stamp_ns, MAP_FRAME),
        method="flat_plane",
        refused=0,
        targets=targets,
    )


def frame_samples(frame: FlightFrame, flight: Flight, encoding: str, make: _Messages) -> Iterator[Sample]:
    """Image, CameraInfo and truth of one frame, all with the image's stamp."""
    stamp_ns = START_NS + round(frame.t * 1e9)
    yield image_sample(frame.image, stamp_ns, encoding, make)
    info = camera_info(flight.camera, stamp_ns, make)
    yield Sample("/camera/camera_info", "sensor_msgs/msg/CameraInfo", stamp_ns, info)
    detections = _detections(frame, flight.camera, stamp_ns, make)
    yield Sample("/ground_truth/detections", "uav_perception/msg/DetectionArray", stamp_ns, detections)
    actions = _actions(frame, stamp_ns, make)
    yield Sample("/ground_truth/actions", "uav_perception/msg/ActionArray", stamp_ns, actions)
    targets = _targets(frame, stamp_ns, make)
    yield Sample("/ground_truth/targets", "uav_perception/msg/GeoTargetArray", stamp_ns, targets)


def _static_transform(flight: Flight, make: _Messages) -> Iterator[Sample]:
    """tf from the body to a fixed camera; a gimbal has no constant one."""
    if flight.mount_rotation is None:
        return
    transform = make.make(
        "geometry_msgs/msg/TransformStamped",
        header=make.header(START_NS - round(LEAD_IN * 1e9), BODY_FRAME),
        child_frame_id=CAMERA_FRAME,
        transform=make.make(
            "geometry_msgs/msg/Transform",
            translation=make.vector(np.zeros(3)),
            rotation=make.quaternion(flight.mount_rotation),
        ),
    )
    message = make.make("tf2_msgs/msg/TFMessage", transforms=[transform])
    yield Sample("/tf_static", "tf2_msgs/msg/TFMessage", START_NS - round(LEAD_IN * 1e9), message)


def flight_samples(flight: Flight, encoding: str, state_rate: float = STATE_RATE) -> Iterator[Sample]:
    """All messages of a flight in the order of their stamps.

    Args:
        flight: what to fly.
        encoding: "raw" or "jpeg".
        state_rate: messages per second on MAVROS's topics and of the gimbal [Hz].
    """
    make = _Messages()
    yield from _static_transform(flight, make)
    last = float(flight.frame_times[-1]) + LEAD_IN
    ticks = iter(np.arange(-LEAD_IN, last + 1e-9, 1 / state_rate))
    tick = next(ticks, None)
    for frame in flight.frames():
        while tick is not None and tick <= frame.t:
            yield from state_samples(flight.drone(tick), flight.camera_pose(tick), START_NS + round(tick * 1e9), make)
            tick = next(ticks, None)
        yield from frame_samples(frame, flight, encoding, make)
    while tick is not None:
        yield from state_samples(flight.drone(tick), flight.camera_pose(tick), START_NS + round(tick * 1e9), make)
        tick = next(ticks, None)


def _qos(topic: str) -> Qos:
    """Sensor topics as their drivers offer them (best effort); tf_static latched; the truth reliable."""
    sensor = topic.startswith(("/camera", "/mavros", "/gimbal"))
    latched = topic == "/tf_static"
    forever = QosTime(9223372036, 854775807)
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if latched else 10,
        reliability=QosReliability.BEST_EFFORT if sensor else QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=forever,
        lifespan=forever,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=forever,
        avoid_ros_namespace_conventions=False,
    )


@contextmanager
def _removed_on_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def write_bag(
    folder: str | Path, flight: Flight, storage: str = "mcap", encoding: str = "jpeg", state_rate: float = STATE_RATE
) -> dict[str, int]:
    """Draw a flight into a rosbag2 folder that ``ros2 bag play`` and rosbags read.

    Args:
        folder: of the new bag; must not exist.
        flight: what to fly.
        storage: "mcap" or "sqlite3".
        encoding: "raw" (sensor_msgs/Image) or "jpeg" (CompressedImage).
        state_rate: of MAVROS's topics [Hz].

    Returns:
        Number of messages by topic.

    Raises:
        SimulationError: the folder exists, unknown storage or encoding, or an impossible rate.
    """
    folder = Path(folder)
    if storage not in STORAGES:
        raise SimulationError(f"Unknown storage {storage!r}; it must be one of {', '.join(STORAGES)}.")
    if encoding not in IMAGES:
        raise SimulationError(f"Unknown image encoding {encoding!r}; it must be one of {', '.join(IMAGES)}.")
    if not 0 < state_rate <= 1000:
        raise SimulationError(f"The rate of the vehicle's state lies above 0 and up to 1000 Hz, got {state_rate:g}.")
    if folder.exists():
        raise SimulationError(f"{folder} exists; choose another name or remove it.")
    store, counts = typestore(), {}
    # The file inside takes the folder's name, so the unfinished bag lies in a folder of its own until it is complete.
    workshop = folder.with_name(f".{folder.name}.part")
    if workshop.exists():
        raise SimulationError(f"{workshop} is left from a run that was broken off, or one is still writing; remove it.")
    # Version 8 is what every distribution from Humble on reads.
    writer = Writer(workshop / folder.name, version=8, storage_plugin=STORAGES[storage])
    writer.set_custom_data("simulation", dumps(asdict(flight.config)))
    writer.set_custom_data("versions", dumps(versions()))
    if storage == "mcap":
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    connections: dict[str, Any] = {}
    with (
        _removed_on_error(workshop),
        writer,
        tqdm(total=len(flight.frame_times), unit=" images", dynamic_ncols=True) as bar,
    ):
        for sample in flight_samples(flight, encoding, state_rate):
            if sample.topic not in connections:
                connections[sample.topic] = writer.add_connection(
                    sample.topic, sample.msgtype, typestore=store, offered_qos_profiles=[_qos(sample.topic)]
                )
            writer.write(
                connections[sample.topic], sample.stamp_ns, store.serialize_cdr(sample.message, sample.msgtype)
            )
            counts[sample.topic] = counts.get(sample.topic, 0) + 1
            bar.update(sample.topic.startswith("/camera/image_raw"))
    (workshop / folder.name).rename(folder)
    workshop.rmdir()
    return counts
