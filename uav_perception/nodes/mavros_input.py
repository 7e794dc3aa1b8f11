"""The vehicle's state from MAVROS's standard messages. mavros_msgs is needed for a MAVLink gimbal only."""

from __future__ import annotations

from geometry_msgs.msg import QuaternionStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import NavSatFix, Range
from std_msgs.msg import Float64

from uav_perception.flight.errors import StateError
from uav_perception.flight.gimbal import gimbal_sample
from uav_perception.flight.mavros import (
    height_from_range,
    height_from_relative_altitude,
    origin_from_fix,
    pose_from_odometry,
)
from uav_perception.flight.state import GimbalSample
from uav_perception.nodes.conversions import from_time
from uav_perception.nodes.errors import NodeError
from uav_perception.nodes.qos import results, sensor
from uav_perception.nodes.vehicle_input import Inbox


def quaternion(message: object) -> tuple[float, float, float, float]:
    """``x, y, z, w`` of a geometry_msgs/Quaternion."""
    return message.x, message.y, message.z, message.w


def point(message: object) -> tuple[float, float, float]:
    """``x, y, z`` of a geometry_msgs/Point or Vector3."""
    return message.x, message.y, message.z


class OdometryInput:
    """Any nav_msgs/Odometry in a map frame east, north, up, with a NavSatFix for the origin.

    Args:
        inbox: takes the samples.
        odometry: topic of the odometry.
        fix: topic of the global position.
    """

    def __init__(self, inbox: Inbox, odometry: str, fix: str) -> None:
        self.inbox = inbox
        self._pose = None
        inbox.subscribe(Odometry, odometry, self._take_odometry, sensor())
        inbox.subscribe(NavSatFix, fix, self._take_fix, sensor())

    def prepare(self, stamp_ns: int, camera_frame: str) -> None:
        """Nothing: the buffer has what came."""

    def close(self) -> None:
        """End the subscriptions."""
        self.inbox.close()

    def take_range(self, message: Range) -> None:
        """A range finder that looks down."""
        if self._pose is None:
            return
        stamp_ns = from_time(message.header.stamp)
        limits = (message.min_range, message.max_range)
        variance = getattr(message, "variance", 0.0) or float("nan")
        self.inbox.buffer.add_height(
            height_from_range(stamp_ns, message.range, limits, self._pose.orientation, variance)
        )

    def take_relative_altitude(self, message: Float64) -> None:
        """Height above home. The message has no stamp: that of the newest pose is taken."""
        if self._pose is not None:
            self.inbox.buffer.add_height(height_from_relative_altitude(self._pose.stamp_ns, message.data))

    def _take_odometry(self, message: Odometry) -> None:
        pose = message.pose
        self._pose = pose_from_odometry(
            from_time(message.header.stamp),
            point(pose.pose.position),
            quaternion(pose.pose.orientation),
            pose.covariance,
            point(message.twist.twist.linear),
        )
        self.inbox.buffer.add_pose(self._pose)

    def _take_fix(self, message: NavSatFix) -> None:
        stamp_ns = from_time(message.header.stamp)
        try:
            position = self.inbox.buffer.position_at(stamp_ns)
        except StateError:
            return  # no pose at the fix's stamp yet; another fix comes soon
        status = message.status.status
        self.inbox.buffer.set_origin(
            origin_from_fix(message.latitude, message.longitude, message.altitude, status, position)
        )


def mavros_input(inbox: Inbox, prefix: str, height: str, range_topic: str) -> OdometryInput:
    """MAVROS's topics, with the quality of service it publishes them with.

    Args:
        inbox: takes the samples.
        prefix: MAVROS's namespace, relative or absolute.
        height: ``none``, ``relative_altitude`` or ``range``.
        range_topic: of the range finder.
    """
    source = OdometryInput(inbox, f"{prefix}/local_position/odom", f"{prefix}/global_position/global")
    if height == "relative_altitude":
        inbox.subscribe(Float64, f"{prefix}/global_position/rel_alt", source.take_relative_altitude, sensor())
    elif height == "range":
        inbox.subscribe(Range, range_topic, source.take_range, sensor())
    return source


def subscribe_gimbal_quaternion(inbox: Inbox, topic: str) -> None:
    """A geometry_msgs/QuaternionStamped: the camera's optical frame in the map (REP-103)."""

    def take(message: QuaternionStamped) -> None:
        inbox.buffer.add_gimbal(GimbalSample(from_time(message.header.stamp), quaternion(message.quaternion)))

    inbox.subscribe(QuaternionStamped, topic, take, sensor())


def subscribe_mavros_gimbal(inbox: Inbox, prefix: str) -> None:
    """MAVROS's ``gimbal_control/device/attitude_status``, whose quaternion is MAVLink's own, told apart by flags.

    Raises:
        NodeError: mavros_msgs is not installed.
    """
    try:
        from mavros_msgs.msg import GimbalDeviceAttitudeStatus
    except ModuleNotFoundError as error:
        raise NodeError(
            "gimbal is mavros, but mavros_msgs is not installed. Install ros-$ROS_DISTRO-mavros-msgs, or publish the "
            "camera's attitude as geometry_msgs/QuaternionStamped and set gimbal to quaternion."
        ) from error

    def take(message: GimbalDeviceAttitudeStatus) -> None:
        sample = gimbal_sample(from_time(message.header.stamp), quaternion(message.q), message.flags)
        inbox.buffer.add_gimbal(sample)

    inbox.subscribe(GimbalDeviceAttitudeStatus, f"{prefix}/gimbal_control/device/attitude_status", take, results())
