"""Places on the ground from a recorded flight: the vehicle's state from the bag, the node's own geolocator."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rosbags.highlevel import AnyReaderError

from uav_perception.evaluation.bag import messages, opened, what_is_undefined
from uav_perception.evaluation.geolocation import PlacedTargets
from uav_perception.evaluation.overlap import overlaps
from uav_perception.evaluation.record import ImageRecord
from uav_perception.evaluation.truth_table import nearest_stamps
from uav_perception.evaluation.vehicle_topics import (
    CAMERA_INFO,
    ODOMETRY,
    PX4_ODOMETRY,
    fixed_mount,
    gimbal_of,
    pose_of,
    vehicle_topics,
)
from uav_perception.flight.buffer import StateBuffer
from uav_perception.flight.camera import CameraModel
from uav_perception.flight.errors import FlightError, StateError
from uav_perception.flight.geolocation import OBJECT_HEIGHTS, GeolocationOptions, Geolocator, Mount
from uav_perception.flight.state import GimbalSample, PoseSample, VehicleState

_MATCH = 0.5
_LEAST_SCORE = 0.3
_AHEAD_NS = 500_000_000  # how far the poses may run ahead of an image while its gimbal's attitude is waited for


@dataclass(frozen=True)
class Vehicle:
    """What a bag tells about the vehicle.

    Attributes:
        samples: poses and attitudes of the gimbal, in order of recording.
        camera: its calibration.
        mount: with a gimbal where its attitude was recorded.
        warnings: what a reader of the numbers should know.
    """

    samples: tuple[PoseSample | GimbalSample, ...]
    camera: CameraModel
    mount: Mount
    warnings: tuple[str, ...] = ()


def read_vehicle(path: Path, topics: Mapping[str, str], image_topic: str) -> Vehicle | None:
    """Read the vehicle's pose, how the camera was turned, and the camera's calibration.

    Args:
        path: the bag.
        topics: message type by topic of the bag.
        image_topic: of the images that were evaluated.

    Returns:
        None when there is no pose or no calibration.

    Raises:
        RecordingError: the bag is damaged.
        FlightError: the calibration cannot be used, or the bag does not define a message.
    """
    chosen = vehicle_topics(topics, image_topic)
    if chosen.pose is None or chosen.camera_info is None:
        return None
    samples: list[PoseSample | GimbalSample] = []
    camera: CameraModel | None = None
    camera_frame, transforms, refused = "", [], _Refused()
    with opened(path) as reader:
        connections = [c for c in reader.connections if c.topic in vars(chosen).values()]
        undefined = what_is_undefined(reader, connections)
        if undefined is not None:
            raise FlightError(undefined)
        for connection, _, data in messages(reader, connections, path):
            topic, kind = connection.topic, connection.msgtype
            if topic == chosen.camera_info and camera is not None:
                continue
            try:
                message = reader.deserialize(data, kind)
                if topic == chosen.pose:
                    samples.append(pose_of(message, kind))
                elif topic == chosen.gimbal:
                    samples.append(gimbal_of(message, kind))
                elif topic == chosen.transforms:
                    transforms += message.transforms
                else:
                    camera_frame = message.header.frame_id
                    region = message.roi
                    camera = CameraModel.from_camera_info(
                        message.width,
                        message.height,
                        message.k,
                        message.d,
                        message.distortion_model,
                        (message.binning_x, message.binning_y),
                        (region.x_offset, region.y_offset),
                        (region.width, region.height),
                    )
            except (StateError, AnyReaderError, ValueError, struct.error) as error:
                refused.add(topic, error)
    if camera is None:
        return None
    warnings = refused.lines()
    mount = Mount(gimbal=True) if chosen.gimbal is not None else fixed_mount(transforms, camera_frame)
    if mount is None:
        mount = Mount()
        warnings.append(
            f"the bag does not say how the camera sits (no attitude of a gimbal, no static transforms from base_link "
            f"to {camera_frame}); it is taken to look straight ahead"
        )
    return Vehicle(tuple(samples), camera, mount, tuple(warnings))


class _Replay:
    """The vehicle's state at the stamps of images in order, from samples that are taken as the node takes them.

    A jump of the clock, of the map or of the estimator makes the node forget what was before. It must not be met here
    before the images that came earlier were placed.
    """

    def __init__(self, samples: Iterable[PoseSample | GimbalSample], gimbal: bool) -> None:
        self._states = StateBuffer()
        self._rest = iter(samples)
        self._pose_ns: int | None = None
        self._gimbal_ns: int | None = None
        self._gimbal = gimbal

    def at(self, stamp_ns: int) -> VehicleState:
        """The state at the stamp of the next image.

        Raises:
            StateError: as :meth:`StateBuffer.at`.
        """
        while self._behind(stamp_ns):
            sample = next(self._rest, None)
            if sample is None:
                break
            if isinstance(sample, PoseSample):
                self._states.add_pose(sample)
                self._pose_ns = sample.stamp_ns
            else:
                self._states.add_gimbal(sample)
                self._gimbal_ns = sample.stamp_ns
        return self._states.at(stamp_ns)

    def _behind(self, stamp_ns: int) -> bool:
        if self._pose_ns is None or self._pose_ns < stamp_ns:
            return True
        waits = self._gimbal and (self._gimbal_ns is None or self._gimbal_ns < stamp_ns)
        return waits and self._pose_ns < stamp_ns + _AHEAD_NS


class _Refused:
    """Messages that could not be used, by topic, with the first reason."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, topic: str, error: Exception) -> None:
        self._counts[topic] += 1
        self._first.setdefault(topic, str(error))

    def lines(self) -> list[str]:
        return [f"{n} messages on {t} are of no use, the first: {self._first[t]}" for t, n in self._counts.items()]


def place_tracks(
    images: Sequence[ImageRecord],
    positions: Mapping[int, Mapping[int, tuple[float, float, float]]],
    vehicle: Vehicle,
    class_names: Sequence[str],
    tolerance_ns: int,
) -> tuple[PlacedTargets, Mapping[str, int]]:
    """Place every sure track that covers a true object by half or more, beside the object's true place.

    Args:
        images: with tracks and truth.
        positions: true places by stamp and track id: east, north, up [m].
        vehicle: from :func:`read_vehicle`.
        class_names: of the detector; classes of usual height are placed by it, as the node does.
        tolerance_ns: how far the stamps of an image and of the true places may differ.

    Returns:
        The targets, and how many were refused by reason.

    Raises:
        FlightError: the calibration is of images of another shape.
    """
    width, height = next(((t.width, t.height) for t in (i.truth for i in images) if t is not None and t.width), (0, 0))
    camera = vehicle.camera.for_image(width, height) if width else vehicle.camera
    heights = {i: OBJECT_HEIGHTS[name] for i, name in enumerate(class_names) if name in OBJECT_HEIGHTS}
    states = _Replay(vehicle.samples, vehicle.mount.gimbal)
    locator = Geolocator(camera, vehicle.mount, GeolocationOptions(object_heights=heights))
    estimates, truths, covariances = [], [], []
    refused: Counter[str] = Counter()
    stamps = nearest_stamps([image.stamp_ns for image in images], sorted(positions), tolerance_ns)
    for image, stamp in zip(images, stamps, strict=True):
        if stamp is None or image.truth is None or image.tracks is None:
            continue
        true = positions[stamp]
        tracks = image.tracks[(image.tracks.track_ids >= 0) & (image.tracks.scores >= _LEAST_SCORE)]
        shares = overlaps(tracks.boxes, image.truth.boxes)
        try:
            state = states.at(image.stamp_ns)
            located = locator.locate(tracks.boxes, tracks.class_ids.tolist(), state)
        except StateError as error:
            refused[error.reason] += len(tracks)
            continue
        refused += located.refusals
        for place, row in zip(located.places, shares, strict=True):
            actor = int(image.truth.track_ids[np.argmax(row)]) if row.max(initial=0.0) >= _MATCH else -1
            if place is not None and actor >= 0 and actor in true:
                estimates.append(place.position[:2])
                truths.append(true[actor][:2])
                covariances.append(place.covariance[:2, :2])
    return PlacedTargets(estimates, truths, covariances), refused


def placed_in(
    path: Path,
    topics: Mapping[str, str],
    image_topic: str,
    images: Sequence[ImageRecord],
    positions: Mapping[int, Mapping[int, tuple[float, float, float]]],
    class_names: Sequence[str],
    tolerance_ns: int,
) -> tuple[PlacedTargets, list[str]]:
    """The placed targets of a bag with true positions, and what a reader of the numbers should know."""
    nothing = PlacedTargets.joined([])
    if not positions or not any(image.tracks is not None for image in images):
        return nothing, []
    try:
        vehicle = read_vehicle(path, topics, image_topic)
        if vehicle is None:
            return nothing, [
                f"there are true positions, but no {ODOMETRY} ({PX4_ODOMETRY}) or no {CAMERA_INFO} to place "
                "detections with"
            ]
        placed, refused = place_tracks(images, positions, vehicle, class_names, tolerance_ns)
    except FlightError as error:
        return nothing, [f"detections were not placed on the ground: {error}"]
    lines = [*vehicle.warnings]
    lines += [
        f"{count} boxes of tracks were not placed on the ground: {reason}" for reason, count in sorted(refused.items())
    ]
    return placed, lines
