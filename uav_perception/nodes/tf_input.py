"""The vehicle's state from tf2, for any stack that keeps the tree of REP-105."""

from __future__ import annotations

from sensor_msgs.msg import NavSatFix

from uav_perception.flight.errors import StateError
from uav_perception.flight.mavros import origin_from_fix, pose_from_odometry
from uav_perception.flight.state import GimbalSample
from uav_perception.nodes.conversions import from_time, to_time
from uav_perception.nodes.errors import NodeError
from uav_perception.nodes.mavros_input import point, quaternion
from uav_perception.nodes.qos import sensor
from uav_perception.nodes.vehicle_input import Inbox

_JUMP_NS = 1_000_000_000  # a step back of the images' stamps from which time was set back, as when a bag starts again


class TfInput:
    """Looks up body and camera in the map at each image's stamp.

    Args:
        inbox: takes the samples.
        map_frame: east, north, up.
        base_frame: the body, forward, left, up.
        fix: topic of the global position.
        camera: also look up the camera's own frame, when it moves against the body (gimbal).

    Raises:
        NodeError: tf2_ros is not installed.
    """

    def __init__(self, inbox: Inbox, map_frame: str, base_frame: str, fix: str, camera: bool) -> None:
        try:
            import tf2_ros
        except ModuleNotFoundError as error:
            raise NodeError(
                "vehicle is tf, but tf2_ros is not installed. Install ros-$ROS_DISTRO-tf2-ros-py, or set vehicle to "
                "odometry."
            ) from error
        self.inbox = inbox
        self._map_frame = map_frame
        self._base_frame = base_frame
        self._camera = camera
        self._refusal = tf2_ros.TransformException
        self._fix: NavSatFix | None = None
        self._newest_ns = 0
        self._tree = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._tree, inbox.node)
        inbox.subscribe(NavSatFix, fix, self._take_fix, sensor())

    def prepare(self, stamp_ns: int, camera_frame: str) -> None:
        """Look up the transforms at a stamp.

        Raises:
            StateError: ``missing``, with tf2's own words.
        """
        if self._newest_ns - stamp_ns > _JUMP_NS:
            self._tree.clear()  # tf2 would leave out all that is older than what it had before the jump
        self._newest_ns = stamp_ns
        self.inbox.buffer.add_pose(self._pose(stamp_ns))
        if self._camera:
            rotation = self._lookup(camera_frame, stamp_ns).rotation
            self.inbox.buffer.add_gimbal(GimbalSample(stamp_ns, quaternion(rotation)))

    def close(self) -> None:
        """Stop listening."""
        self._listener.unregister()
        self.inbox.close()

    def _pose(self, stamp_ns: int) -> object:
        transform = self._lookup(self._base_frame, stamp_ns)
        return pose_from_odometry(stamp_ns, point(transform.translation), quaternion(transform.rotation))

    def _lookup(self, frame: str, stamp_ns: int) -> object:
        try:
            return self._tree.lookup_transform(self._map_frame, frame, to_time(stamp_ns)).transform
        except self._refusal as error:
            raise StateError(
                "missing", f"tf has no {frame} in {self._map_frame} at the image's stamp: {error}"
            ) from error

    def _take_fix(self, message: NavSatFix) -> None:
        """Use the fix before this one: the transforms of a stamp mostly come after the fix that carries it."""
        fix, self._fix = self._fix, message
        if fix is None:
            return
        try:
            position = self._pose(from_time(fix.header.stamp)).position
        except StateError:
            return  # tf has no pose there, which images will tell; another fix comes soon
        status = fix.status.status
        self.inbox.buffer.set_origin(origin_from_fix(fix.latitude, fix.longitude, fix.altitude, status, position))
