"""Notices that images are announced but do not arrive, and says why."""

from __future__ import annotations

from dataclasses import dataclass

from uav_perception.nodes.transport import profile_assignment


@dataclass(frozen=True)
class PublisherInfo:
    """One publisher on the image topic.

    Attributes:
        node: full name of the publishing node.
        topic_type: its message type, for example ``sensor_msgs/msg/Image``.
    """

    node: str
    topic_type: str


class ImageWatchdog:
    """Watches one subscription; pure logic, its owner tells it the time.

    Args:
        topic: full name of the image topic.
        topic_type: the type that is subscribed to.
        timeout: silence that is worth a warning [s].
        middleware: ``rmw_*`` implementation in use; the shared-memory advice is given for Fast DDS only.
    """

    def __init__(self, topic: str, topic_type: str, timeout: float, middleware: str) -> None:
        self._topic = topic
        self._type = topic_type
        self._timeout = timeout
        self._middleware = middleware
        self._last: float | None = None
        self._announced: float | None = None
        self._started: float | None = None
        self._problem = ""

    @property
    def problem(self) -> str:
        """What is wrong now; empty while images arrive."""
        return self._problem

    @property
    def ever_arrived(self) -> bool:
        """Whether any image has arrived."""
        return self._last is not None

    def arrived(self, now: float) -> None:
        """An image arrived at ``now`` [s, monotonic]."""
        self._last = now
        self._problem = ""

    def check(self, now: float, publishers: list[PublisherInfo]) -> str:
        """Look at the state at ``now``; call it about once a second.

        Args:
            now: the time [s, monotonic].
            publishers: who publishes on the topic at present.

        Returns:
            A warning to log, only when it differs from the one before; otherwise an empty string.
        """
        if self._started is None:
            self._started = now
        if publishers and self._announced is None:
            self._announced = now
        if not publishers:
            self._announced = None
        before, self._problem = self._problem, self._judge(now, publishers)
        return self._problem if self._problem != before else ""

    def _judge(self, now: float, publishers: list[PublisherInfo]) -> str:
        quiet_since = max(t for t in (self._last, self._announced, self._started) if t is not None)
        if now - quiet_since < self._timeout:
            return "" if self._last is not None and now - self._last < self._timeout else self._problem
        if not publishers:
            return (
                f"Nobody publishes {self._topic}. Start the camera, or name its topic with `image:=/its/topic` "
                "(see `ros2 topic list -t`)."
            )
        names = ", ".join(sorted({p.node for p in publishers}))
        types = sorted({p.topic_type for p in publishers if p.topic_type})
        if types and self._type not in types:
            return (
                f"{names} publishes {self._topic} as {', '.join(types)}, but this node expects {self._type}. "
                "Name the other topic with `image:=`, or set the parameter image_transport."
            )
        if self._last is not None:
            return f"No image on {self._topic} for {self._timeout:g} s, though {names} still publishes it."
        text = f"{names} publishes {self._topic}, but no image has arrived within {self._timeout:g} s. "
        if "fastrtps" in self._middleware:
            return text + (
                "The usual cause is Fast DDS's shared-memory segment of 512 KB in the camera's process, smaller than "
                f"an image. Start the camera with this before its command: {profile_assignment()}"
            )
        return text + "See docs/images_arrive.md for the usual causes."
