"""The action node on its own: whole images and actors are judged independently of each other."""

from __future__ import annotations

import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from ros_client import Camera, wait_until
from uav_perception.msg import ActionArray, ActionLabel, Detection, DetectionArray

from uav_perception.nodes.conversions import to_header
from uav_perception.nodes.qos import results

SECOND = 1_000_000_000
BRIGHT = np.full((240, 320, 3), 200, np.uint8)


class Actor:
    """A camera, and a detector that may be silent."""

    def __init__(self, client, namespace: str) -> None:
        self.camera = Camera(client, f"/{namespace}/image")
        self.camera.wait_for_subscribers()
        self.actions = client.collect(ActionArray, f"/{namespace}/action/actions", results())
        wait_until(lambda: client.node.count_publishers(f"/{namespace}/action/actions") == 1, 10, "the publisher")
        self._detections = None
        self._topic = (client, f"/{namespace}/detector/detections")
        self._stamp = 1_800_000_000 * SECOND

    def begin_to_detect(self) -> None:
        client, topic = self._topic
        self._detections = client.node.create_publisher(DetectionArray, topic, results())
        wait_until(lambda: self._detections.get_subscription_count() == 1, 10, "the node's subscription")

    def play(self, images: int) -> None:
        """Images at 20 Hz, with one person in each while the detector speaks."""
        for _ in range(images):
            self._stamp += SECOND // 20
            self.camera.send(BRIGHT, self._stamp)
            if self._detections is not None:
                person = Detection(
                    class_name="person", score=0.9, track_id=7, x_min=80.0, y_min=60.0, x_max=120.0, y_max=140.0
                )
                header = to_header(self._stamp, "camera_optical_frame")
                message = DetectionArray(header=header, image_width=320, image_height=240, detections=[person])
                self._detections.publish(message)
            time.sleep(0.05)

    def labels(self, scope: int) -> list[str]:
        return [label.label for message in self.actions for label in message.actions if label.scope == scope]


@pytest.fixture
def node(run, client, models):
    def start(namespace: str, scope: str) -> Actor:
        run("--action-model", models["brightness"], "--nodes", "action", "--namespace", namespace,
            "--image", f"/{namespace}/image", "-p", f"action.scope={scope}", "-p", "action.threads=1")  # fmt: skip
        client.wait_for_state(f"/{namespace}/action", "active")
        return Actor(client, namespace)

    return start


def test_whole_images_are_judged_while_the_detector_is_silent_and_actors_when_it_speaks(node, client):
    actor = node("a1", "both")
    actor.play(30)
    wait_until(lambda: "bright" in actor.labels(ActionLabel.SCOPE_FRAME), 10, "the label of the whole image")
    assert actor.labels(ActionLabel.SCOPE_TRACK) == []

    def complaint() -> bool:
        status = client.diagnostics["a1/action"]
        return status.level == DiagnosticStatus.WARN and "nobody publishes /a1/detector/detections" in status.message

    wait_until(complaint, 10, "the missing detector in diagnostics")
    actor.begin_to_detect()
    before = len(actor.labels(ActionLabel.SCOPE_FRAME))
    actor.play(30)
    wait_until(lambda: "bright" in actor.labels(ActionLabel.SCOPE_TRACK), 10, "the actor's label")
    assert len(actor.labels(ActionLabel.SCOPE_FRAME)) > before
    assert all(len({label.scope for label in message.actions}) == 1 for message in actor.actions)


def test_actors_alone_are_not_judged_without_a_detector(node, client):
    actor = node("a2", "track")
    actor.play(20)
    wait_until(lambda: int(client.values("a2/action")["received"]) == 0, 10, "diagnostics")
    assert actor.actions == []
