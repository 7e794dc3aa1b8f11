"""Starting, refusing, warning and stopping: what a user meets before the first detection, and after the last."""

from __future__ import annotations

import os
import re
import signal
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import rclpy
import yaml
from ros_client import Camera, blob, wait_until
from sensor_msgs.msg import CompressedImage, Image
from uav_perception.msg import ActionArray, ActionLabel, DetectionArray

from uav_perception.frames.compressed import encode_jpeg
from uav_perception.inference.contract import read_contract, write_contract
from uav_perception.nodes.conversions import from_time, to_header
from uav_perception.nodes.qos import results, sensor

SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND


def _family(nodes) -> list[psutil.Process]:
    parent = psutil.Process(nodes.process.pid)
    return [parent, *parent.children(recursive=True)]


def test_a_missing_model_is_refused_with_the_reason_and_can_be_corrected(run, client, models, tmp_path):
    nodes = run("--model", tmp_path / "nothing.onnx", "--nodes", "detector", "--namespace", "a1")
    nodes.wait_for("cannot configure: the detector model")
    assert f"{tmp_path / 'nothing.onnx'} does not exist" in nodes.output
    assert client.state("/a1/detector") == "unconfigured"
    wait_until(
        lambda: "does not exist" in getattr(client.diagnostics.get("a1/detector"), "message", ""), 10, "the reason"
    )
    assert client.set_parameter("/a1/detector", "model", str(models["blobs"])) == (True, "")
    assert client.change_state("/a1/detector", "configure")
    assert client.change_state("/a1/detector", "activate")
    assert "Traceback" not in nodes.output


def test_a_truncated_model_is_refused(run, client, models, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(models["blobs"].read_bytes()[:200])
    nodes = run("--model", broken, "--nodes", "detector", "--namespace", "a2")
    nodes.wait_for("cannot configure")
    assert str(broken) in nodes.output and "Traceback" not in nodes.output
    assert client.state("/a2/detector") == "unconfigured"


def test_a_bad_value_in_the_parameter_file_is_refused_until_it_is_corrected(run, client, models, tmp_path):
    parameters = {"model": str(models["blobs"]), "score_threshold": 3.0, "tracking": "perhaps"}
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump({"/**/detector": {"ros__parameters": parameters}}))
    nodes = run("--params-file", path, "--nodes", "detector", "--namespace", "a3")
    nodes.wait_for("cannot configure")
    assert "score_threshold" in nodes.output and "tracking must be of type bool, but got 'perhaps'" in nodes.output
    assert client.set_parameter("/a3/detector", "score_threshold", 0.3) == (True, "")
    assert not client.change_state("/a3/detector", "configure")
    assert client.set_parameter("/a3/detector", "tracking", False) == (True, "")
    assert client.change_state("/a3/detector", "configure")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no model is named, so there is nothing to run"),
        (("--model", "m.onnx", "--nodes", "detector,radar"), "there is no node radar; known are detector"),
        (("--model", "m.onnx", "-p", "score=1"), "must have the form NODE.NAME=VALUE"),
        (("--model", "m.onnx", "-p", "detektor.threads=1"), "there is no node detektor; known are detector"),
        (("--model", "m.onnx", "-p", "detector.model=a: b: c"), "is no value in YAML; put a text into quotes"),
        (("--params-file", "/no/such.yaml"), "the parameter file /no/such.yaml does not exist"),
        (("--model", "m.onnx", "--namespace", "drone-1"), "Couldn't parse remap rule: '-r __ns:=/drone-1'"),
    ],
)
def test_a_command_that_cannot_work_ends_at_once_with_one_line(run, arguments, message):
    nodes = run(*arguments)
    assert nodes.process.wait(20) in (1, 2)
    assert message in nodes.output and "Traceback" not in nodes.output


def test_the_newest_image_wins_and_the_overtaken_ones_are_counted(run, client, models):
    nodes = run("--model", models["slow"], "--nodes", "detector", "--image", "/a4/image", "--namespace", "a4",
                "-p", "detector.threads=1", "-p", "detector.tracking=false")  # fmt: skip
    client.wait_for_state("/a4/detector", "active")
    found = client.collect(DetectionArray, "/a4/detector/detections", results())
    camera = Camera(client, "/a4/image")
    camera.wait_for_subscribers()
    wait_until(lambda: client.node.count_publishers("/a4/detector/detections") == 1, 10, "the detector's publisher")
    sent = 60
    for index in range(sent):
        camera.send(blob(), NOW + index * SECOND // 30)
        time.sleep(1 / 30)
        if index == sent // 2:  # services answer while the network is busy
            begin = time.monotonic()
            assert client.set_parameter("/a4/detector", "score_threshold", 0.4)[0]
            assert time.monotonic() - begin < 2.0
    wait_until(lambda: from_time(found[-1].header.stamp) >= NOW + (sent - 2) * SECOND // 30, 10, "the newest image")
    stamps = [from_time(message.header.stamp) for message in found]
    assert stamps == sorted(stamps) and len(stamps) < sent
    wait_until(lambda: int(client.values("a4/detector")["dropped"]) > 0, 10, "dropped images in diagnostics")
    wait_until(lambda: int(client.values("a4/detector")["processed"]) == len(found), 10, "the counts to settle")
    values = {name: int(client.values("a4/detector")[name]) for name in ("received", "processed", "dropped", "failed")}
    assert values["received"] == values["processed"] + values["dropped"] + values["failed"]
    assert nodes.is_alive()


def test_the_limits_that_the_models_contract_names_hold_until_a_parameter_says_otherwise(run, client, models, tmp_path):
    strict = tmp_path / "strict.onnx"
    strict.write_bytes(models["blobs"].read_bytes())
    contract = read_contract(strict)
    write_contract(strict, replace(contract, decoder_options={**contract.decoder_options, "score_threshold": 0.95}))
    run("--model", strict, "--nodes", "detector", "--image", "/b1/image", "--namespace", "b1",
        "-p", "detector.tracking=false")  # fmt: skip
    client.wait_for_state("/b1/detector", "active")
    found = client.collect(DetectionArray, "/b1/detector/detections", results())
    camera = Camera(client, "/b1/image")
    camera.wait_for_subscribers()
    wait_until(lambda: client.node.count_publishers("/b1/detector/detections") == 1, 10, "the detector's publisher")
    for index, (threshold, expected) in enumerate([(0.0, 0), (0.5, 1), (0.0, 0)]):
        assert client.set_parameter("/b1/detector", "score_threshold", threshold) == (True, "")
        camera.send(blob(), NOW + index * SECOND)
        wait_until(lambda count=index + 1: len(found) == count, 10, "the detections")
        assert len(found[-1].detections) == expected


def test_incompatible_quality_of_service_is_explained_with_the_remedy(run, client, models):
    nodes = run("--model", models["blobs"], "--nodes", "detector", "--image", "/a5/image", "--namespace", "a5",
                "-p", "detector.qos_overrides./a5/image.subscription.reliability=reliable")  # fmt: skip
    client.wait_for_state("/a5/detector", "active")
    Camera(client, "/a5/image", sensor())
    nodes.wait_for("offers reliability best_effort, this node asks for reliable")
    assert re.search(r"/a5/image: (/test_client|a publisher) offers", nodes.output)
    assert "Set the parameter `qos_overrides./a5/image.subscription.reliability` to best_effort" in nodes.output


def test_a_camera_that_publishes_but_does_not_arrive_is_explained(run, client, models):
    nodes = run("--model", models["blobs"], "--nodes", "detector", "--image", "/a6/image", "--namespace", "a6",
                "-p", "detector.stall_timeout=0.5")  # fmt: skip
    client.wait_for_state("/a6/detector", "active")
    nodes.wait_for("Nobody publishes /a6/image. Start the camera")
    camera = Camera(client, "/a6/image")
    nodes.wait_for("/test_client publishes /a6/image, but no image has arrived within 0.5 s")
    line = next(line for line in nodes.output.splitlines() if "no image has arrived" in line)
    if "fastrtps" in rclpy.get_rmw_implementation_identifier():
        name, _, path = line.rsplit(" ", 1)[1].partition("=")
        assert name.endswith("_DEFAULT_PROFILES_FILE") and Path(path).is_file()
    wait_until(
        lambda: "no image has arrived" in client.diagnostics["a6/detector"].message, 10, "the cause in diagnostics"
    )
    camera.wait_for_subscribers()
    for index in range(5):
        camera.send(blob(), NOW + index * SECOND)
        time.sleep(0.05)
    nodes.wait_for("No image on /a6/image for 0.5 s, though /test_client still publishes it")


def test_a_topic_of_another_type_is_explained(run, client, models):
    nodes = run("--model", models["blobs"], "--nodes", "detector", "--image", "/a7/image", "--namespace", "a7",
                "-p", "detector.stall_timeout=0.5")  # fmt: skip
    client.wait_for_state("/a7/detector", "active")
    client.node.create_publisher(CompressedImage, "/a7/image", sensor())
    nodes.wait_for(
        "publishes /a7/image as sensor_msgs/msg/CompressedImage, but this node expects sensor_msgs/msg/Image"
    )


def test_compressed_images_are_taken_when_asked(run, client, models):
    run("--model", models["blobs"], "--nodes", "detector", "--image", "/a8/image", "--namespace", "a8",
        "-p", "detector.image_transport=compressed", "-p", "detector.tracking=true")  # fmt: skip
    client.wait_for_state("/a8/detector", "active")
    found = client.collect(DetectionArray, "/a8/detector/detections", results())
    camera = client.node.create_publisher(CompressedImage, "/a8/image/compressed", sensor())
    wait_until(lambda: camera.get_subscription_count() == 1, 10, "the detector's subscription")
    for index in range(30):
        message = CompressedImage(header=to_header(NOW + index * SECOND // 10, "camera"), format="jpeg")
        message.data = encode_jpeg(blob())
        camera.publish(message)
        time.sleep(0.05)
    wait_until(lambda: bool(found) and bool(found[-1].detections), 10, "detections")
    (box,) = found[-1].detections
    assert (box.x_min, box.y_min, box.x_max, box.y_max) == pytest.approx((80, 60, 180, 120), abs=4)
    assert box.track_id >= 1


def test_every_tracked_actor_gets_its_own_label(run, client, models):
    run("--model", models["blobs"], "--action-model", models["brightness"], "--nodes", "detector,action",
        "--image", "/a14/image", "--namespace", "a14", "-p", "action.scope=track", "-p", "action.actor_classes=blob",
        "-p", "detector.threads=1", "-p", "action.threads=1", "-p", "action.crop_scale=1.2")  # fmt: skip
    client.wait_for_state("/a14/detector", "active")
    client.wait_for_state("/a14/action", "active")
    found = client.collect(ActionArray, "/a14/action/actions", results())
    camera = Camera(client, "/a14/image")
    camera.wait_for_subscribers()

    stamp = NOW

    def labelled() -> bool:
        nonlocal stamp
        stamp += SECOND // 10
        camera.send(blob(60, 40, 160, 160), stamp)
        time.sleep(0.1)
        return any(label.label == "bright" for message in found for label in message.actions)

    wait_until(labelled, 20, "the label of an actor")
    label = next(label for message in found for label in message.actions if label.label == "bright")
    assert label.scope == ActionLabel.SCOPE_TRACK and label.track_id >= 1
    assert all(label.scope == ActionLabel.SCOPE_TRACK for message in found for label in message.actions)


def test_without_autostart_the_nodes_wait_for_a_manager(run, client, models):
    run("--model", models["blobs"], "--nodes", "detector", "--namespace", "a9", "--no-autostart")
    client.wait_for_state("/a9/detector", "unconfigured")
    assert client.change_state("/a9/detector", "configure")
    assert client.state("/a9/detector") == "inactive"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_every_process_without_a_traceback(run, client, models, number):
    nodes = run("--model", models["blobs"], "--nodes", "detector,overlay", "--namespace", "a10", "--separate")
    client.wait_for_state("/a10/detector", "active")
    client.wait_for_state("/a10/overlay", "active")
    family = _family(nodes)
    assert len(family) == 3
    assert nodes.stop(number) == 0
    gone, alive = psutil.wait_procs(family, timeout=5)
    assert not alive and len(gone) == 3
    assert "Traceback" not in nodes.output


def test_killing_the_command_takes_the_nodes_with_it(run, client, models):
    nodes = run("--model", models["blobs"], "--nodes", "detector", "--namespace", "a11")
    client.wait_for_state("/a11/detector", "active")
    family = _family(nodes)
    nodes.stop(signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive


def test_a_process_that_dies_is_started_again_when_asked(run, client, models):
    nodes = run("--model", models["blobs"], "--nodes", "detector", "--namespace", "a12", "--respawn")
    client.wait_for_state("/a12/detector", "active")
    child = _family(nodes)[1].pid
    os.kill(child, signal.SIGKILL)
    nodes.wait_for("was ended by SIGKILL; it starts again in 2 s")
    # Asking for the state would reach the dead node as well, which the middleware forgets only after a while.
    wait_until(lambda: nodes.output.count("[a12.detector]: active") == 2, 20, "the node to be active again")
    assert len(_family(nodes)) == 2 and _family(nodes)[1].pid != child


def test_images_of_camera_size_arrive_from_another_process(run, client, models):
    """With the shipped profile on both sides, best effort: nearly every 720p image comes through."""
    run("--model", models["blobs"], "--nodes", "detector", "--image", "/a13/image", "--namespace", "a13")
    client.wait_for_state("/a13/detector", "active")
    camera = client.node.create_publisher(Image, "/a13/image", sensor())
    wait_until(lambda: camera.get_subscription_count() == 1, 10, "the detector's subscription")
    message = Image(height=720, width=1280, encoding="bgr8", step=3 * 1280)
    message.data = bytes(720 * 1280 * 3)
    for index in range(30):
        message.header = to_header(NOW + index * SECOND // 10, "camera")
        camera.publish(message)
        time.sleep(0.1)
    wait_until(lambda: int(client.values("a13/detector").get("received", "0")) >= 25, 10, "25 of 30 images")
