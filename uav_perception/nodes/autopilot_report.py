"""Tells the autopilot that perception is alive: a heartbeat through MAVROS, and how the computer is."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.publisher import Publisher

from uav_perception.nodes.errors import NodeError
from uav_perception.nodes.parameters import Parameter
from uav_perception.nodes.publishing import publish
from uav_perception.nodes.px4_input import px4_message, px4_topic
from uav_perception.nodes.qos import results, sensor

REPORT_PARAMETERS = (
    Parameter(
        "report",
        "none",
        "Tell the autopilot once a second that perception is alive: a HEARTBEAT and the computer's state (MAVROS), or "
        "the computer's state alone (PX4).",
        choices=("none", "mavros", "px4"),
        change="unconfigured",
    ),
    Parameter(
        "report_component",
        25,
        "MAVLink component id of the heartbeat: 25 (user) to 99, or 196 and 197 (avoidance, odometry).",
        minimum=1,
        maximum=255,
        change="unconfigured",
    ),
    Parameter("report_prefix", "", "Prefix of its topics; empty: mavros, or fmu/in for PX4.", change="unconfigured"),
)

_ACTIVE, _CRITICAL = 4, 5  # MAV_STATE
_MIB = 1024 * 1024
# How MAVLink's ONBOARD_COMPUTER_STATUS marks what is not known: the largest value of the field's type.
_UNUSED = {
    "cpu_cores": 2**8 - 1,
    "cpu_combined": 2**8 - 1,
    "gpu_cores": 2**8 - 1,
    "gpu_combined": 2**8 - 1,
    "temperature_core": 2**7 - 1,
    "fan_speed": 2**15 - 1,
    "storage_type": 2**32 - 1,
    "storage_usage": 2**32 - 1,
    "storage_total": 2**32 - 1,
    "link_type": 2**32 - 1,
    "link_tx_rate": 2**32 - 1,
    "link_rx_rate": 2**32 - 1,
    "link_tx_max": 2**32 - 1,
    "link_rx_max": 2**32 - 1,
}


class AutopilotReport:
    """Publishes once a second while the node is active.

    Args:
        node: publishes.
        kind: ``mavros`` or ``px4``.
        component: MAVLink component id, for MAVROS.
        prefix: of the topics; empty for the usual one.

    Raises:
        NodeError: the messages of the autopilot are not installed.
    """

    def __init__(self, node: Node, kind: str, component: int, prefix: str) -> None:
        self._node = node
        self._component = component
        self.is_healthy = True
        self._outputs: list[tuple[Publisher, Callable[[], object]]] = []
        if kind == "mavros":
            prefix = prefix or "mavros"
            heartbeat, computer = _mavros_messages()
            self._add(heartbeat, f"{prefix}/companion_process/status", results(), self._heartbeat)
            self._add(computer, f"{prefix}/onboard_computer/status", results(), self._computer_with_header)
        else:
            computer = px4_message("OnboardComputerStatus")
            topic = px4_topic(prefix or "fmu/in", "onboard_computer_status", computer)
            self._add(computer, topic, sensor(), self._computer_with_time)
        self._timer = node.create_timer(1.0, self._send, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        """Stop."""
        self._node.destroy_timer(self._timer)
        for publisher, _ in self._outputs:
            self._node.destroy_publisher(publisher)

    def _add(self, kind: type, topic: str, qos: object, fill: Callable[[object], None]) -> None:
        def filled() -> object:
            message = kind()
            fill(message)
            return message

        self._outputs.append((self._node.create_publisher(kind, topic, qos), filled))

    def _send(self) -> None:
        for publisher, filled in self._outputs:
            publish(publisher, filled(), self._node)

    def _heartbeat(self, message: object) -> None:
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.state = _ACTIVE if self.is_healthy else _CRITICAL
        message.component = self._component

    def _computer_with_header(self, message: object) -> None:
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.component = self._component
        _fill_computer(message)

    def _computer_with_time(self, message: object) -> None:
        message.timestamp = time.time_ns() // 1000
        _fill_computer(message)


def _fill_computer(message: object) -> None:
    """Loads and memory, in the fields that MAVROS's and PX4's message share with MAVLink's."""
    for name, unused in _UNUSED.items():
        setattr(message, name, [unused] * len(getattr(message, name)))
    message.temperature_board = 2**7 - 1
    memory = psutil.virtual_memory()
    loads = [round(load) for load in psutil.cpu_percent(percpu=True)][: len(message.cpu_cores)]
    message.cpu_cores[: len(loads)] = loads
    message.uptime = int((time.time() - psutil.boot_time()) * 1000) % 2**32
    message.ram_usage = memory.used // _MIB
    message.ram_total = memory.total // _MIB


def _mavros_messages() -> tuple[type, type]:
    try:
        from mavros_msgs.msg import CompanionProcessStatus, OnboardComputerStatus
    except ModuleNotFoundError as error:
        raise NodeError(
            "report is mavros, but mavros_msgs is not installed. Install ros-$ROS_DISTRO-mavros-msgs, or set report to "
            "none."
        ) from error
    return CompanionProcessStatus, OnboardComputerStatus
