"""A flight over a known ground: a camera that looks straight down from 20 m."""

import numpy as np
import pytest
from flight_bags import START_NS, STEP_NS, header
from rosbags.rosbag2 import Writer

from uav_perception.evaluation.geolocation import geolocation_metrics
from uav_perception.evaluation.record import ImageRecord
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.evaluation.vehicle import ATTITUDE, CAMERA_INFO, ODOMETRY, placed_in
from uav_perception.frames.bags import camera_info
from uav_perception.frames.typestore import typestore
from uav_perception.inference.detections import Detections

WIDTH, HEIGHT, FOV = 640, 480, 60.0
FOCAL = WIDTH / 2 / np.tan(np.radians(FOV) / 2)
TOPICS = {"/mavros/local_position/odom": ODOMETRY, "/camera/camera_info": CAMERA_INFO, "/gimbal/attitude": ATTITUDE}


def write_vehicle(path, count=10):
    """The vehicle hangs at (100, 200, 20) m; optical x points east, y south, z down."""
    store = typestore()
    t = store.types
    with Writer(path, version=9) as writer:
        connections = {kind: writer.add_connection(topic, kind, typestore=store) for topic, kind in TOPICS.items()}
        for i in range(count):
            stamp = START_NS + i * STEP_NS
            position = t["geometry_msgs/msg/Point"](x=100.0, y=200.0, z=20.0)
            level = t["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0)
            zero = t["geometry_msgs/msg/Vector3"](x=0.0, y=0.0, z=0.0)
            pose = t["geometry_msgs/msg/Pose"](position=position, orientation=level)
            odometry = t[ODOMETRY](
                header=header(stamp),
                child_frame_id="base_link",
                pose=t["geometry_msgs/msg/PoseWithCovariance"](pose=pose, covariance=np.zeros(36)),
                twist=t["geometry_msgs/msg/TwistWithCovariance"](
                    twist=t["geometry_msgs/msg/Twist"](linear=zero, angular=zero), covariance=np.zeros(36)
                ),
            )
            down = t["geometry_msgs/msg/Quaternion"](x=1.0, y=0.0, z=0.0, w=0.0)
            attitude = t[ATTITUDE](header=header(stamp), quaternion=down)
            information = camera_info(WIDTH, HEIGHT, FOV, header(stamp))
            for message, kind in ((odometry, ODOMETRY), (attitude, ATTITUDE), (information, CAMERA_INFO)):
                writer.write(connections[kind], stamp, store.serialize_cdr(message, kind))
    return path


def seen(stamp, box):
    truth = ImageTruth([box], [0], width=WIDTH, height=HEIGHT, track_ids=[7])
    return ImageRecord(0, "", stamp, Detections([box], [0.9], [0]), Detections([box], [0.9], [0], [3]), truth)


def test_tracks_are_placed_where_they_are(tmp_path):
    path = write_vehicle(tmp_path / "flight")
    # 64 px right of the middle and 32 px above it (the lower edge counts).
    box = [WIDTH / 2 + 54, HEIGHT / 2 - 62, WIDTH / 2 + 74, HEIGHT / 2 - 32]
    east, north = 100 + 20 * 64 / FOCAL, 200 + 20 * 32 / FOCAL
    images = [seen(START_NS + i * STEP_NS, box) for i in range(10)]
    positions = {image.stamp_ns: {7: (east, north + 0.5, 0.0)} for image in images}
    placed, warnings = placed_in(path, TOPICS, images, positions)
    metrics = geolocation_metrics(placed)
    assert warnings == []
    assert metrics["targets"] == 10
    assert metrics["bias_east_m"] == pytest.approx(0.0, abs=0.03)  # half a pixel is 18 mm here
    assert metrics["bias_north_m"] == pytest.approx(-0.5, abs=0.03)
    assert metrics["coverage_95"] == 1.0


def test_what_cannot_be_placed_is_said(tmp_path):
    path = write_vehicle(tmp_path / "flight", count=2)
    late = seen(START_NS + 10**10, [0, 0, 10, 10])
    placed, warnings = placed_in(path, TOPICS, [late], {late.stamp_ns: {7: (0.0, 0.0, 0.0)}})
    assert len(placed.east_north) == 0
    assert warnings == ["1 tracks were not placed on the ground: stale"]
    _, warnings = placed_in(path, {"/x": ODOMETRY}, [late], {late.stamp_ns: {}})
    assert "no nav_msgs/msg/Odometry or sensor_msgs/msg/CameraInfo" in warnings[0]
    assert placed_in(path, TOPICS, [late], {})[1] == []
