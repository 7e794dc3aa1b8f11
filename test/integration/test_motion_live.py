"""Tracks that follow the ground by the vehicle's own pose, over real DDS with MAVROS's topics."""

from __future__ import annotations

import time

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from nav_msgs.msg import Odometry
from ros_client import Camera, blob, wait_until
from sensor_msgs.msg import CameraInfo
from uav_perception.msg import DetectionArray

from uav_perception.nodes.conversions import from_time, to_header
from uav_perception.nodes.qos import results, sensor

SECOND = 1_000_000_000
HEIGHT, FOCAL = 20.0, 300.0
STEP = 80  # the picture jumps to and fro by this much from image to image [px], more than twice the blob's width


class Shaken:
    """A drone that looks straight down at one blob and is blown to and fro, nose to the east."""

    def __init__(self, client, namespace: str) -> None:
        self.namespace = namespace
        self.camera = Camera(client, f"/{namespace}/camera/image_raw")
        create = client.node.create_publisher
        self.odometry = create(Odometry, f"/{namespace}/mavros/local_position/odom", sensor())
        self.camera_info = create(CameraInfo, f"/{namespace}/camera/camera_info", sensor())
        self.stamp = 1_800_000_000 * SECOND

    def wait_for_subscribers(self, images: int, vehicle: int) -> None:
        self.camera.wait_for_subscribers(images)
        for publisher in (self.odometry, self.camera_info):
            wait_until(
                lambda p=publisher: p.get_subscription_count() >= vehicle, 15, f"subscribers of {publisher.topic_name}"
            )

    def calibrate(self) -> None:
        k = [FOCAL, 0.0, 159.5, 0.0, FOCAL, 119.5, 0.0, 0.0, 1.0]
        self.camera_info.publish(CameraInfo(width=320, height=240, k=k))
        time.sleep(0.1)

    def image(self, index: int) -> int:
        """Publish the pose and then the image that belongs to it; returns their stamp."""
        self.stamp += SECOND // 10
        side = index % 2
        message = Odometry(header=to_header(self.stamp, "map"), child_frame_id="base_link")
        message.pose.pose.position.z = HEIGHT
        message.pose.pose.position.y = side * STEP * HEIGHT / FOCAL  # to the left, so that the blob moves to the right
        message.pose.pose.orientation.w = 1.0
        self.odometry.publish(message)
        time.sleep(0.05)
        self.camera.send(blob(x=100 + side * STEP, y=100, width=35, height=35), self.stamp)
        return self.stamp


def _start(run, namespace: str, models, *parameters: str, image: str):
    arguments = [part for p in parameters for part in ("-p", f"detector.{p}")]
    return run("--model", models["blobs"], "--nodes", "detector", "--namespace", namespace, "--image", image,
               "-p", "detector.threads=1", *arguments)  # fmt: skip


def test_the_vehicles_pose_holds_tracks_through_motion_that_breaks_them_without_it(run, client, models):
    drone = Shaken(client, "m1")
    image = "/m1/camera/image_raw"
    vehicle = ("vehicle=mavros", "mavros_prefix=/m1/mavros", "mount_pitch=90.0")
    nodes = {
        "m1": _start(run, "m1", models, "camera_motion=vehicle", *vehicle, image=image),
        "m2": _start(run, "m2", models, "camera_motion=both", *vehicle, image=image),
        "m3": _start(run, "m3", models, "camera_motion=image", image=image),
    }
    for name in nodes:
        client.wait_for_state(f"/{name}/detector", "active")
    drone.wait_for_subscribers(images=3, vehicle=2)
    found = {name: client.collect(DetectionArray, f"/{name}/detector/detections", results()) for name in nodes}
    wait_until(
        lambda: all(client.node.count_publishers(f"/{name}/detector/detections") == 1 for name in nodes), 15, "all"
    )

    def fly(images: int) -> None:
        for index in range(images):
            stamp = drone.image(index)
            wait_until(
                lambda s=stamp: all(any(from_time(m.header.stamp) == s for m in f) for f in found.values()), 10, "all"
            )

    # Without a calibration the motion is not known: told once, and the node goes on.
    fly(3)
    nodes["m1"].wait_for("the camera's motion is not known from the vehicle: no CameraInfo has arrived")
    wait_until(lambda: client.diagnostics["m1/detector"].level == DiagnosticStatus.WARN, 10, "the warning")
    assert int(client.values("m1/detector")["motion_unknown_no_camera_info"]) == 2

    drone.calibrate()
    drone.stamp += 10 * SECOND  # the tracks end
    for messages in found.values():
        messages.clear()
    fly(10)
    tracks = {}
    for name, messages in found.items():
        tracks[name] = {detection.track_id for message in messages for detection in message.detections} - {-1}
    assert len(tracks["m1"]) == len(tracks["m2"]) == 1
    assert len(tracks["m3"]) != 1  # nothing in the dark image tells that it moved
    speeds = [d.velocity_x for message in found["m1"] for d in message.detections if d.track_id >= 0]
    assert len(speeds) >= 8 and np.abs(speeds).max() < 0.2 * STEP * 10  # of what the picture moves [px/s]
    wait_until(lambda: client.diagnostics["m1/detector"].level == DiagnosticStatus.OK, 10, "the warning to end")
    assert nodes["m1"].output.count("the camera's motion is not known") == 1


def test_a_motion_from_the_vehicle_needs_a_vehicle(run, client, models):
    nodes = _start(run, "m4", models, "camera_motion=vehicle", image="/m4/image")
    nodes.wait_for(
        "cannot configure: camera_motion is vehicle, but the parameter vehicle is none. Set vehicle to mavros"
    )
    assert client.state("/m4/detector") == "unconfigured"
    assert client.set_parameter("/m4/detector", "vehicle", "odometry") == (True, "")
    assert client.change_state("/m4/detector", "configure")
