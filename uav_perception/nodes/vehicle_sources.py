"""The adapter to the vehicle and its gimbal that a node's parameters name."""

from __future__ import annotations

from rclpy.node import Node
from sensor_msgs.msg import Range

from uav_perception.flight.buffer import BufferOptions, StateBuffer
from uav_perception.flight.errors import StateError
from uav_perception.flight.state import VehicleState
from uav_perception.nodes.errors import NodeError
from uav_perception.nodes.mavros_input import (
    OdometryInput,
    mavros_input,
    subscribe_gimbal_quaternion,
    subscribe_mavros_gimbal,
)
from uav_perception.nodes.parameters import Parameters
from uav_perception.nodes.px4_input import Px4Input
from uav_perception.nodes.qos import sensor
from uav_perception.nodes.tf_input import TfInput
from uav_perception.nodes.vehicle_input import Inbox, VehicleInput


class VehicleLink:
    """The vehicle and its gimbal. It subscribes when it is made.

    Args:
        node: subscribes and logs.
        parameters: of the node, with `VEHICLE_PARAMETERS`.

    Raises:
        NodeError: the messages it needs are not installed, or settings contradict each other.
    """

    def __init__(self, node: Node, parameters: Parameters) -> None:
        self._buffer = StateBuffer(BufferOptions(max_gap_s=float(parameters["max_state_gap"])))
        self._inbox = Inbox(node, self._buffer)
        self._vehicle: VehicleInput | None = None
        try:
            self._vehicle = _open_vehicle(self._inbox, parameters)
            _open_gimbal(self._inbox, parameters)
        except NodeError:
            self.close()
            raise

    def at(self, stamp_ns: int, camera_frame: str, height_matters: bool) -> VehicleState:
        """The state at a stamp, from any thread; see `StateBuffer.at`.

        Raises:
            StateError: there is none for this stamp; says why.
        """
        if stamp_ns == 0:
            raise StateError("no_stamp", "The images carry no stamp. Let the camera's driver stamp them.")
        with self._inbox.lock:
            self._vehicle.prepare(stamp_ns, camera_frame)
            return self._buffer.at(stamp_ns, height_matters)

    def counts(self) -> dict[str, int]:
        """What was odd, for diagnostics: jumps of the state and messages that could not be used, by reason."""
        return {
            **{f"state_{event}": count for event, count in sorted(self._buffer.events.items())},
            **{f"message_{reason}": count for reason, count in sorted(self._inbox.refused.items())},
        }

    def close(self) -> None:
        """End the subscriptions."""
        (self._vehicle or self._inbox).close()


def _open_vehicle(inbox: Inbox, parameters: Parameters) -> VehicleInput:
    """Subscribe to the vehicle.

    Raises:
        NodeError: the messages it needs are not installed, or settings contradict each other.
    """
    vehicle, gimbal, height = (str(parameters[name]) for name in ("vehicle", "gimbal", "height_source"))
    fix, range_topic = str(parameters["fix_topic"]), str(parameters["range_topic"])
    if height == "relative_altitude" and vehicle != "mavros":
        raise NodeError(f"height_source relative_altitude needs vehicle mavros, but vehicle is {vehicle}.")
    if vehicle == "mavros":
        return mavros_input(inbox, str(parameters["mavros_prefix"]), height, range_topic)
    if vehicle == "px4":
        return Px4Input(inbox, str(parameters["px4_prefix"]), height, gimbal == "px4")
    if vehicle == "tf":
        return TfInput(inbox, str(parameters["map_frame"]), str(parameters["base_frame"]), fix, gimbal == "tf")
    source = OdometryInput(inbox, str(parameters["odometry_topic"]), fix)
    if height == "range":
        inbox.subscribe(Range, range_topic, source.take_range, sensor())
    return source


def _open_gimbal(inbox: Inbox, parameters: Parameters) -> None:
    """Subscribe to the gimbal; those of PX4 and tf come with the vehicle.

    Raises:
        NodeError: the messages it needs are not installed, or it does not go with the vehicle.
    """
    gimbal, vehicle = parameters["gimbal"], parameters["vehicle"]
    if gimbal == "quaternion":
        subscribe_gimbal_quaternion(inbox, str(parameters["gimbal_topic"]))
    elif gimbal == "mavros":
        subscribe_mavros_gimbal(inbox, str(parameters["mavros_prefix"]))
    elif gimbal in ("px4", "tf") and vehicle != gimbal:
        raise NodeError(f"gimbal {gimbal} needs vehicle {gimbal}, but vehicle is {vehicle}.")
