"""A flight over a known ground: a camera that looks straight down from 20 m, told by different autopilots."""

import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from flight_bags import START_NS, STEP_NS, header
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from uav_perception.evaluation.geolocation import geolocation_metrics
from uav_perception.evaluation.record import ImageRecord
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.evaluation.vehicle import placed_in, read_vehicle
from uav_perception.evaluation.vehicle_topics import (
    ATTITUDE,
    CAMERA_INFO,
    MAVROS_GIMBAL,
    ODOMETRY,
    PX4_GIMBAL,
    PX4_ODOMETRY,
    TRANSFORMS,
    vehicle_topics,
)
from uav_perception.frames.bags import camera_info
from uav_perception.inference.detections import Detections

WIDTH, HEIGHT, FOV = 640, 480, 60.0
FOCAL = WIDTH / 2 / np.tan(np.radians(FOV) / 2)
IMAGES = "/camera/image_raw"
PX4_TOPIC, PX4_GIMBAL_TOPIC = "/fmu/out/vehicle_odometry", "/fmu/out/gimbal_device_attitude_status"
TYPES = {
    "/mavros/local_position/odom": ODOMETRY,
    "/camera/camera_info": CAMERA_INFO,
    "/gimbal/attitude": ATTITUDE,
    "/mavros/gimbal_control/device/attitude_status": MAVROS_GIMBAL,
    PX4_TOPIC: PX4_ODOMETRY,
    PX4_GIMBAL_TOPIC: PX4_GIMBAL,
    "/tf_static": TRANSFORMS,
}
ODOM, INFO, GIMBAL, MAVLINK_GIMBAL = list(TYPES)[:4]
# The fields of the autopilots' messages; a bag brings its own definitions.
DEFINITIONS = {
    PX4_ODOMETRY: """
uint32 MESSAGE_VERSION = 0
uint64 timestamp
uint64 timestamp_sample
uint8 pose_frame
uint8 POSE_FRAME_NED = 1
float32[3] position
float32[4] q
uint8 velocity_frame
float32[3] velocity
float32[3] angular_velocity
float32[3] position_variance
float32[3] orientation_variance
float32[3] velocity_variance
uint8 reset_counter
int8 quality
""",
    PX4_GIMBAL: """
uint64 timestamp
uint8 target_system
uint8 target_component
uint16 device_flags
float32[4] q
float32 angular_velocity_x
float32 angular_velocity_y
float32 angular_velocity_z
uint32 failure_flags
""",
    MAVROS_GIMBAL: """
std_msgs/Header header
uint16 flags
geometry_msgs/Quaternion q
""",
}
EARTH_FRAME = 64


@pytest.fixture(scope="module")
def store():
    """Knows the autopilots' messages too, as the recorder did."""
    known = get_typestore(Stores.ROS2_KILTED)
    for name, text in DEFINITIONS.items():
        known.register(get_types_from_msg(text, name))
    return known


def message_of(topic, stamp, t):
    """The vehicle hangs at (100, 200, 20) m, its nose to the north; optical x points east, y south, z down."""
    point, quaternion, vector = (t[f"geometry_msgs/msg/{n}"] for n in ("Point", "Quaternion", "Vector3"))
    half = np.sqrt(0.5)
    if topic == ODOM:
        zero = vector(x=0.0, y=0.0, z=0.0)
        north = quaternion(x=0.0, y=0.0, z=half, w=half)
        pose = t["geometry_msgs/msg/Pose"](position=point(x=100.0, y=200.0, z=20.0), orientation=north)
        return t[ODOMETRY](
            header=header(stamp),
            child_frame_id="base_link",
            pose=t["geometry_msgs/msg/PoseWithCovariance"](pose=pose, covariance=np.zeros(36)),
            twist=t["geometry_msgs/msg/TwistWithCovariance"](
                twist=t["geometry_msgs/msg/Twist"](linear=zero, angular=zero), covariance=np.zeros(36)
            ),
        )
    if topic == PX4_TOPIC:
        return t[PX4_ODOMETRY](
            timestamp=0,
            timestamp_sample=stamp // 1000,
            pose_frame=1,
            position=np.array([200, 100, -20], np.float32),
            q=np.array([1, 0, 0, 0], np.float32),
            velocity_frame=1,
            **{name: np.zeros(3, np.float32) for name in ("velocity", "angular_velocity", "position_variance")},
            **{name: np.zeros(3, np.float32) for name in ("orientation_variance", "velocity_variance")},
            reset_counter=0,
            quality=0,
            MESSAGE_VERSION=0,
            POSE_FRAME_NED=1,
        )
    if topic == PX4_GIMBAL_TOPIC:
        return t[PX4_GIMBAL](
            timestamp=stamp // 1000,
            target_system=0,
            target_component=0,
            device_flags=EARTH_FRAME,
            q=np.array([half, 0, -half, 0], np.float32),  # nose down by a quarter turn
            angular_velocity_x=0.0,
            angular_velocity_y=0.0,
            angular_velocity_z=0.0,
            failure_flags=0,
        )
    if topic == MAVLINK_GIMBAL:
        down = quaternion(x=0.0, y=-half, z=0.0, w=half)
        return t[MAVROS_GIMBAL](header=header(stamp), flags=EARTH_FRAME, q=down)
    if topic == GIMBAL:
        return t[ATTITUDE](header=header(stamp), quaternion=quaternion(x=1.0, y=0.0, z=0.0, w=0.0))
    if topic == "/tf_static":
        # The optical frame on a plate that is turned about, in two steps; together optical x is the body's right.
        steps = [
            ("base_link", "plate", (0.3, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0)),
            ("/plate", "camera_optical_frame", (0.1, 0.0, 0.0), (half, half, 0.0, 0.0)),
        ]
        return t[TRANSFORMS](
            transforms=[
                t["geometry_msgs/msg/TransformStamped"](
                    header=t["std_msgs/msg/Header"](stamp=header(stamp).stamp, frame_id=parent),
                    child_frame_id=child,
                    transform=t["geometry_msgs/msg/Transform"](
                        translation=vector(x=x, y=y, z=z),
                        rotation=quaternion(x=q[0], y=q[1], z=q[2], w=q[3]),
                    ),
                )
                for parent, child, (x, y, z), q in steps
            ]
        )
    return camera_info(WIDTH, HEIGHT, FOV, header(stamp))


def write_vehicle(path, store, topics, count=10, storage=StoragePlugin.SQLITE3, damaged=(), changed=None):
    """A bag of some topics; the messages at ``damaged`` of the first topic are cut short, ``changed`` gets each topic,
    number and message and gives what is written."""
    with Writer(path, version=9, storage_plugin=storage) as writer:
        for topic in topics:
            connection = writer.add_connection(topic, TYPES[topic], typestore=store)
            for i in range(1 if topic == "/tf_static" else count):
                stamp = START_NS + i * STEP_NS
                message = message_of(topic, stamp, store.types)
                message = message if changed is None else changed(topic, i, message)
                data = bytes(store.serialize_cdr(message, TYPES[topic]))
                cut = topic == topics[0] and i in damaged
                writer.write(connection, stamp, data[:20] if cut else data)
    return path, {topic: TYPES[topic] for topic in topics}


def seen(stamp, box):
    truth = ImageTruth([box], [0], width=WIDTH, height=HEIGHT, track_ids=[7])
    return ImageRecord(0, "", stamp, Detections([box], [0.9], [0]), Detections([box], [0.9], [0], [3]), truth)


# 64 px right of the middle and 32 px above it (the lower edge counts).
BOX = [WIDTH / 2 + 54, HEIGHT / 2 - 62, WIDTH / 2 + 74, HEIGHT / 2 - 32]
PLACE = (100 + 20 * 64 / FOCAL, 200 + 20 * 32 / FOCAL)


def judged(path, topics, shift_ns=0, north=0.5, class_names=("thing",), place=PLACE):
    """The truth lies half a metre north of where the object is seen; its stamps differ by ``shift_ns``."""
    images = [seen(START_NS + i * STEP_NS, BOX) for i in range(10)]
    positions = {image.stamp_ns + shift_ns: {7: (place[0], place[1] + north, 0.0)} for image in images}
    placed, warnings = placed_in(path, topics, IMAGES, images, positions, class_names, tolerance_ns=1_000_000)
    return geolocation_metrics(placed), warnings


@pytest.mark.parametrize("storage", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
@pytest.mark.parametrize("pose", [ODOM, PX4_TOPIC])
@pytest.mark.parametrize("camera", [GIMBAL, MAVLINK_GIMBAL, PX4_GIMBAL_TOPIC, "/tf_static"])
def test_tracks_are_placed_where_they_are(tmp_path, store, pose, camera, storage):
    path, topics = write_vehicle(tmp_path / "flight", store, (pose, INFO, camera), storage=storage)
    metrics, warnings = judged(path, topics, shift_ns=400_000, north=0.5 if camera != "/tf_static" else 0.7)
    assert warnings == []
    assert metrics["targets"] == 10
    assert metrics["bias_east_m"] == pytest.approx(0.0, abs=0.03)  # half a pixel is 18 mm here
    # The plate is 0.2 m ahead of the body's middle: 0.3 m, less 0.1 m backwards.
    assert metrics["bias_north_m"] == pytest.approx(-0.5, abs=0.03)
    assert metrics["coverage_95"] == 1.0


def test_classes_of_usual_height_are_placed_by_it_as_the_node_does(tmp_path, store):
    """The middle of the box, 47 px above the image's, stands 0.85 m above the ground."""
    path, topics = write_vehicle(tmp_path / "flight", store, (ODOM, INFO, GIMBAL))
    place = (100 + (20 - 0.85) * 64 / FOCAL, 200 + (20 - 0.85) * 47 / FOCAL)
    metrics, warnings = judged(path, topics, north=0.0, class_names=("person",), place=place)
    assert warnings == []
    assert metrics["error_p95_m"] < 0.04
    assert judged(path, topics, north=0.0, place=place)[0]["error_median_m"] > 0.4


def test_boxes_that_cannot_be_placed_are_counted_by_reason(tmp_path, store):
    path, topics = write_vehicle(tmp_path / "flight", store, (ODOM, INFO, GIMBAL))
    image = seen(START_NS, [0, 0, 40, 40])
    placed, warnings = placed_in(path, topics, IMAGES, [image], {START_NS: {7: (0.0, 0.0, 0.0)}}, (), 0)
    assert len(placed.east_north) == 0
    assert warnings == ["1 boxes of tracks were not placed on the ground: cut_off"]


def test_a_reset_of_the_estimator_costs_the_images_around_it_and_not_those_before(tmp_path, store):
    def reset(topic, i, message):
        return replace(message, reset_counter=int(i >= 6)) if topic == PX4_TOPIC else message

    path, topics = write_vehicle(tmp_path / "flight", store, (PX4_TOPIC, INFO, GIMBAL), changed=reset)
    metrics, warnings = judged(path, topics)
    assert metrics["targets"] == 10
    assert warnings == []
    # Between the two poses around the reset nothing is known.
    images = [seen(START_NS + i * STEP_NS + STEP_NS // 2, BOX) for i in range(9)]
    positions = {image.stamp_ns: {7: (*PLACE, 0.0)} for image in images}
    placed, warnings = placed_in(path, topics, IMAGES, images, positions, ("thing",), tolerance_ns=0)
    assert len(placed.east_north) == 8
    assert warnings == ["1 boxes of tracks were not placed on the ground: too_old"]


def test_the_part_of_the_sensor_that_is_sent_is_known_to_the_camera(tmp_path, store):
    """A quarter of the sensor, its upper left: CameraInfo tells of the whole."""

    def cut(topic, i, message):
        region = store.types["sensor_msgs/msg/RegionOfInterest"]
        roi = region(x_offset=0, y_offset=0, width=WIDTH // 2, height=HEIGHT // 2, do_rectify=False)
        return replace(message, roi=roi) if topic == INFO else message

    path, topics = write_vehicle(tmp_path / "flight", store, (ODOM, INFO, GIMBAL), changed=cut)
    camera = read_vehicle(path, topics, IMAGES).camera
    assert (camera.width, camera.height) == (WIDTH // 2, HEIGHT // 2)
    assert camera.intrinsics[0, 0] == pytest.approx(FOCAL)
    assert camera.intrinsics[0, 2] == pytest.approx((WIDTH - 1) / 2)


def test_messages_that_are_of_no_use_are_counted_and_passed_over(tmp_path, store):
    path, topics = write_vehicle(tmp_path / "flight", store, (PX4_TOPIC, INFO, GIMBAL), damaged=(3, 4))
    metrics, warnings = judged(path, topics)
    assert metrics["targets"] == 10
    assert len(warnings) == 1
    assert warnings[0].startswith(f"2 messages on {PX4_TOPIC} are of no use, the first: ")


def test_a_bag_without_definitions_says_what_to_do(tmp_path, store):
    """As ROS 2 Humble records to sqlite3."""
    path, topics = write_vehicle(tmp_path / "flight", store, (PX4_TOPIC, INFO, GIMBAL))
    with sqlite3.connect(path / "flight.db3") as database:
        database.execute("DELETE FROM message_definitions")
    database.close()
    metrics, warnings = judged(path, topics)
    assert metrics["targets"] == 0
    assert f"the bag does not define {PX4_ODOMETRY} of {PX4_TOPIC}" in warnings[0]
    assert "ros2 bag record -s mcap" in warnings[0]
    path, topics = write_vehicle(tmp_path / "other", store, (ODOM, INFO, GIMBAL))
    with sqlite3.connect(path / "other.db3") as database:
        database.execute("DELETE FROM message_definitions")
    database.close()
    assert judged(path, topics)[0]["targets"] == 10


def test_a_camera_of_which_nothing_is_told_is_taken_to_look_ahead(tmp_path, store):
    path, topics = write_vehicle(tmp_path / "flight", store, (ODOM, INFO))
    vehicle = read_vehicle(path, topics, IMAGES)
    assert "does not say how the camera sits" in vehicle.warnings[0]
    assert "camera_optical_frame" in vehicle.warnings[0]
    np.testing.assert_allclose(vehicle.mount.optical_to_body[:, 2], [1, 0, 0], atol=1e-12)
    assert not vehicle.mount.gimbal


def test_what_cannot_be_placed_is_said(tmp_path, store):
    path, topics = write_vehicle(tmp_path / "flight", store, (ODOM, INFO, GIMBAL), count=2)
    late = seen(START_NS + 10**10, [0, 0, 10, 10])
    placed, warnings = placed_in(path, topics, IMAGES, [late], {late.stamp_ns: {7: (0.0, 0.0, 0.0)}}, (), 0)
    assert len(placed.east_north) == 0
    assert warnings == ["1 boxes of tracks were not placed on the ground: stale"]
    _, warnings = placed_in(path, {"/x": ODOMETRY}, IMAGES, [late], {late.stamp_ns: {}}, (), 0)
    assert "no nav_msgs/msg/Odometry (px4_msgs/msg/VehicleOdometry) or no sensor_msgs/msg/CameraInfo" in warnings[0]
    assert placed_in(path, topics, IMAGES, [late], {}, (), 0)[1] == []


def test_the_topics_of_the_camera_and_of_the_autopilot_are_chosen():
    topics = {
        "/drone1/cam/rear/camera_info": CAMERA_INFO,
        "/drone1/cam/front/camera_info": CAMERA_INFO,
        "/drone0/fmu/out/vehicle_odometry": PX4_ODOMETRY,
        "/drone1/fmu/out/vehicle_odometry_v1": PX4_ODOMETRY,
        "/drone1/fmu/in/vehicle_visual_odometry": PX4_ODOMETRY,
        "/ground_truth/odom": ODOMETRY,
        "/camera/odom": ODOMETRY,
        "/imu/quaternion": ATTITUDE,
    }
    chosen = vehicle_topics(topics, "/drone1/cam/front/image_raw/compressed")
    assert chosen.camera_info == "/drone1/cam/front/camera_info"
    assert chosen.pose == "/drone1/fmu/out/vehicle_odometry_v1"
    assert chosen.gimbal is None  # some sensor's own attitude
    assert chosen.transforms is None
    mavros = {**topics, "/mavros/local_position/odom": ODOMETRY}
    assert vehicle_topics(mavros, "/drone1/cam/front/image_raw").pose == "/mavros/local_position/odom"
    others = {topic: kind for topic, kind in topics.items() if "/out/" not in topic}
    assert vehicle_topics(others, "/drone1/cam/front/image_raw").pose == "/camera/odom"
