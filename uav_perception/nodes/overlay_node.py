"""Draws detections and action labels over the images they were made from, while somebody looks."""

from __future__ import annotations

from array import array

import numpy as np
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import CompressedImage, Image

from uav_perception.frames.compressed import encode_jpeg
from uav_perception.inference.draw import draw_detections, draw_panel
from uav_perception.msg import ActionArray, ActionLabel, DetectionArray
from uav_perception.nodes import conversions
from uav_perception.nodes.diagnostics import OK, Health
from uav_perception.nodes.errors import NodeError
from uav_perception.nodes.image_node import ImageNode
from uav_perception.nodes.images import ImageHub
from uav_perception.nodes.matching import StampMatcher
from uav_perception.nodes.parameters import Parameter
from uav_perception.nodes.picture import Picture
from uav_perception.nodes.publishing import publish
from uav_perception.nodes.qos import OVERRIDABLE, results, sensor
from uav_perception.nodes.stream import Pipeline

_WAITING_IMAGES = 30  # about a second of images may wait for their detections
_AUDIENCE_PERIOD = 0.25  # how often the node looks whether anybody subscribes [s]
_LABEL_LIFE_NS = 1_500_000_000  # an action label is shown on images up to this much newer than it [ns]

PARAMETERS = (
    Parameter("jpeg_quality", 80, "Quality of ~/image/compressed.", minimum=1, maximum=100),
    Parameter("labels", True, "Write class, track id, score and action at each box."),
)


class OverlayNode(ImageNode):
    """Publishes ``~/image`` and ``~/image/compressed``, each only while it has a subscriber.

    Without a subscriber it takes no image and no detections, and costs nothing.

    Args:
        hub: the process's image subscriptions; None for one of its own.
        options: further arguments of `rclpy.lifecycle.LifecycleNode`.
    """

    def __init__(self, hub: ImageHub | None = None, **options: object) -> None:
        self._pipeline: Pipeline[tuple[Picture, DetectionArray]] | None = None
        self._raw: object = None
        self._compressed: object = None
        self._inputs: list[object] = []
        self._audience_timer: object = None
        self._waiting: StampMatcher[Picture, DetectionArray] = StampMatcher(_WAITING_IMAGES)
        self._labels: dict[int, tuple[int, ActionLabel]] = {}
        super().__init__("overlay", PARAMETERS, hub, **options)

    def configure(self, loaded: object) -> None:
        """Advertise the drawn images."""
        self._raw = self.create_publisher(Image, "~/image", sensor(), qos_overriding_options=OVERRIDABLE)
        self._compressed = self.create_publisher(
            CompressedImage, "~/image/compressed", sensor(), qos_overriding_options=OVERRIDABLE
        )

    def activate(self) -> None:
        """Begin to look for subscribers."""
        self._pipeline = Pipeline(self, self._draw, "overlay worker")
        self._audience_timer = self.create_timer(
            _AUDIENCE_PERIOD, self._follow_audience, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def deactivate(self) -> None:
        """Draw nothing more."""
        if self._audience_timer is not None:
            self.destroy_timer(self._audience_timer)
            self._audience_timer = None
        self._rest()
        if self._pipeline is not None:
            self._pipeline.stop()
            self._pipeline = None

    def cleanup(self) -> None:
        """Take the publishers away."""
        for publisher in (self._raw, self._compressed):
            if publisher is not None:
                self.destroy_publisher(publisher)
        self._raw = self._compressed = None

    def health(self) -> Health:
        """The worker's counts; fine without a subscriber."""
        health = self._pipeline.health()
        if not self._inputs:
            return Health(OK, "nobody subscribes, nothing is drawn", health.values)
        values = {**health.values, "detections_without_image": self._waiting.unmatched}
        return self.input_health(Health(health.level, health.message, values))

    def _has_audience(self) -> bool:
        return self._raw.get_subscription_count() > 0 or self._compressed.get_subscription_count() > 0

    def _follow_audience(self) -> None:
        if self._has_audience() and not self._inputs:
            try:
                self._wake()
            except NodeError as error:
                self._rest()
                self.get_logger().error(str(error), throttle_duration_sec=5.0)
        elif self._inputs and not self._has_audience():
            self._rest()

    def _wake(self) -> None:
        self._inputs = [
            self.create_subscription(
                DetectionArray,
                "detector/detections",
                self._take_detections,
                results(),
                qos_overriding_options=OVERRIDABLE,
            ),
            self.create_subscription(
                ActionArray, "action/actions", self._take_actions, results(), qos_overriding_options=OVERRIDABLE
            ),
        ]
        self.listen(self._take_picture)

    def _rest(self) -> None:
        self.stop_listening()
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs = []
        self._waiting.clear()
        self._labels = {}

    def _take_picture(self, picture: Picture) -> None:
        self._pair(self._waiting.add_left(picture.stamp_ns, picture))

    def _take_detections(self, message: DetectionArray) -> None:
        self._pair(self._waiting.add_right(conversions.from_time(message.header.stamp), message))

    def _take_actions(self, message: ActionArray) -> None:
        stamp_ns = conversions.from_time(message.header.stamp)
        fresh = {label.track_id: (stamp_ns, label) for label in message.actions}
        kept = {t: entry for t, entry in self._labels.items() if abs(stamp_ns - entry[0]) <= _LABEL_LIFE_NS}
        self._labels = {**kept, **fresh}  # a new dictionary: the worker may be reading the old one

    def _pair(self, pair: tuple[Picture, DetectionArray] | None) -> None:
        if pair is not None:
            self._pipeline.worker.put(pair)

    def _draw(self, pair: tuple[Picture, DetectionArray]) -> None:
        """On the worker's thread: draw and publish what somebody subscribes to."""
        picture, detections = pair
        labels = {t: label for t, (stamp, label) in self._labels.items() if self._lives(stamp, picture.stamp_ns)}
        image = self._drawn(picture, detections, labels)
        header = conversions.to_header(picture.stamp_ns, picture.frame_id)
        done = False
        if self._raw.get_subscription_count():
            height, width = image.shape[:2]
            message = Image(header=header, height=height, width=width, encoding="bgr8", step=3 * width)
            message.data = array("B", image.tobytes())  # of anything else, messages before Kilted check each byte
            done = publish(self._raw, message, self)
        if self._compressed.get_subscription_count():
            message = CompressedImage(header=header, format="bgr8; jpeg compressed bgr8")
            message.data = array("B", encode_jpeg(image, int(self.parameters["jpeg_quality"])))
            done = publish(self._compressed, message, self) or done
        if done:
            self._pipeline.published(picture.received, picture.stamp_ns)

    @staticmethod
    def _lives(label_ns: int, image_ns: int) -> bool:
        return -_LABEL_LIFE_NS <= image_ns - label_ns <= _LABEL_LIFE_NS

    def _drawn(self, picture: Picture, message: DetectionArray, labels: dict[int, ActionLabel]) -> np.ndarray:
        names = {d.class_id: d.class_name for d in message.detections}
        listed = [names.get(class_id, "") for class_id in range(max(names, default=-1) + 1)]
        actions = {track_id: label.label for track_id, label in labels.items() if track_id >= 0}
        found = conversions.from_detection_array(message)
        image = draw_detections(picture.frame().image, found, listed, actions, labels=bool(self.parameters["labels"]))
        whole = labels.get(-1)
        if whole is None:
            return image
        return draw_panel(image, [whole.label, *((score.class_name, score.score) for score in whole.scores)])
