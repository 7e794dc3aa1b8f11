"""Places on the ground from a recorded flight: the vehicle's state from the bag, the node's own geolocator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from uav_perception.evaluation.bag import messages, opened
from uav_perception.evaluation.geolocation import PlacedTargets
from uav_perception.evaluation.overlap import overlaps
from uav_perception.evaluation.record import ImageRecord
from uav_perception.flight.buffer import BufferOptions, StateBuffer
from uav_perception.flight.camera import CameraModel
from uav_perception.flight.errors import FlightError, StateError
from uav_perception.flight.geolocation import Geolocator, Mount
from uav_perception.flight.mavros import pose_from_odometry
from uav_perception.flight.state import GimbalSample

ODOMETRY, CAMERA_INFO, ATTITUDE = (
    "nav_msgs/msg/Odometry",
    "sensor_msgs/msg/CameraInfo",
    "geometry_msgs/msg/QuaternionStamped",
)
_MATCH = 0.5
_LEAST_SCORE = 0.3
_WHOLE_FLIGHT_S = 1e6


@dataclass(frozen=True)
class Vehicle:
    """What a bag tells about the vehicle.

    Attributes:
        states: of the whole flight.
        camera: its calibration.
        mount: with a gimbal where its attitude was recorded.
    """

    states: StateBuffer
    camera: CameraModel
    mount: Mount


def read_vehicle(path: Path, topics: Mapping[str, str]) -> Vehicle | None:
    """Read the vehicle's pose, the gimbal's attitude and the camera's calibration.

    Args:
        path: the bag.
        topics: message type by topic of the bag.

    Returns:
        None when there is no odometry or no calibration.

    Raises:
        RecordingError: the bag is damaged.
        FlightError: the calibration cannot be used.
    """
    wanted = {
        kind: next((t for t, k in sorted(topics.items()) if k == kind), None)
        for kind in (ODOMETRY, CAMERA_INFO, ATTITUDE)
    }
    if wanted[ODOMETRY] is None or wanted[CAMERA_INFO] is None:
        return None
    states = StateBuffer(BufferOptions(keep_s=_WHOLE_FLIGHT_S))
    camera: CameraModel | None = None
    with opened(path) as reader:
        connections = [c for c in reader.connections if c.topic in wanted.values()]
        for connection, _, data in messages(reader, connections, path):
            if connection.msgtype == CAMERA_INFO and camera is not None:
                continue
            message = reader.deserialize(data, connection.msgtype)
            stamp = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
            if connection.msgtype == CAMERA_INFO:
                camera = CameraModel.from_camera_info(
                    message.width, message.height, message.k, message.d, message.distortion_model
                )
            elif connection.msgtype == ODOMETRY:
                pose, speed = message.pose, message.twist.twist.linear
                states.add_pose(
                    pose_from_odometry(
                        stamp,
                        _xyz(pose.pose.position),
                        _xyzw(pose.pose.orientation),
                        pose.covariance,
                        _xyz(speed),
                    )
                )
            else:
                states.add_gimbal(GimbalSample(stamp, np.array(_xyzw(message.quaternion)), "map"))
    if camera is None:
        return None
    return Vehicle(states, camera, Mount(gimbal=wanted[ATTITUDE] is not None))


def _xyz(vector: object) -> tuple[float, float, float]:
    return vector.x, vector.y, vector.z


def _xyzw(quaternion: object) -> tuple[float, float, float, float]:
    return quaternion.x, quaternion.y, quaternion.z, quaternion.w


def place_tracks(
    images: Sequence[ImageRecord],
    positions: Mapping[int, Mapping[int, tuple[float, float, float]]],
    vehicle: Vehicle,
) -> tuple[PlacedTargets, dict[str, int]]:
    """Place every sure track that covers a true object by half or more, beside the object's true place.

    Args:
        images: with tracks and truth.
        positions: true places by stamp and track id: east, north, up [m].
        vehicle: from :func:`read_vehicle`.

    Returns:
        The targets, and how many were refused by reason.

    Raises:
        FlightError: the calibration is of images of another shape.
    """
    width, height = next(((t.width, t.height) for t in (i.truth for i in images) if t is not None and t.width), (0, 0))
    camera = vehicle.camera.for_image(width, height) if width else vehicle.camera
    locator = Geolocator(camera, vehicle.mount)
    estimates, truths, covariances = [], [], []
    refused: dict[str, int] = {}
    for image in images:
        true = positions.get(image.stamp_ns)
        if true is None or image.truth is None or image.tracks is None:
            continue
        tracks = image.tracks[(image.tracks.track_ids >= 0) & (image.tracks.scores >= _LEAST_SCORE)]
        shares = overlaps(tracks.boxes, image.truth.boxes)
        try:
            state = vehicle.states.at(image.stamp_ns)
            places = locator.locate(tracks.boxes, tracks.class_ids.tolist(), state).places
        except StateError as error:
            refused[error.reason] = refused.get(error.reason, 0) + len(tracks)
            continue
        for place, row in zip(places, shares, strict=True):
            actor = int(image.truth.track_ids[np.argmax(row)]) if row.max(initial=0.0) >= _MATCH else -1
            if place is None:
                refused["not placed"] = refused.get("not placed", 0) + 1
            elif actor in true:
                estimates.append(place.position[:2])
                truths.append(true[actor][:2])
                covariances.append(place.covariance[:2, :2])
    return PlacedTargets(estimates, truths, covariances), refused


def placed_in(
    path: Path,
    topics: Mapping[str, str],
    images: Sequence[ImageRecord],
    positions: Mapping[int, Mapping[int, tuple[float, float, float]]],
) -> tuple[PlacedTargets, list[str]]:
    """The placed targets of a bag with true positions, and what a reader of the numbers should know."""
    nothing = PlacedTargets.joined([])
    if not positions or not any(image.tracks is not None for image in images):
        return nothing, []
    try:
        vehicle = read_vehicle(path, topics)
        if vehicle is None:
            return nothing, [f"there are true positions, but no {ODOMETRY} or {CAMERA_INFO} to place detections with"]
        placed, refused = place_tracks(images, positions, vehicle)
    except FlightError as error:
        return nothing, [f"detections were not placed on the ground: {error}"]
    lines = [f"{count} tracks were not placed on the ground: {reason}" for reason, count in sorted(refused.items())]
    return placed, lines
