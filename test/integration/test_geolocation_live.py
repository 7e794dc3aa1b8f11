"""The geolocation node with a vehicle, a camera and detections made by hand, over real DDS with MAVROS's QoS."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped, QuaternionStamped
from nav_msgs.msg import Odometry
from ros_client import wait_until
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, NavSatFix, NavSatStatus
from uav_perception.msg import ActionArray, ActionLabel, Detection, DetectionArray, GeoTargetArray

from uav_perception.nodes.conversions import from_time, to_header
from uav_perception.nodes.qos import results, sensor

SECOND = 1_000_000_000
HEIGHT = 20.0
FOCAL = 300.0
MERIDIAN_RADIUS = 6378137.0 * (1 - 0.00669437999014)  # of WGS84 at the equator [m]


class Drone:
    """Hovers over the map's origin, nose to the east, and speaks MAVROS's standard topics."""

    def __init__(self, client, prefix: str) -> None:
        create = client.node.create_publisher
        self.odometry = create(Odometry, f"{prefix}/mavros/local_position/odom", sensor())
        self.fix = create(NavSatFix, f"{prefix}/mavros/global_position/global", sensor())
        self.camera_info = create(CameraInfo, f"{prefix}/camera/camera_info", sensor())
        self.gimbal = create(QuaternionStamped, f"{prefix}/gimbal/attitude", sensor())
        self.detections = create(DetectionArray, f"{prefix}/detector/detections", results())
        self.actions = create(ActionArray, f"{prefix}/action/actions", results())
        self.stamp = 1_800_000_000 * SECOND
        self.latitude, self.longitude = 0.0, 10.0
        for publisher in (self.odometry, self.fix, self.camera_info, self.detections, self.actions):
            wait_until(
                lambda p=publisher: p.get_subscription_count() == 1, 15, f"a subscriber of {publisher.topic_name}"
            )

    def fly(self, seconds: float = 0.2, quaternion=(0.0, 0.0, 0.0, 1.0), height: float = HEIGHT) -> None:
        """Publish the pose at 50 Hz of its own time, and one fix."""
        for _ in range(round(seconds * 50)):
            self.stamp += SECOND // 50
            message = Odometry(header=to_header(self.stamp, "map"), child_frame_id="base_link")
            message.pose.pose.position.z = height
            pose = message.pose.pose.orientation
            pose.x, pose.y, pose.z, pose.w = quaternion
            self.odometry.publish(message)
            time.sleep(0.004)
        fix = NavSatFix(header=to_header(self.stamp, "base_link"), altitude=500.0 + height)
        fix.latitude, fix.longitude = self.latitude, self.longitude
        fix.status.status = NavSatStatus.STATUS_FIX
        self.fix.publish(fix)
        time.sleep(0.05)

    def calibrate(self, focal: float = FOCAL) -> None:
        """Publish the camera's calibration."""
        k = [focal, 0.0, 159.5, 0.0, focal, 119.5, 0.0, 0.0, 1.0]
        self.camera_info.publish(CameraInfo(width=320, height=240, k=k, distortion_model="plumb_bob", d=[0.0] * 5))
        time.sleep(0.05)

    def see(self, *boxes, stamp=None, track_id=7) -> int:
        """Publish detections; returns their stamp."""
        stamp = stamp or self.stamp - SECOND // 50
        message = DetectionArray(header=to_header(stamp, "camera"), image_width=320, image_height=240, model="hand")
        message.detections = [
            Detection(
                class_name="blob",
                score=0.9,
                track_id=track_id,
                **dict(zip(("x_min", "y_min", "x_max", "y_max"), map(float, box), strict=True)),
            )
            for box in boxes
        ]
        self.detections.publish(message)
        return stamp


@pytest.fixture(scope="module")
def targets_of(client):
    """Collects the targets of a namespace and waits for the one of a stamp."""

    def collector(namespace: str):
        found = client.collect(GeoTargetArray, f"{namespace}/geolocation/targets", results())
        wait_until(lambda: client.node.count_publishers(f"{namespace}/geolocation/targets") == 1, 15, "the publisher")

        def answer(stamp: int) -> GeoTargetArray:
            wait_until(lambda: any(from_time(m.header.stamp) == stamp for m in found), 10, "targets of the stamp")
            return next(m for m in reversed(found) if from_time(m.header.stamp) == stamp)

        return answer

    return collector


def _run(run, namespace: str, *parameters: str):
    arguments = [part for p in parameters for part in ([p] if p.startswith("--") else ["-p", f"geolocation.{p}"])]
    return run("--nodes", "geolocation", "--namespace", namespace, "--image", f"/{namespace}/camera/image_raw",
               "-p", "geolocation.vehicle=mavros", *arguments)  # fmt: skip


def test_a_fixed_camera_that_looks_down_places_by_similar_triangles(run, client, targets_of):
    nodes = _run(run, "g1", "mount_pitch=90.0", "target_track=7", "max_state_wait=0.3")
    client.wait_for_state("/g1/geolocation", "active")
    drone, answer = Drone(client, "/g1"), targets_of("/g1")
    chosen = client.collect(PoseStamped, "/g1/geolocation/target_pose", results())

    # Before a CameraInfo and a pose nothing can be placed, and the reason is told.
    refused = answer(drone.see((80, 60, 180, 120), stamp=drone.stamp))
    assert refused.targets == [] and refused.refused == 1
    nodes.wait_for("detections cannot be placed: No vehicle pose has been received")

    drone.calibrate()
    drone.fly(0.4)
    drone.actions.publish(
        ActionArray(header=to_header(drone.stamp, "camera"), actions=[ActionLabel(scope=1, track_id=7, label="walk")])
    )
    time.sleep(0.1)
    # The foot of the box is 30 px left of the axis: the nose points east, so left is north, 30 / 300 x 20 m.
    message = answer(drone.see((80, 60, 180, 120)))
    assert (message.header.frame_id, message.method, message.refused) == ("map", "flat_plane", 0)
    (target,) = message.targets
    assert (target.position.x, target.position.y, target.position.z) == pytest.approx((0.0, 2.0, 0.0), abs=0.02)
    assert math.radians(target.latitude) == pytest.approx(2.0 / MERIDIAN_RADIUS, abs=0.02 / MERIDIAN_RADIUS)
    assert target.longitude == pytest.approx(10.0, abs=1e-6) and target.altitude == pytest.approx(500.0, abs=0.05)
    assert (target.track_id, target.class_name, target.action) == (7, "blob", "walk")
    # 0.5 deg at 20 m is 0.17 m, 0.5 m of position, 0.2 m of the anchor; a class of unknown height may lie 0.4 of its
    # width (100 / 300 x 20 m) behind the foot of its box. The 95 % circle has 2.45 times the root of their squares.
    expected = 2.45 * math.sqrt(0.17**2 + 0.5**2 + 0.2**2 + (0.4 * 100 / 300 * 20) ** 2)
    assert target.error_radius == pytest.approx(expected, rel=0.1) and target.position_covariance[0] > 0
    wait_until(lambda: bool(chosen), 10, "the chosen target")
    assert chosen[0].header.frame_id == "map" and chosen[0].pose.position.y == pytest.approx(2.0, abs=0.02)

    # Bad states are refused one by one, and the next good one works again.
    drone.fly(0.2, quaternion=(0.0, 0.0, 0.0, 0.0))
    nodes.wait_for("local_position/odom is not used")
    drone.fly(0.4)
    stale = answer(drone.see((80, 60, 180, 120), stamp=drone.stamp + 2 * SECOND))
    assert stale.targets == [] and stale.refused == 1
    drone.fly(0.4)
    assert len(answer(drone.see((80, 60, 180, 120))).targets) == 1
    wait_until(lambda: int(client.values("g1/geolocation").get("refused_stale", "0")) == 1, 10, "the refusal counted")
    values = client.values("g1/geolocation")
    assert int(values["message_bad_quaternion"]) == 10 and int(values["refused_missing"]) == 1

    # A calibration of another shape than the images, and one that was never made.
    drone.calibrate(focal=0.0)
    nodes.wait_for("the CameraInfo is not used: The focal lengths must be positive")
    assert answer(drone.see((80, 60, 180, 120), stamp=drone.stamp)).refused == 1
    assert "Traceback" not in nodes.output


def test_a_gimbal_turns_the_ray(run, client, targets_of):
    _run(run, "g2", "gimbal=quaternion", "object_heights=blob=2.0")
    client.wait_for_state("/g2/geolocation", "active")
    drone, answer = Drone(client, "/g2"), targets_of("/g2")
    drone.calibrate()
    for _ in range(10):
        drone.fly(0.04)
        # Optical x to the south, y (down in the image) 45 deg between down and west, z 45 deg below east:
        # Rz(-90 deg) Rx(-135 deg) as a quaternion.
        message = QuaternionStamped(header=to_header(drone.stamp, "map"))
        half, quarter = math.radians(-135 / 2), math.radians(-90 / 2)
        q = message.quaternion
        q.x, q.y = math.sin(half) * math.cos(quarter), math.sin(half) * math.sin(quarter)
        q.z, q.w = math.cos(half) * math.sin(quarter), math.cos(half) * math.cos(quarter)
        drone.gimbal.publish(message)
    time.sleep(0.1)
    # The middle of the box is on the axis, which meets the plane at half the object's height, 1 m, 19 m to the east.
    (target,) = answer(drone.see((140, 100, 180, 140))).targets
    assert (target.position.x, target.position.y, target.position.z) == pytest.approx((19.0, 0.0, 0.0), abs=0.02)


def test_terrain_counts_from_the_ground_at_the_maps_origin(run, client, targets_of, tmp_path):
    heights = np.tile(100 * np.arange(121, dtype=np.int16), (121, 1))  # rises by 100 m a cell to the east
    path = tmp_path / "N00E010.hgt"
    heights.astype(">i2").tofile(path)
    _run(run, "g5", "mount_pitch=90.0", "method=terrain", f"terrain={path}")
    client.wait_for_state("/g5/geolocation", "active")
    drone, answer = Drone(client, "/g5"), targets_of("/g5")
    drone.latitude, drone.longitude = 0.5, 10.5  # where the file says 6000 m, and the drone 500 m
    drone.calibrate()
    drone.fly(0.4)
    (target,) = answer(drone.see((145, 40, 175, 60))).targets
    # 60 px ahead of the axis, the nose to the east: x = 60 / 300 (20 - z), z = slope x.
    slope = 100 / (math.radians(1 / 120) * 6378137.0 * math.cos(math.radians(0.5)))
    east = 4.0 / (1 + 0.2 * slope)
    assert (target.position.x, target.position.y) == pytest.approx((east, 0.0), abs=0.02)
    assert target.position.z == pytest.approx(slope * east, abs=0.02)


def test_a_jump_back_of_simulated_time_blocks_nothing(run, client, targets_of):
    _run(run, "g6", "mount_pitch=90.0", "max_state_wait=5.0", "--use-sim-time")
    client.wait_for_state("/g6/geolocation", "active")
    drone, answer = Drone(client, "/g6"), targets_of("/g6")
    clock = client.node.create_publisher(Clock, "/clock", 1)
    wait_until(lambda: clock.get_subscription_count() == 1, 15, "a subscriber of /clock")
    drone.calibrate()
    clock.publish(Clock(clock=to_header(drone.stamp, "").stamp))
    drone.fly(0.2)
    before = drone.stamp + SECOND // 5
    drone.see((80, 60, 180, 120), stamp=before)  # waits for a state that does not come any more
    time.sleep(0.2)
    drone.stamp = 100 * SECOND  # the recording begins again
    clock.publish(Clock(clock=to_header(drone.stamp, "").stamp))
    drone.fly(0.4)
    began = time.monotonic()
    assert answer(before).refused == 1
    assert len(answer(drone.see((80, 60, 180, 120))).targets) == 1
    assert time.monotonic() - began < 8.0


def test_any_odometry_will_do(run, client, targets_of):
    _run(run, "g7", "vehicle=odometry", "mount_pitch=90.0", "odometry_topic=/g7/mavros/local_position/odom",
         "fix_topic=/g7/mavros/global_position/global")  # fmt: skip
    client.wait_for_state("/g7/geolocation", "active")
    drone, answer = Drone(client, "/g7"), targets_of("/g7")
    drone.calibrate()
    drone.fly(0.4)
    (target,) = answer(drone.see((80, 60, 180, 120))).targets
    assert (target.position.x, target.position.y) == pytest.approx((0.0, 2.0), abs=0.02)
    assert target.longitude == pytest.approx(10.0, abs=1e-6) and target.altitude == pytest.approx(500.0, abs=0.05)


def test_px4_without_its_messages_is_refused_with_the_remedy(run, client):
    try:
        import px4_msgs  # noqa: F401
    except ModuleNotFoundError:
        nodes = run("--nodes", "geolocation", "--namespace", "g3", "-p", "geolocation.vehicle=px4")
        nodes.wait_for("cannot activate: PX4's messages (px4_msgs) are not installed")
        assert client.state("/g3/geolocation") == "inactive"
    else:
        pytest.skip("px4_msgs is installed here")


def test_settings_that_contradict_each_other_are_refused_until_they_are_corrected(run, client):
    nodes = run("--nodes", "geolocation", "--namespace", "g4")
    nodes.wait_for("cannot configure: the parameter vehicle is none")
    node = "/g4/geolocation"

    def refuses(message: str, **parameters: object) -> None:
        for name, value in parameters.items():
            assert client.set_parameter(node, name, value) == (True, "")
        assert not client.change_state(node, "configure")
        nodes.wait_for(message)

    refuses("needs height_source", vehicle="mavros", method="height_above_ground")
    refuses("/no/such.hgt does not exist", method="terrain", terrain="/no/such.hgt")
    refuses("must have the form name=height", method="flat_plane", object_heights="person")
    assert client.set_parameter(node, "object_heights", "person=1.7") == (True, "")
    assert client.change_state(node, "configure")
