"""A recorded flight over DDS, with the topics and the quality of service of MAVROS: are the places right?"""

from __future__ import annotations

import importlib
import time

import numpy as np
from rclpy.serialization import deserialize_message
from ros_client import REPOSITORY, wait_until
from rosbags.rosbag2 import Reader
from uav_perception.msg import GeoTargetArray

from uav_perception.nodes.conversions import from_time
from uav_perception.nodes.qos import results, sensor

FLIGHT = REPOSITORY / "resource" / "demo_flight"
SECONDS, RATE = 12.0, 2.0  # the part that is played, and how fast
TOPICS = {  # topic of the bag: topic of the vehicle
    "/mavros/local_position/odom": ("/r1/mavros/local_position/odom", sensor),
    "/mavros/global_position/global": ("/r1/mavros/global_position/global", sensor),
    "/gimbal/attitude": ("/r1/gimbal/attitude", sensor),
    "/camera/camera_info": ("/r1/camera/camera_info", sensor),
    "/ground_truth/detections": ("/r1/detector/detections", results),
}


def _play(client) -> dict[tuple[int, int], object]:
    """Publish the beginning of the flight; returns the true targets by stamp and track."""
    truth = {}
    with Reader(FLIGHT) as reader:
        publishers = {}
        for connection in reader.connections:
            if connection.topic in TOPICS:
                package, _, name = connection.msgtype.partition("/msg/")
                topic, qos = TOPICS[connection.topic]
                kind = getattr(importlib.import_module(f"{package}.msg"), name)
                publishers[connection.topic] = client.node.create_publisher(kind, topic, qos())
        for publisher in publishers.values():
            wait_until(
                lambda p=publisher: p.get_subscription_count() == 1, 15, f"a subscriber of {publisher.topic_name}"
            )
        begun, first = time.monotonic(), None
        for connection, stamp_ns, data in reader.messages():
            first = stamp_ns if first is None else first
            since = (stamp_ns - first) * 1e-9
            if since > SECONDS:
                break
            if connection.topic == "/ground_truth/targets":
                message = deserialize_message(data, GeoTargetArray)
                truth.update({(from_time(message.header.stamp), t.track_id): t for t in message.targets})
            if connection.topic in publishers:
                time.sleep(max(0.0, begun + since / RATE - time.monotonic()))
                publishers[connection.topic].publish(data)
    return truth


def test_targets_of_a_recorded_flight_are_where_they_were(run, client):
    run("--params-file", REPOSITORY / "config" / "mavros.yaml", "--nodes", "geolocation", "--namespace", "r1",
        "--image", "/r1/camera/image_raw", "-p", "geolocation.gimbal=quaternion", "-p", "geolocation.mount_x=0.0",
        "-p", "geolocation.mount_z=0.0")  # fmt: skip
    client.wait_for_state("/r1/geolocation", "active")
    found = client.collect(GeoTargetArray, "/r1/geolocation/targets", results())
    wait_until(lambda: client.node.count_publishers("/r1/geolocation/targets") == 1, 15, "the publisher")
    truth = _play(client)
    time.sleep(1.0)

    errors, inside, on_earth = [], [], []
    for message in found:
        stamp = from_time(message.header.stamp)
        for target in message.targets:
            true = truth[stamp, target.track_id]
            errors.append(np.hypot(target.position.x - true.position.x, target.position.y - true.position.y))
            inside.append(errors[-1] <= target.error_radius)
            on_earth.append([target.latitude - true.latitude, target.longitude - true.longitude])
    assert len(errors) > 200  # about 340: some boxes are cut off by the image's edge, some messages may be lost
    assert np.median(errors) < 0.5 and np.percentile(errors, 95) < 1.0  # [m]; the flight's state is exact
    assert np.mean(inside) >= 0.9
    assert np.abs(on_earth).max() < 1.5e-5  # [deg], 1.7 m
