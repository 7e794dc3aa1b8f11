"""A bag played over real DDS: every byte, in order, at its pace; and clear errors."""

import itertools
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed; `make setup` brings it")
pytest.importorskip("uav_perception.msg", reason="the messages are not built; `make setup` builds them")

from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime  # noqa: E402
from rosbags.rosbag2 import StoragePlugin, Writer  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from uav_perception.frames.typestore import typestore  # noqa: E402
from uav_perception.nodes.live import image_stamp  # noqa: E402
from uav_perception.nodes.player import FlightPlayer, PlayError  # noqa: E402

SECOND = 1_000_000_000
_names = itertools.count()


@pytest.fixture(scope="module", autouse=True)
def ros():
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    rclpy.init(domain_id=1 + os.getpid() % 100)
    yield
    rclpy.try_shutdown()


@pytest.fixture
def node():
    node = rclpy.create_node(f"player_test_{next(_names)}")
    yield node
    node.destroy_node()


def _write_bag(path, images=6, step_s=0.05, topic="/camera/image_raw", storage=StoragePlugin.MCAP):
    store = typestore()
    types = store.types
    rng = np.random.default_rng(0)
    sent = []
    with Writer(path, version=9, storage_plugin=storage) as bag:
        connection = bag.add_connection(topic, "sensor_msgs/msg/Image", typestore=store)
        for index in range(images):
            stamp = 7 * SECOND + round(index * step_s * SECOND)
            time_ = types["builtin_interfaces/msg/Time"](stamp // SECOND, stamp % SECOND)
            header = types["std_msgs/msg/Header"](time_, "camera")
            data = rng.integers(0, 256, 8 * 6 * 3, dtype=np.uint8)
            message = types["sensor_msgs/msg/Image"](header, 6, 8, "bgr8", 0, 24, data)
            raw = bytes(store.serialize_cdr(message, "sensor_msgs/msg/Image"))
            bag.write(connection, stamp, raw)
            sent.append((stamp, data))
    return sent


def _receive(node, player, count, timeout=10.0):
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    received = []
    node.create_subscription(Image, "/camera/image_raw", received.append, qos_profile_sensor_data)
    assert player.wait_for_subscriber(timeout)
    played = []
    player.play(lambda item, data: (played.append((item, data)), rclpy.spin_once(node, timeout_sec=0)))
    deadline = time.monotonic() + timeout
    while len(received) < count and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.1)
    return received, played


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_every_message_arrives_as_it_was_recorded(tmp_path, node, storage):
    sent = _write_bag(tmp_path / "flight", storage=storage)
    player = FlightPlayer(node, tmp_path / "flight", rate=4.0)
    received, played = _receive(node, player, len(sent))
    player.close()
    assert [m.header.stamp.sec * SECOND + m.header.stamp.nanosec for m in received] == [stamp for stamp, _ in sent]
    for message, (_, data) in zip(received, sent, strict=True):
        np.testing.assert_array_equal(np.frombuffer(message.data, np.uint8), data)
    assert [image_stamp(data) for _, data in played] == [stamp for stamp, _ in sent]


def test_the_pace_is_that_of_the_recording_over_the_rate(tmp_path, node):
    _write_bag(tmp_path / "flight", images=5, step_s=0.2)
    player = FlightPlayer(node, tmp_path / "flight", rate=2.0)
    sent = []
    player.play(lambda item, data: sent.append(item))
    player.close()
    # Never early: 4 steps of 0.2 s at twice the speed take at least 0.4 s.
    assert sent[-1].sent_ns - sent[0].sent_ns >= 0.399 * SECOND


def test_it_stops_when_asked(tmp_path, node):
    _write_bag(tmp_path / "flight", images=5, step_s=10.0)
    player = FlightPlayer(node, tmp_path / "flight")
    sent = []
    assert player.play(lambda item, data: sent.append(item), should_stop=lambda: len(sent) == 1) is False
    player.close()
    assert len(sent) == 1


def test_a_missing_topic_names_those_that_are_there(tmp_path, node):
    _write_bag(tmp_path / "flight")
    with pytest.raises(PlayError, match=r"no topic /imu; it has /camera/image_raw"):
        FlightPlayer(node, tmp_path / "flight", topics=["/imu"])


def test_something_else_than_a_bag_is_refused(tmp_path, node):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PlayError, match="metadata"):
        FlightPlayer(node, tmp_path / "empty")


def test_a_bag_that_is_damaged_in_the_middle_says_so_and_how_to_repair_it(tmp_path, node):
    _write_bag(tmp_path / "flight", images=200, step_s=0.001, storage=StoragePlugin.SQLITE3)
    player = FlightPlayer(node, tmp_path / "flight")
    (file,) = (tmp_path / "flight").glob("*.db3")
    file.write_bytes(file.read_bytes()[:8192] + b"U" * 80_000)
    with pytest.raises(PlayError, match=r"flight is damaged from here on \(.*repair it with `ros2 bag reindex`"):
        player.play()
    player.close()


def test_the_rate_must_be_positive(tmp_path, node):
    with pytest.raises(PlayError, match="rate is 0"):
        FlightPlayer(node, tmp_path, rate=0)


def test_the_command_that_plays_for_ever_ends_with_a_signal(tmp_path):
    _write_bag(tmp_path / "flight")
    command = [sys.executable, "-m", "uav_perception", "play", str(tmp_path / "flight"), "--loop"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr.read(1)  # the progress bar: it plays
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGTERM


def test_what_was_latched_is_latched_again(tmp_path, node):
    """Such as /tf_static and MAVROS's state, whose subscribers get nothing from a volatile publisher."""
    store = typestore()
    text = store.types["std_msgs/msg/String"]("map to camera")
    never = QosTime(2147483647, 4294967295)
    offered = Qos(
        QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL, never, never,
        QosLiveliness.AUTOMATIC, never, False,
    )  # fmt: skip
    with Writer(tmp_path / "flight", version=8, storage_plugin=StoragePlugin.MCAP) as bag:
        topic = bag.add_connection("/static", "std_msgs/msg/String", typestore=store, offered_qos_profiles=[offered])
        bag.write(topic, SECOND, store.serialize_cdr(text, "std_msgs/msg/String"))
    player = FlightPlayer(node, tmp_path / "flight")
    assert player.play()
    received = []
    qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    node.create_subscription(String, "/static", received.append, qos)  # after the message was sent
    deadline = time.monotonic() + 10
    while not received and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.1)
    player.close()
    assert [message.data for message in received] == ["map to camera"]


def test_a_prefix_makes_a_namespace_or_is_refused(tmp_path, node):
    _write_bag(tmp_path / "flight")
    player = FlightPlayer(node, tmp_path / "flight", prefix="/drone1/")
    assert "/drone1/camera/image_raw" in dict(node.get_topic_names_and_types())
    player.close()
    with pytest.raises(PlayError, match="drone-1/camera/image_raw is no name of a topic"):
        FlightPlayer(node, tmp_path / "flight", prefix="drone-1")
