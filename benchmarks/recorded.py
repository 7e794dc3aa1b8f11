"""Simulated flights for the benchmarks: the standard set, flown in memory, and what the bag of one holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from uav_perception.evaluation.bag import messages, opened
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.flight import mavros
from uav_perception.flight.buffer import BufferOptions, StateBuffer
from uav_perception.flight.camera import CameraModel
from uav_perception.flight.geolocation import Mount
from uav_perception.flight.rotations import from_matrix, matrix
from uav_perception.flight.state import GimbalSample
from uav_perception.frames.convert import frame_from_message
from uav_perception.inference.detections import Detections
from uav_perception.simulation.flight import LEAD_IN, Flight, FlightConfig, FlightFrame

# Every path with a gimbal and with a fixed camera; the fixed ones look 45 degrees down.
STANDARD = {
    f"{path}_{mount}": {"path": path, "mount": mount, "altitude": altitude}
    for path, altitude in (("hover", 25.0), ("orbit", 25.0), ("fast", 25.0), ("low", 12.0), ("high", 60.0))
    for mount in ("gimbal", "fixed")
}


@dataclass(frozen=True)
class RecordedImage:
    """One image of a flight with its truth.

    Attributes:
        stamp_ns: [ns].
        truth: boxes of all objects, those that nobody can be expected to find marked as ignored.
        places: east, north, up of every object by track id [m].
        picture: the image, or its message that is not decoded yet; None when only the truth is there.
    """

    stamp_ns: int
    truth: ImageTruth
    places: dict[int, np.ndarray]
    picture: object | None

    @property
    def pixels(self) -> np.ndarray:
        """The decoded image, uint8 BGR."""
        return self.picture if isinstance(self.picture, np.ndarray) else frame_from_message(self.picture).image

    def detections(self) -> Detections:
        """What a faultless detector would find: the truth without the ignored, scores 1."""
        seen = self.truth[~self.truth.ignored]
        return Detections(seen.boxes, np.ones(len(seen)), seen.class_ids, seen.track_ids)


@dataclass(frozen=True)
class RecordedFlight:
    """A flight read from a bag.

    Attributes:
        name: of the bag.
        camera: from CameraInfo.
        mount: of the camera; a fixed one from tf.
        state: filled with the whole flight.
        images: in order.
    """

    name: str
    camera: CameraModel
    mount: Mount
    state: StateBuffer
    images: list[RecordedImage]


def flights(
    bags: Sequence[Path], images: bool, seconds: float, rate: float, seed: int, kinds: Sequence[str] = ()
) -> Iterator[RecordedFlight]:
    """The flights of a benchmark, one after the other.

    Args:
        bags: of `uav-perception simulate flight`; the standard set is flown when there are none.
        images: have them too; the truth alone costs a fraction.
        seconds: duration of a flight of the standard set [s].
        rate: its images per second [Hz].
        seed: of its first flight.
        kinds: names out of `STANDARD`; all by default.
    """
    for bag in tqdm(bags, unit="flight"):
        yield read_flight(bag, images)
    chosen = [] if bags else [(i, name) for i, name in enumerate(STANDARD) if not kinds or name in kinds]
    for i, name in tqdm(chosen, unit="flight"):
        yield fly(name, FlightConfig(seed=seed + i, seconds=seconds, rate=rate, **STANDARD[name]), images)


def fly(name: str, config: FlightConfig, images: bool) -> RecordedFlight:
    """Simulate a flight in memory. The state comes 50 times a second, as MAVROS sends it."""
    flight = Flight(config)
    state = StateBuffer(BufferOptions(keep_s=1e6))
    for t in np.arange(-LEAD_IN, config.seconds + LEAD_IN, 0.02):
        drone, stamp = flight.drone(t), round((t + LEAD_IN) * 1e9)
        orientation, velocity = from_matrix(drone.rotation), drone.rotation.T @ drone.velocity
        state.add_pose(mavros.pose_from_odometry(stamp, drone.position, orientation, None, velocity))
        state.add_gimbal(GimbalSample(stamp, from_matrix(flight.camera_pose(t).rotation)))
    size = (flight.camera.width, flight.camera.height)
    # The simulation counts pixels from edges, a CameraInfo from the middle of the first pixel.
    intrinsics = flight.camera.matrix - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    mount = Mount(gimbal=True) if flight.mount_rotation is None else Mount.fixed(flight.mount_rotation, np.zeros(3))
    recorded = [_recorded(frame, size) for frame in flight.frames(images)]
    return RecordedFlight(name, CameraModel(*size, intrinsics), mount, state, recorded)


def _recorded(frame: FlightFrame, size: tuple[int, int]) -> RecordedImage:
    truth = ImageTruth(
        np.array([seen.box for seen in frame.objects], float),
        np.array([seen.class_id for seen in frame.objects]),
        ignored=np.array([not seen.evaluated for seen in frame.objects], bool),
        width=size[0],
        height=size[1],
        track_ids=np.array([seen.entity for seen in frame.objects]),
    )
    places = {seen.entity: np.array(frame.states[seen.entity].position) for seen in frame.objects}
    return RecordedImage(round((frame.t + LEAD_IN) * 1e9), truth, places, frame.image)


def read_flight(path: Path, images: bool) -> RecordedFlight:
    """Read a simulated flight.

    Args:
        path: the bag.
        images: keep the encoded images too.
    """
    state = StateBuffer(BufferOptions(keep_s=1e6))
    found: dict[str, dict[int, object]] = {}
    camera, mount = None, Mount(gimbal=True)
    for topic, message in _messages(path, images):
        if topic == "/mavros/local_position/odom":
            pose, twist = message.pose.pose, message.twist.twist
            state.add_pose(
                mavros.pose_from_odometry(
                    _stamp(message), _xyz(pose.position), _xyzw(pose.orientation), None, _xyz(twist.linear)
                )
            )
        elif topic == "/gimbal/attitude":
            state.add_gimbal(GimbalSample(_stamp(message), _xyzw(message.quaternion)))
        elif topic == "/camera/camera_info" and camera is None:
            camera = CameraModel.from_camera_info(
                message.width, message.height, message.k, message.d, message.distortion_model
            )
        elif topic == "/tf_static":
            transform = message.transforms[0].transform
            mount = Mount.fixed(matrix(_xyzw(transform.rotation)), _xyz(transform.translation))
        else:
            found.setdefault(topic, {})[_stamp(message)] = message
    pictures = found.get("/camera/image_raw/compressed") or found.get("/camera/image_raw") or {}
    recorded = [
        RecordedImage(
            stamp,
            _truth(detections),
            {target.track_id: _xyz(target.position) for target in found["/ground_truth/targets"][stamp].targets},
            pictures.get(stamp),
        )
        for stamp, detections in sorted(found["/ground_truth/detections"].items())
    ]
    return RecordedFlight(path.name, camera, mount, state, recorded)


def _messages(path: Path, images: bool) -> Iterator[tuple[str, object]]:
    wanted = {"/mavros/local_position/odom", "/gimbal/attitude", "/camera/camera_info", "/tf_static",
              "/ground_truth/detections", "/ground_truth/targets"}  # fmt: skip
    if images:
        wanted |= {"/camera/image_raw", "/camera/image_raw/compressed"}
    with opened(path) as reader:
        connections = [connection for connection in reader.connections if connection.topic in wanted]
        for connection, _, data in messages(reader, connections, path):
            yield connection.topic, reader.deserialize(data, connection.msgtype)


def _truth(message: object) -> ImageTruth:
    rows = message.detections
    return ImageTruth(
        np.array([[row.x_min, row.y_min, row.x_max, row.y_max] for row in rows]),
        np.array([row.class_id for row in rows]),
        ignored=np.array([row.score == 0.0 for row in rows], bool),
        width=message.image_width,
        height=message.image_height,
        track_ids=np.array([row.track_id for row in rows]),
    )


def _stamp(message: object) -> int:
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


def _xyz(vector: object) -> np.ndarray:
    return np.array([vector.x, vector.y, vector.z])


def _xyzw(quaternion: object) -> np.ndarray:
    return np.array([quaternion.x, quaternion.y, quaternion.z, quaternion.w])
