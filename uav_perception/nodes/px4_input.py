"""The vehicle's state from PX4 over uXRCE-DDS. px4_msgs is optional and must be of the firmware's release."""

from __future__ import annotations

from uav_perception.flight.errors import StateError
from uav_perception.flight.frames import xyzw_from_wxyz
from uav_perception.flight.gimbal import gimbal_sample
from uav_perception.flight.px4 import (
    height_from_local_position,
    origin_from_local_position,
    pose_from_message,
    topic_name,
)
from uav_perception.nodes.errors import NodeError
from uav_perception.nodes.qos import sensor
from uav_perception.nodes.vehicle_input import Inbox


def px4_message(name: str) -> type:
    """A class of px4_msgs.

    Raises:
        NodeError: px4_msgs is not installed, or this release of it has no such message.
    """
    try:
        import px4_msgs.msg as messages
    except ModuleNotFoundError as error:
        raise NodeError(
            "PX4's messages (px4_msgs) are not installed. Build the release branch of px4_msgs that belongs to your "
            "firmware in your workspace, and source it."
        ) from error
    if not hasattr(messages, name):
        raise NodeError(f"this release of px4_msgs has no message {name}. Build the one of your firmware.")
    return getattr(messages, name)


def px4_topic(prefix: str, name: str, kind: type) -> str:
    """The topic of a message, with the suffix of its version: ``fmu/out/vehicle_status_v1``."""
    return topic_name(f"{prefix}/{name}", getattr(kind, "MESSAGE_VERSION", 0))


class Px4Input:
    """PX4's odometry, origin and height.

    Its publishers are best effort and transient local. The subscriptions are volatile: a latched old pose is no use.

    Args:
        inbox: takes the samples.
        prefix: of the topics, ``fmu/out``.
        height: ``none`` or ``range`` (the distance to the ground that the estimator gives).
        gimbal: take the camera's attitude from ``gimbal_device_attitude_status``.

    Raises:
        NodeError: px4_msgs is missing or too old.
    """

    def __init__(self, inbox: Inbox, prefix: str, height: str, gimbal: bool) -> None:
        self.inbox = inbox
        self._geoid_height: float | None = None
        self._use_height = height != "none"
        takers = {
            ("VehicleOdometry", "vehicle_odometry"): self._take_odometry,
            ("VehicleGlobalPosition", "vehicle_global_position"): self._take_global_position,
            ("VehicleLocalPosition", "vehicle_local_position"): self._take_local_position,
        }
        if gimbal:
            takers["GimbalDeviceAttitudeStatus", "gimbal_device_attitude_status"] = self._take_gimbal
        for (message, topic), take in takers.items():
            kind = px4_message(message)
            inbox.subscribe(kind, px4_topic(prefix, topic, kind), take, sensor())

    def prepare(self, stamp_ns: int, camera_frame: str) -> None:
        """Nothing: the buffer has what came."""

    def close(self) -> None:
        """End the subscriptions."""
        self.inbox.close()

    def _take_odometry(self, message: object) -> None:
        self.inbox.buffer.add_pose(pose_from_message(message))

    def _take_global_position(self, message: object) -> None:
        self._geoid_height = message.alt_ellipsoid - message.alt

    def _take_local_position(self, message: object) -> None:
        if self._use_height:
            variance = getattr(message, "dist_bottom_var", float("nan"))
            self._add_height(message, variance)
        if self._geoid_height is not None:
            self.inbox.buffer.set_origin(
                origin_from_local_position(
                    message.xy_global,
                    message.z_global,
                    message.ref_lat,
                    message.ref_lon,
                    message.ref_alt,
                    self._geoid_height,
                )
            )

    def _add_height(self, message: object, variance: float) -> None:
        try:
            sample = height_from_local_position(
                message.timestamp_sample, message.dist_bottom, message.dist_bottom_valid, variance
            )
        except StateError as error:  # the origin in the same message may be good
            self.inbox.refused[error.reason] += 1
        else:
            self.inbox.buffer.add_height(sample)

    def _take_gimbal(self, message: object) -> None:
        stamp_ns = int(message.timestamp) * 1000
        sample = gimbal_sample(stamp_ns, xyzw_from_wxyz(message.q), message.device_flags)
        self.inbox.buffer.add_gimbal(sample)
