"""The base of the nodes that look at images."""

from __future__ import annotations

from uav_perception.nodes.diagnostics import ERROR, Health, worst
from uav_perception.nodes.images import IMAGE_PARAMETERS, ImageHub, ImageOptions, ImageTap, Listener
from uav_perception.nodes.managed import ManagedNode
from uav_perception.nodes.parameters import Parameter


class ImageNode(ManagedNode):
    """A managed node that takes images from a hub, which it may share with other nodes of its process.

    Args:
        name: the node's default name.
        table: its own parameters.
        hub: the process's image subscriptions; None for one of its own.
        options: further arguments of `rclpy.lifecycle.LifecycleNode`.
    """

    def __init__(self, name: str, table: tuple[Parameter, ...], hub: ImageHub | None, **options: object) -> None:
        self._hub = hub or ImageHub()
        self._tap: ImageTap | None = None
        super().__init__(name, IMAGE_PARAMETERS + table, **options)

    def listen(self, listener: Listener) -> None:
        """Begin to take images; does nothing when they are taken already."""
        if self._tap is None:
            options = ImageOptions(
                transport=str(self.parameters["image_transport"]), stall_timeout=float(self.parameters["stall_timeout"])
            )
            self._tap = self._hub.open(self, options, listener)

    def stop_listening(self) -> None:
        """Take no more images."""
        if self._tap is not None:
            self._tap.close()
            self._tap = None

    def input_health(self, pipeline: Health) -> Health:
        """The pipeline's health, or the input's when no image arrives."""
        if self._tap is None:
            return pipeline
        problem = self._tap.problem()
        values = {"image_topic": self._tap.topic, "malformed": self._tap.malformed}
        if not problem:
            return Health(pipeline.level, pipeline.message, {**pipeline.values, **values})
        return worst(Health(ERROR, problem, values), pipeline)
