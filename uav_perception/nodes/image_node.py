"""The base of the nodes that look at images."""

from __future__ import annotations

from uav_perception.nodes.diagnostics import ERROR, Health, worst
from uav_perception.nodes.gate import Gate
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
        self._gate: Gate | None = None
        super().__init__(name, IMAGE_PARAMETERS + table, **options)

    def listen(self, listener: Listener) -> None:
        """Begin to take images; does nothing when they are taken already."""
        if self._tap is None:
            options = ImageOptions(
                transport=str(self.parameters["image_transport"]), stall_timeout=float(self.parameters["stall_timeout"])
            )
            self._tap = self._hub.open(self, options, listener)

    def open_gate(self) -> None:
        """Let images through as the parameters of `GATE_PARAMETERS` say; without this call all pass."""
        names = ("gate", "mavros_prefix", "px4_prefix", "gate_modes")
        self._gate = Gate(self, *(str(self.parameters[name]) for name in names))

    def close_gate(self) -> None:
        """End the gate's subscription."""
        if self._gate is not None:
            self._gate.close()
            self._gate = None

    def passes(self) -> bool:
        """Whether an image may be looked at now; one that may not is counted."""
        if self._gate is None or self._gate.is_open:
            return True
        self._gate.held_back += 1
        return False

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
        if self._gate is not None:
            values["held_back"] = self._gate.held_back
        if not problem:
            closed = self._gate is not None and not self._gate.is_open
            message = self._gate.waits_for if closed else pipeline.message
            return Health(pipeline.level, message, {**pipeline.values, **values})
        return worst(Health(ERROR, problem, values), pipeline)
