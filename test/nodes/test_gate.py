import os

import pytest
import rclpy
from rclpy.node import Node

from uav_perception.nodes.errors import NodeError
from uav_perception.nodes.gate import GATES, Gate, navigation_states


class Status:
    """Constants as px4_msgs/VehicleStatus of PX4 1.15 has them."""

    NAVIGATION_STATE_AUTO_MISSION = 3
    NAVIGATION_STATE_AUTO_LOITER = 4
    NAVIGATION_STATE_OFFBOARD = 14
    ARMING_STATE_ARMED = 2


@pytest.fixture(scope="module", autouse=True)
def ros():
    rclpy.init(domain_id=1 + os.getpid() % 100)
    yield
    rclpy.try_shutdown()


@pytest.fixture
def node():
    node = Node("gated")
    yield node
    node.destroy_node()


def test_navigation_states_by_name():
    assert navigation_states(Status, {"AUTO_MISSION", "OFFBOARD"}) == {3, 14}


def test_an_unknown_navigation_state_names_those_there_are():
    with pytest.raises(NodeError, match="no navigation state HOLD; gate_modes can be AUTO_LOITER, AUTO_MISSION, OFFB"):
        navigation_states(Status, {"HOLD", "OFFBOARD"})


def test_without_a_gate_it_is_open(node):
    gate = Gate(node, "none", "mavros", "fmu/out")
    assert gate.is_open and gate.waits_for == ""


@pytest.mark.parametrize("kind", [kind for kind in GATES if kind.endswith("mode")])
@pytest.mark.parametrize("modes", ["", " , "])
def test_a_gate_of_modes_needs_a_mode(node, kind, modes):
    with pytest.raises(NodeError, match=f"the gate {kind} needs gate_modes, for example"):
        Gate(node, kind, "mavros", "fmu/out", modes)
