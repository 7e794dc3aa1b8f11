"""The vehicle's state from tf2, with the real listener; says so where tf2 is not installed."""

from __future__ import annotations

import math
import time

import pytest
from geometry_msgs.msg import TransformStamped
from ros_client import wait_until
from sensor_msgs.msg import CameraInfo, NavSatFix, NavSatStatus
from uav_perception.msg import Detection, DetectionArray, GeoTargetArray

from uav_perception.nodes.conversions import from_time, to_header
from uav_perception.nodes.qos import results, sensor

SECOND = 1_000_000_000


def transform(stamp: int, parent: str, child: str, translation, quaternion) -> TransformStamped:
    """One edge of the tree, translation x, y, z and quaternion x, y, z, w."""
    message = TransformStamped(header=to_header(stamp, parent), child_frame_id=child)
    t, q = message.transform.translation, message.transform.rotation
    t.x, t.y, t.z = translation
    q.x, q.y, q.z, q.w = quaternion
    return message


class Tree:
    """A drone 20 m over the map's origin that flies east at 5 m/s, nose ahead; its gimbal looks straight down."""

    def __init__(self, client, kind: type) -> None:
        create = client.node.create_publisher
        self._kind = kind
        self.tf = create(kind, "/tf", 100)
        self.camera_info = create(CameraInfo, "/t1/camera/camera_info", sensor())
        self.fix = create(NavSatFix, "/t1/fix", sensor())
        self.detections = create(DetectionArray, "/t1/detector/detections", results())
        for publisher in (self.tf, self.camera_info, self.fix, self.detections):
            wait_until(
                lambda p=publisher: p.get_subscription_count() == 1, 15, f"a subscriber of {publisher.topic_name}"
            )

    def fly(self, begin: int, seconds: float) -> int:
        """Publish the tree at 50 Hz of its own time, and a fix ahead of every fifth; returns the last stamp."""
        # Optical x to the south, y to the west, z down: Rz(-90 deg) Rx(180 deg).
        half = math.sqrt(0.5)
        for step in range(round(seconds * 50)):
            stamp = begin + step * SECOND // 50
            if step % 5 == 0:
                fix = NavSatFix(header=to_header(stamp, "base_link"), latitude=0.0, altitude=520.0)
                fix.longitude = 10.0 + math.degrees(5.0 * step / 50 / (6378137.0 + 520.0))
                fix.status.status = NavSatStatus.STATUS_FIX
                self.fix.publish(fix)
                time.sleep(0.01)
            body = transform(stamp, "map", "base_link", (5.0 * step / 50, 0.0, 20.0), (0.0, 0.0, 0.0, 1.0))
            camera = transform(stamp, "base_link", "camera", (0.0, 0.0, 0.0), (half, -half, 0.0, 0.0))
            self.tf.publish(self._kind(transforms=[body, camera]))
            time.sleep(0.005)
        return stamp

    def see(self, stamp: int) -> None:
        box = Detection(class_name="blob", score=0.9, x_min=80.0, y_min=60.0, x_max=180.0, y_max=120.0, track_id=7)
        message = DetectionArray(header=to_header(stamp, "camera"), image_width=320, image_height=240)
        message.detections = [box]
        self.detections.publish(message)


def test_tf_places_targets_and_survives_a_bag_that_starts_again(run, client):
    pytest.importorskip("tf2_ros", reason="tf2_ros is not installed")
    messages = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not installed")
    nodes = run("--nodes", "geolocation", "--namespace", "t1", "--image", "/t1/camera/image_raw",
                "-p", "geolocation.vehicle=tf", "-p", "geolocation.gimbal=tf")  # fmt: skip
    client.wait_for_state("/t1/geolocation", "active")
    found = client.collect(GeoTargetArray, "/t1/geolocation/targets", results())
    wait_until(lambda: client.node.count_publishers("/t1/geolocation/targets") == 1, 15, "the publisher")
    tree = Tree(client, messages.TFMessage)
    k = [300.0, 0.0, 159.5, 0.0, 300.0, 119.5, 0.0, 0.0, 1.0]
    tree.camera_info.publish(CameraInfo(width=320, height=240, k=k))

    def places(stamp: int, east: float) -> None:
        tree.see(stamp)
        wait_until(lambda: any(from_time(m.header.stamp) == stamp for m in found), 10, "the targets")
        message = next(m for m in found if from_time(m.header.stamp) == stamp)
        (target,) = message.targets
        # 30 px left of the axis: optical x points south, so left is north, 30 / 300 x 20 m.
        assert (target.position.x, target.position.y, target.position.z) == pytest.approx((east, 2.0, 0.0), abs=0.02)
        assert target.longitude == pytest.approx(10.0 + math.degrees(east / 6378637.0), abs=1e-6)
        assert target.altitude == pytest.approx(500.0, abs=0.05)

    begin = 1_800_000_000 * SECOND
    tree.fly(begin, 1.0)
    places(begin + SECOND // 2 + 7_000_000, 2.5 + 0.035)
    # tf2 leaves out what is 10 s older than the newest; the first detections after the jump empty it.
    again = begin - 3600 * SECOND
    tree.see(again)
    wait_until(lambda: any(from_time(m.header.stamp) == again for m in found), 10, "the refusal")
    tree.fly(again, 1.0)
    places(again + SECOND // 2, 2.5)
    assert "fix is not used" not in nodes.output and "Traceback" not in nodes.output


def test_tf_without_tf2_is_refused_with_the_remedy(run, client):
    try:
        import tf2_ros  # noqa: F401
    except ModuleNotFoundError:
        nodes = run("--nodes", "geolocation", "--namespace", "t2", "-p", "geolocation.vehicle=tf")
        nodes.wait_for(
            "cannot activate: vehicle is tf, but tf2_ros is not installed. Install ros-$ROS_DISTRO-tf2-ros-py"
        )
        assert client.state("/t2/geolocation") == "inactive"
    else:
        pytest.skip("tf2_ros is installed here")
