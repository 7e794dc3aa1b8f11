"""Lets images through only in a state of flight: a network on the ground only heats the companion computer."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from std_msgs.msg import Bool

from uav_perception.nodes.errors import NodeError
from uav_perception.nodes.parameters import Parameter
from uav_perception.nodes.px4_input import px4_message, px4_topic
from uav_perception.nodes.qos import latched, results, sensor
from uav_perception.nodes.vehicle_parameters import PREFIX_PARAMETERS

GATES = (
    "none",
    "topic",
    "mavros_armed",
    "mavros_airborne",
    "mavros_mode",
    "px4_armed",
    "px4_airborne",
    "px4_mode",
)

GATE_PARAMETERS = (
    Parameter(
        "gate",
        "none",
        "Look at images always (none), while the topic `enabled` (std_msgs/Bool) says so, or while the vehicle is "
        "armed, airborne or in one of `gate_modes`.",
        choices=GATES,
        change="unconfigured",
    ),
    Parameter(
        "gate_modes",
        "",
        "Flight modes in which the gates mavros_mode and px4_mode open, separated by commas: MAVROS's names "
        "(AUTO.MISSION, GUIDED) or PX4's navigation states (AUTO_MISSION, OFFBOARD).",
        change="unconfigured",
    ),
    *PREFIX_PARAMETERS,
)

_IN_AIR = 2  # mavros_msgs/ExtendedState.LANDED_STATE_IN_AIR
_ARMED = 2  # px4_msgs/VehicleStatus.ARMING_STATE_ARMED
_NAVIGATION_STATE = "NAVIGATION_STATE_"  # how px4_msgs/VehicleStatus names its constants
_EXAMPLES = {"mavros_mode": "AUTO.MISSION, GUIDED", "px4_mode": "AUTO_MISSION, OFFBOARD"}


class Gate:
    """Closed until the first message says otherwise; with ``none`` always open.

    Args:
        node: subscribes.
        kind: one of `GATES`.
        mavros_prefix: namespace of MAVROS.
        px4_prefix: prefix of PX4's topics.
        modes: flight modes that open the gates of modes, separated by commas.

    Attributes:
        is_open: whether images pass.
        held_back: how many did not.

    Raises:
        NodeError: the messages of the autopilot are not installed; a gate of modes without a mode, or with one that
            PX4 does not have.
    """

    def __init__(self, node: Node, kind: str, mavros_prefix: str, px4_prefix: str, modes: str = "") -> None:
        self._node = node
        self._kind = kind
        self._subscription: object = None
        self.is_open = kind == "none"
        self.held_back = 0
        if kind == "topic":
            self._follow(Bool, "enabled", results(), lambda message: message.data)
        elif kind == "mavros_armed":
            self._follow(_mavros_message("State"), f"{mavros_prefix}/state", latched(), lambda message: message.armed)
        elif kind == "mavros_airborne":
            self._follow(
                _mavros_message("ExtendedState"),
                f"{mavros_prefix}/extended_state",
                latched(),
                lambda message: message.landed_state == _IN_AIR,
            )
        elif kind == "mavros_mode":
            wanted, state = _modes(kind, modes), _mavros_message("State")
            self._follow(state, f"{mavros_prefix}/state", latched(), lambda message: message.mode.upper() in wanted)
        elif kind == "px4_armed":
            status = px4_message("VehicleStatus")
            topic = px4_topic(px4_prefix, "vehicle_status", status)
            self._follow(status, topic, sensor(), lambda message: message.arming_state == _ARMED)
        elif kind == "px4_airborne":
            landed = px4_message("VehicleLandDetected")
            topic = px4_topic(px4_prefix, "vehicle_land_detected", landed)
            self._follow(landed, topic, sensor(), lambda message: not message.landed)
        elif kind == "px4_mode":
            wanted, status = _modes(kind, modes), px4_message("VehicleStatus")
            states = navigation_states(status, wanted)
            topic = px4_topic(px4_prefix, "vehicle_status", status)
            self._follow(status, topic, sensor(), lambda message: message.nav_state in states)

    @property
    def waits_for(self) -> str:
        """What it waits for, in words; empty when it is open."""
        return "" if self.is_open else f"waiting for the gate {self._kind}"

    def close(self) -> None:
        """End the subscription."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _follow(self, kind: type, topic: str, qos: object, judge: Callable[[object], bool]) -> None:
        def take(message: object) -> None:
            is_open = bool(judge(message))
            if is_open != self.is_open:
                self._node.get_logger().info(f"the gate {self._kind} {'opens' if is_open else 'closes'}")
            self.is_open = is_open

        self._subscription = self._node.create_subscription(kind, topic, take, qos)


def _modes(kind: str, text: str) -> set[str]:
    modes = {mode.strip().upper() for mode in text.split(",")} - {""}
    if not modes:
        raise NodeError(f"the gate {kind} needs gate_modes, for example {_EXAMPLES[kind]!r}.")
    return modes


def navigation_states(status: type, names: set[str]) -> set[int]:
    """Values of px4_msgs/VehicleStatus.nav_state by their names, without the prefix NAVIGATION_STATE_.

    Raises:
        NodeError: this release of PX4 has no such state; lists those it has.
    """
    known = {
        name.removeprefix(_NAVIGATION_STATE): getattr(status, name)
        for name in dir(status)
        if name.startswith(_NAVIGATION_STATE)
    }
    missing = sorted(names - known.keys())
    if missing:
        raise NodeError(
            f"PX4 has no navigation state {', '.join(missing)}; gate_modes can be {', '.join(sorted(known))}."
        )
    return {known[name] for name in names}


def _mavros_message(name: str) -> type:
    try:
        import mavros_msgs.msg as messages
    except ModuleNotFoundError as error:
        raise NodeError(
            "the gates of MAVROS need mavros_msgs, which is not installed. Install ros-$ROS_DISTRO-mavros-msgs, or set "
            "gate to topic or none."
        ) from error
    return getattr(messages, name)
