"""Image subscriptions: raw serialised bytes in, one decoded frame for every node of the process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rclpy.node import Node
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CompressedImage, Image

from uav_perception.frames.errors import FrameError
from uav_perception.nodes.errors import NodeError
from uav_perception.nodes.parameters import Parameter
from uav_perception.nodes.picture import Picture
from uav_perception.nodes.qos import OVERRIDABLE, Policies, SubscriptionEventCallbacks, mismatch, sensor
from uav_perception.nodes.watchdog import ImageWatchdog, PublisherInfo

IMAGE_PARAMETERS = (
    Parameter(
        "image_transport",
        "raw",
        "Subscribe to the topic `image` (raw), or to `image`/compressed.",
        choices=("raw", "compressed"),
        change="unconfigured",
    ),
    Parameter(
        "stall_timeout",
        3.0,
        "Silence of the camera after which a warning names the likely cause [s].",
        minimum=0.1,
        maximum=3600.0,
        change="unconfigured",
    ),
)

Listener = Callable[[Picture], None]


@dataclass(frozen=True)
class ImageOptions:
    """Where images come from.

    Attributes:
        topic: base topic, relative; remap it with ``image:=/camera/image_raw``.
        transport: ``raw`` or ``compressed``.
        stall_timeout: silence that is worth a warning [s].
    """

    topic: str = "image"
    transport: str = "raw"
    stall_timeout: float = 3.0


@dataclass
class _Channel:
    """One subscription and those who listen to it. The first listener's node owns the subscription."""

    topic: str
    compressed: bool
    watchdog: ImageWatchdog
    listeners: list[tuple[Node, Listener]] = field(default_factory=list)
    owner: Node | None = None
    subscription: object = None
    explained: set[str] = field(default_factory=set)
    malformed: int = 0


class ImageHub:
    """The image subscriptions of a process. Nodes that name the same topic share one, and its decoded frames.

    All calls come from the executor's thread.
    """

    def __init__(self) -> None:
        self._channels: dict[tuple[str, bool], _Channel] = {}

    def open(self, node: Node, options: ImageOptions, listener: Listener) -> ImageTap:
        """Subscribe.

        Args:
            node: for the names, the quality-of-service overrides, and the log.
            options: which images.
            listener: called on the executor's thread with each image; must return at once.

        Raises:
            NodeError: the topic's name or a quality-of-service override is refused.
        """
        topic = node.resolve_topic_name(options.topic)
        compressed = options.transport == "compressed"
        if compressed:
            topic += "/compressed"
        key = (topic, compressed)
        if key not in self._channels:
            kind = "sensor_msgs/msg/CompressedImage" if compressed else "sensor_msgs/msg/Image"
            watchdog = ImageWatchdog(topic, kind, options.stall_timeout, get_rmw_implementation_identifier())
            self._channels[key] = _Channel(topic, compressed, watchdog)
        channel = self._channels[key]
        channel.listeners.append((node, listener))
        try:
            self._own(channel)
        except NodeError:
            self.close(key, node)
            raise
        return ImageTap(self, key, node)

    def close(self, key: tuple[str, bool], node: Node) -> None:
        """Take a node's listener away; the last one ends the subscription."""
        channel = self._channels[key]
        channel.listeners = [(other, listener) for other, listener in channel.listeners if other is not node]
        if channel.owner is node:
            node.destroy_subscription(channel.subscription)
            channel.owner = channel.subscription = None
        if channel.listeners:
            self._own(channel)
        else:
            del self._channels[key]

    def channel(self, key: tuple[str, bool]) -> _Channel:
        """The channel behind a tap."""
        return self._channels[key]

    def _own(self, channel: _Channel) -> None:
        if channel.owner is not None:
            return
        node = channel.listeners[0][0]

        def receive(data: bytes) -> None:
            self._receive(channel, data)

        def incompatible(event: object) -> None:
            self._explain_mismatch(channel)

        channel.subscription = node.create_subscription(
            CompressedImage if channel.compressed else Image,
            channel.topic,
            receive,
            sensor(),
            raw=True,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=incompatible),
            qos_overriding_options=OVERRIDABLE,
        )
        channel.owner = node

    def _receive(self, channel: _Channel, data: bytes) -> None:
        now = time.monotonic()
        channel.watchdog.arrived(now)
        try:
            picture = Picture(data, channel.compressed, now)
        except FrameError as error:
            channel.malformed += 1
            channel.owner.get_logger().warning(
                f"{channel.topic}: a message that cannot be read was dropped: {error}", throttle_duration_sec=5.0
            )
            return
        for _, listener in list(channel.listeners):
            listener(picture)

    def publishers(self, channel: _Channel) -> list:
        """What the middleware knows about the publishers of a channel."""
        return channel.owner.get_publishers_info_by_topic(channel.topic)

    def mismatches(self, channel: _Channel) -> list[str]:
        """A text for each publisher whose quality of service does not fit this subscription's."""
        wanted = Policies.of(channel.subscription.qos_profile)
        texts = (
            mismatch(channel.topic, full_name(info), Policies.of(info.qos_profile), wanted)
            for info in self.publishers(channel)
        )
        return [text for text in texts if text]

    def _explain_mismatch(self, channel: _Channel) -> None:
        for text in self.mismatches(channel):
            if text not in channel.explained:
                channel.explained.add(text)
                channel.owner.get_logger().warning(text)


class ImageTap:
    """One node's share of an image subscription."""

    def __init__(self, hub: ImageHub, key: tuple[str, bool], node: Node) -> None:
        self._hub = hub
        self._key = key
        self._node = node

    @property
    def topic(self) -> str:
        """Full name of the topic that is subscribed to."""
        return self._key[0]

    @property
    def malformed(self) -> int:
        """Messages so far that were no image at all."""
        return self._hub.channel(self._key).malformed

    def problem(self) -> str:
        """Why no images arrive at present, empty while they do. Call it about once a second; a change is logged."""
        channel = self._hub.channel(self._key)
        mismatches = self._hub.mismatches(channel)
        if mismatches and not channel.watchdog.ever_arrived:
            return " ".join(mismatches)
        publishers = [PublisherInfo(full_name(info), info.topic_type) for info in self._hub.publishers(channel)]
        news = channel.watchdog.check(time.monotonic(), publishers)
        if news:
            self._node.get_logger().warning(news)
        return channel.watchdog.problem

    def close(self) -> None:
        """Stop listening."""
        self._hub.close(self._key, self._node)


def full_name(info: object) -> str:
    """The full name of the node behind an endpoint that the middleware reports; its name may come a moment later."""
    if "UNKNOWN" in info.node_name:
        return "a publisher"
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"
