"""Which topics of a bag tell where the vehicle and its camera were, and what their messages say.

The same topics as the geolocation node's: MAVROS or any odometry, PX4 over uXRCE-DDS, a gimbal's attitude, the
camera's calibration, and static transforms for a camera that is fixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from uav_perception.evaluation.truth_topics import TRUTH_PREFIX
from uav_perception.flight.frames import xyzw_from_wxyz
from uav_perception.flight.geolocation import Mount
from uav_perception.flight.gimbal import gimbal_sample
from uav_perception.flight.mavros import pose_from_odometry
from uav_perception.flight.px4 import pose_from_message
from uav_perception.flight.rotations import matrix, normalised
from uav_perception.flight.state import GimbalSample, PoseSample

ODOMETRY, PX4_ODOMETRY = "nav_msgs/msg/Odometry", "px4_msgs/msg/VehicleOdometry"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
ATTITUDE = "geometry_msgs/msg/QuaternionStamped"
MAVROS_GIMBAL, PX4_GIMBAL = "mavros_msgs/msg/GimbalDeviceAttitudeStatus", "px4_msgs/msg/GimbalDeviceAttitudeStatus"
TRANSFORMS = "tf2_msgs/msg/TFMessage"
BODY_FRAME = "base_link"

_STATIC = "/tf_static"


@dataclass(frozen=True)
class VehicleTopics:
    """Topics of a bag by what they tell; None where there is none.

    Attributes:
        pose: of the body in the map.
        camera_info: calibration of the camera.
        gimbal: attitude of the camera.
        transforms: of what is fixed to the body.
    """

    pose: str | None
    camera_info: str | None
    gimbal: str | None
    transforms: str | None


def vehicle_topics(topics: Mapping[str, str], image_topic: str) -> VehicleTopics:
    """Choose topics. Where several are of one use, the one whose name shares most with the image topic's wins.

    Args:
        topics: message type by topic of the bag.
        image_topic: of the images that were evaluated.
    """
    measured = {topic: kind for topic, kind in topics.items() if not topic.startswith(TRUTH_PREFIX)}

    def best(*choices: Iterable[str]) -> str | None:
        for choice in choices:
            found = sorted(choice, key=lambda topic: (-_shared(topic, image_topic), topic))
            if found:
                return found[0]
        return None

    def of(kind: str, part: str = "") -> list[str]:
        return [topic for topic, found in measured.items() if found == kind and part in topic]

    return VehicleTopics(
        # PX4 sends odometry of cameras and motion capture with the same type; only its own estimate is meant.
        pose=best(of(ODOMETRY, "/local_position/odom"), of(PX4_ODOMETRY, "/vehicle_odometry"), of(ODOMETRY)),
        camera_info=best(of(CAMERA_INFO)),
        gimbal=best(of(ATTITUDE, "gimbal"), of(MAVROS_GIMBAL), of(PX4_GIMBAL)),
        transforms=_STATIC if measured.get(_STATIC) == TRANSFORMS else None,
    )


def _shared(a: str, b: str) -> int:
    count = 0
    for one, other in zip(a.split("/"), b.split("/"), strict=False):
        if one != other:
            break
        count += 1
    return count


def stamp_of(message: object) -> int:
    """The header's stamp [ns]."""
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


def pose_of(message: object, kind: str) -> PoseSample:
    """A message of the pose topic.

    Raises:
        StateError: it says nothing that can be used.
    """
    if kind == PX4_ODOMETRY:
        return pose_from_message(message)
    pose = message.pose
    return pose_from_odometry(
        stamp_of(message),
        _xyz(pose.pose.position),
        _xyzw(pose.pose.orientation),
        pose.covariance,
        _xyz(message.twist.twist.linear),
    )


def gimbal_of(message: object, kind: str) -> GimbalSample:
    """A message of the gimbal topic.

    Raises:
        StateError: it says nothing that can be used.
    """
    if kind == PX4_GIMBAL:
        return gimbal_sample(int(message.timestamp) * 1000, xyzw_from_wxyz(message.q), message.device_flags)
    if kind == MAVROS_GIMBAL:
        return gimbal_sample(stamp_of(message), np.array(_xyzw(message.q)), message.flags)
    return GimbalSample(stamp_of(message), np.array(_xyzw(message.quaternion)), "map")


def fixed_mount(transforms: Iterable[object], camera_frame: str) -> Mount | None:
    """How a camera that is fixed sits on the body.

    Args:
        transforms: geometry_msgs/TransformStamped.
        camera_frame: the camera's optical frame.

    Returns:
        None where no transforms lead from the camera to a frame ``base_link``.

    Raises:
        StateError: a rotation is none.
    """
    parents = {_frame(t.child_frame_id): (_frame(t.header.frame_id), t.transform) for t in transforms}
    frame, rotation, translation = _frame(camera_frame), np.eye(3), np.zeros(3)
    # Every frame is passed once: a ring of transforms ends too.
    while frame.rsplit("/", 1)[-1] != BODY_FRAME:
        if frame not in parents:
            return None
        frame, transform = parents.pop(frame)
        turn = matrix(normalised(_xyzw(transform.rotation)))
        rotation, translation = turn @ rotation, turn @ translation + _xyz(transform.translation)
    return Mount.fixed(rotation, translation)


def _frame(name: str) -> str:
    return name.removeprefix("/")


def _xyz(vector: object) -> tuple[float, float, float]:
    return vector.x, vector.y, vector.z


def _xyzw(quaternion: object) -> tuple[float, float, float, float]:
    return quaternion.x, quaternion.y, quaternion.z, quaternion.w
