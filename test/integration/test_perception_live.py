"""One process with detector, action and overlay node: what goes in, what comes out, and what it survives."""

from __future__ import annotations

import time

import numpy as np
import pytest
from ros_client import Camera, Nodes, blob, wait_until
from sensor_msgs.msg import CompressedImage, Image
from uav_perception.msg import ActionArray, ActionLabel, ClassNames, DetectionArray

from uav_perception.nodes.conversions import from_time, to_header
from uav_perception.nodes.qos import latched, results, sensor

IMAGE = "/uav1/camera/image_raw"
DETECTOR, ACTION, OVERLAY = "/uav1/detector", "/uav1/action", "/uav1/overlay"
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def perception(client, models, tmp_path_factory):
    """All nodes in one process, started once for this file."""
    log = tmp_path_factory.mktemp("perception") / "run.log"
    nodes = Nodes(
        log, "--model", models["blobs"], "--action-model", models["brightness"], "--image", IMAGE,
        "--namespace", "uav1",
        "-p", "detector.tracking=false", "-p", "action.scope=both", "-p", "action.actor_classes=",
        "-p", "detector.threads=1", "-p", "action.threads=1",
    )  # fmt: skip
    yield nodes
    nodes.stop()


@pytest.fixture(scope="module")
def camera(client, perception):
    """A camera that the nodes listen to."""
    for node in (DETECTOR, ACTION, OVERLAY):
        client.wait_for_state(node, "active")
    camera = Camera(client, IMAGE)
    camera.wait_for_subscribers()
    yield camera
    camera.close()


@pytest.fixture(scope="module")
def detections(client, camera):
    """All detections since the start."""
    found = client.collect(DetectionArray, f"{DETECTOR}/detections", results())
    wait_until(lambda: client.node.count_publishers(f"{DETECTOR}/detections") == 1, 10, "the detector's publisher")
    return found


_clock = [1_800_000_000 * SECOND]


def next_stamp(step_s: float = 0.1) -> int:
    """Stamps that rise through the whole file."""
    _clock[0] += round(step_s * SECOND)
    return _clock[0]


def exchange(camera, detections, image, stamp_ns=None, frame_id="camera_optical_frame"):
    """Send an image until its detections come (best effort may lose one), and give them."""
    for _ in range(20):
        stamp = stamp_ns or next_stamp()
        camera.send(image, stamp, frame_id)
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            for message in reversed(detections):
                if from_time(message.header.stamp) == stamp:
                    return message
            time.sleep(0.01)
    raise AssertionError("no detections came for 20 images")


def test_one_subscription_serves_all_nodes_of_the_process(client, camera):
    assert client.node.count_subscribers(IMAGE) == 1


def test_detections_carry_the_images_own_stamp_frame_and_pixels(camera, detections):
    message = exchange(camera, detections, blob(80, 60, 100, 60), frame_id="drone_camera")
    assert message.header.frame_id == "drone_camera"
    assert (message.image_width, message.image_height, message.model) == (320, 240, "blobs")
    (found,) = message.detections
    assert (found.class_name, found.class_id, found.track_id) == ("blob", 0, -1)
    assert found.score == pytest.approx(0.9, abs=1e-6)
    assert (found.x_min, found.y_min, found.x_max, found.y_max) == pytest.approx((80, 60, 180, 120), abs=0.01)


def test_an_image_without_objects_gives_an_empty_array(camera, detections):
    assert exchange(camera, detections, np.zeros((240, 320, 3), np.uint8)).detections == []


def test_class_names_are_latched_for_a_late_subscriber(client, camera):
    detector = client.collect(ClassNames, f"{DETECTOR}/class_names", latched())
    action = client.collect(ClassNames, f"{ACTION}/class_names", latched())
    wait_until(lambda: detector and action, 10, "the class names")
    assert (detector[0].model, detector[0].task, list(detector[0].names)) == ("blobs", "detection", ["blob"])
    assert (action[0].model, action[0].task, list(action[0].names)) == ("brightness", "action", ["dark", "bright"])


def test_the_label_is_unknown_until_the_window_is_full_and_then_named(client, camera, detections):
    actions = client.collect(ActionArray, f"{ACTION}/actions", results())
    wait_until(lambda: client.node.count_publishers(f"{ACTION}/actions") == 1, 10, "the action node's publisher")
    next_stamp(5.0)  # a gap empties the window
    first = exchange(camera, detections, np.full((240, 320, 3), 200, np.uint8))
    for _ in range(15):
        exchange(camera, detections, np.full((240, 320, 3), 200, np.uint8))
    stamp_of_first = from_time(first.header.stamp)
    wait_until(lambda: any(m.actions[0].label == "bright" for m in actions), 10, "the label bright")
    whole = [m.actions[0] for m in actions if from_time(m.header.stamp) >= stamp_of_first]
    assert whole[0].label == "unknown" and whole[0].score == 0.0 and whole[0].scores == []
    named = next(label for label in whole if label.label == "bright")
    assert named.scope == ActionLabel.SCOPE_FRAME and named.track_id == -1 and named.segments == 3
    assert named.scores[0].class_name == "bright" and named.scores[0].score > 0.99
    span = from_time(named.window_end) - from_time(named.window_start)
    assert 0 < span <= 0.6 * SECOND


def test_a_jump_back_in_time_empties_the_window(client, camera, detections):
    actions = client.collect(ActionArray, f"{ACTION}/actions", results())
    bright = np.full((240, 320, 3), 200, np.uint8)
    for _ in range(8):
        exchange(camera, detections, bright)
    before = int(client.values("uav1/detector").get("time_jumps", "0"))
    _clock[0] -= 1000 * SECOND
    exchange(camera, detections, bright)

    def after_the_jump() -> list:
        return [message for message in actions if from_time(message.header.stamp) <= _clock[0]]

    wait_until(lambda: bool(after_the_jump()), 10, "a label after the jump")
    assert after_the_jump()[0].actions[0].label == "unknown"
    wait_until(lambda: int(client.values("uav1/detector")["time_jumps"]) == before + 1, 10, "the jump in diagnostics")


def test_the_overlay_draws_only_while_somebody_subscribes(client, camera, detections):
    exchange(camera, detections, blob())
    wait_until(lambda: "nobody subscribes" in client.diagnostics["uav1/overlay"].message, 10, "the overlay at rest")
    assert client.node.count_subscribers(f"{DETECTOR}/detections") == 2  # this test's and the action node's
    drawn: list = []
    subscription = client.node.create_subscription(Image, f"{OVERLAY}/image", drawn.append, sensor())
    wait_until(lambda: client.node.count_subscribers(f"{DETECTOR}/detections") == 3, 10, "the overlay to wake up")
    wait_until(lambda: exchange(camera, detections, blob()) and bool(drawn), 20, "a drawn image")
    image = np.frombuffer(drawn[-1].data, np.uint8).reshape(240, 320, 3)
    assert (image != blob()).any() and drawn[-1].header.frame_id == "camera_optical_frame"
    client.node.destroy_subscription(subscription)
    wait_until(lambda: client.node.count_subscribers(f"{DETECTOR}/detections") == 2, 10, "the overlay to rest")


def test_the_overlay_compresses_for_a_subscriber_of_compressed_images(client, camera, detections):
    drawn: list = []
    subscription = client.node.create_subscription(
        CompressedImage, f"{OVERLAY}/image/compressed", drawn.append, sensor()
    )
    wait_until(lambda: exchange(camera, detections, blob()) and bool(drawn), 20, "a drawn image")
    assert bytes(drawn[-1].data[:3]) == b"\xff\xd8\xff"
    client.node.destroy_subscription(subscription)


def test_parameters_change_while_the_network_runs(client, camera, detections):
    assert client.set_parameter(DETECTOR, "score_threshold", 0.95) == (True, "")
    assert exchange(camera, detections, blob()).detections == []
    assert client.set_parameter(DETECTOR, "score_threshold", 0) == (True, "")  # a whole number for a float
    assert len(exchange(camera, detections, blob()).detections) == 1
    assert client.set_parameter(DETECTOR, "score_threshold", 0.3) == (True, "")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("score_threshold", 1.5, "score_threshold"),
        ("score_threshold", float("nan"), "score_threshold"),
        ("score_threshold", "high", "score_threshold must be of type float, but got 'high'."),
        ("max_detections", -1, "max_detections"),
        ("model", "/other.onnx", "model can be changed only while the node is unconfigured"),
        ("backend", "abacus", "backend must be one of onnxruntime"),
        ("autostart", False, "read-only"),
    ],
)
def test_a_bad_parameter_is_refused_with_the_reason(client, camera, name, value, reason):
    taken, text = client.set_parameter(DETECTOR, name, value)
    assert not taken
    assert reason in text


def test_parameters_describe_themselves(client, camera):
    descriptor = client.describe(DETECTOR, "score_threshold")
    assert "score" in descriptor.description
    assert (descriptor.floating_point_range[0].from_value, descriptor.floating_point_range[0].to_value) == (0.0, 1.0)
    assert client.describe(DETECTOR, "autostart").read_only
    assert "onnxruntime, tensorrt" in client.describe(DETECTOR, "backend").additional_constraints


def _broken_images():
    header = to_header(1, "camera")
    good = blob().tobytes()
    yield "unknown encoding", Image(header=header, height=240, width=320, encoding="cmyk8", step=960, data=good)
    yield "short data", Image(header=header, height=240, width=320, encoding="bgr8", step=960, data=good[:1000])
    yield "short step", Image(header=header, height=240, width=320, encoding="bgr8", step=320, data=good)
    yield "zero size", Image(header=header, height=0, width=0, encoding="bgr8", step=0)
    yield "huge size", Image(header=header, height=2**31, width=2**31, encoding="bgr8", step=2**31)


@pytest.mark.parametrize(
    ("name", "message"), list(_broken_images()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_broken_image_is_counted_and_the_node_goes_on(client, camera, detections, perception, name, message):
    wait_until(lambda: "failed" in client.values("uav1/detector"), 10, "the counts in diagnostics")
    failed = int(client.values("uav1/detector")["failed"])

    def refused() -> bool:
        message.header = to_header(next_stamp(), "camera")
        camera.publisher.publish(message)
        time.sleep(0.2)
        return int(client.values("uav1/detector")["failed"]) > failed

    wait_until(refused, 15, f"{name} to be counted")
    assert perception.is_alive()
    assert len(exchange(camera, detections, blob()).detections) == 1
    assert "Traceback" not in perception.output


def test_lifecycle_transitions_over_services(client, camera, detections):
    assert client.change_state(DETECTOR, "deactivate")
    assert client.state(DETECTOR) == "inactive"
    wait_until(lambda: client.node.count_subscribers(IMAGE) == 1, 10, "the action node to keep the subscription")
    assert client.change_state(DETECTOR, "cleanup")
    assert client.state(DETECTOR) == "unconfigured"
    taken, _ = client.set_parameter(DETECTOR, "max_lost", 3.0)
    assert taken
    assert client.change_state(DETECTOR, "configure")
    assert client.change_state(DETECTOR, "activate")
    camera.wait_for_subscribers()
    assert len(exchange(camera, detections, blob()).detections) == 1


def test_diagnostics_say_what_runs_and_how_fast(client, camera, detections):
    for _ in range(5):
        exchange(camera, detections, blob())
    wait_until(lambda: float(client.values("uav1/detector").get("rate_hz", "0")) > 0, 10, "a rate in diagnostics")
    values = client.values("uav1/detector")
    assert values["model"] == "blobs" and values["backend"].startswith("ONNX Runtime")
    assert float(values["latency_p50_ms"]) > 0 and float(values["latency_p99_ms"]) >= float(values["latency_p50_ms"])
    assert int(values["processed"]) >= 5 and values["image_topic"] == IMAGE
    assert client.diagnostics["uav1/detector"].hardware_id
    received, dropped = int(values["received"]), int(values["dropped"])
    assert received == int(values["processed"]) + dropped + int(values["failed"])
