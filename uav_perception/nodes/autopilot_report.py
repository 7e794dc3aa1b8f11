"""Tells the autopilot that perception is alive: a heartbeat through MAVROS, or the computer's state for PX4."""

from __future__ import annotations

import time

import psutil
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from uav_perception.nodes.errors import NodeError
from uav_perception.nodes.parameters import Parameter
from uav_perception.nodes.publishing import publish
from uav_perception.nodes.px4_input import px4_message, px4_topic
from uav_perception.nodes.qos import results, sensor

REPORT_PARAMETERS = (
    Parameter(
        "report",
        "none",
        "Tell the autopilot once a second that perception is alive: a HEARTBEAT through MAVROS, or PX4's "
        "onboard_computer_status.",
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
    Parameter("report_prefix", "", "Prefix of its topic; empty: mavros, or fmu/in for PX4.", change="unconfigured"),
)

_ACTIVE, _CRITICAL = 4, 5  # MAV_STATE
_MIB = 1024 * 1024
_UNUSED_8, _UNUSED_32 = 255, 2**32 - 1


class AutopilotReport:
    """Publishes once a second while the node is active.

    Args:
        node: publishes.
        kind: ``mavros`` or ``px4``.
        component: MAVLink component id, for MAVROS.
        prefix: of the topic; empty for the usual one.

    Raises:
        NodeError: the messages of the autopilot are not installed.
    """

    def __init__(self, node: Node, kind: str, component: int, prefix: str) -> None:
        self._node = node
        self._component = component
        self.is_healthy = True
        if kind == "mavros":
            self._message = _companion_process_status()
            topic, qos, self._fill = f"{prefix or 'mavros'}/companion_process/status", results(), self._heartbeat
        else:
            self._message = px4_message("OnboardComputerStatus")
            topic = px4_topic(prefix or "fmu/in", "onboard_computer_status", self._message)
            qos, self._fill = sensor(), self._computer
        self._publisher = node.create_publisher(self._message, topic, qos)
        self._timer = node.create_timer(1.0, self._send, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        """Stop."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    def _send(self) -> None:
        publish(self._publisher, self._fill(self._message()), self._node)

    def _heartbeat(self, message: object) -> object:
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.state = _ACTIVE if self.is_healthy else _CRITICAL
        message.component = self._component
        return message

    def _computer(self, message: object) -> object:
        """Loads and memory; fields that are not known carry MAVLink's mark for unused."""
        memory = psutil.virtual_memory()
        loads = [round(load) for load in psutil.cpu_percent(percpu=True)][:8]
        message.timestamp = time.time_ns() // 1000
        message.uptime = int((time.time() - psutil.boot_time()) * 1000) % _UNUSED_32
        message.cpu_cores = (loads + [_UNUSED_8] * 8)[:8]
        message.cpu_combined = [_UNUSED_8] * 10
        message.gpu_cores = [_UNUSED_8] * 4
        message.gpu_combined = [_UNUSED_8] * 10
        message.ram_usage = memory.used // _MIB
        message.ram_total = memory.total // _MIB
        return message


def _companion_process_status() -> type:
    try:
        from mavros_msgs.msg import CompanionProcessStatus
    except ModuleNotFoundError as error:
        raise NodeError(
            "report is mavros, but mavros_msgs is not installed. Install ros-$ROS_DISTRO-mavros-msgs, or set report to "
            "none."
        ) from error
    return CompanionProcessStatus
