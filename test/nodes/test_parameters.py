"""Parameter tables, and the shipped parameter file against them."""

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")
pytest.importorskip("uav_perception.msg", reason="the messages are not built")

from uav_perception.nodes import action_node, detector_node, geolocation_node, overlay_node
from uav_perception.nodes.images import IMAGE_PARAMETERS
from uav_perception.nodes.managed import COMMON_PARAMETERS
from uav_perception.nodes.parameters import Parameter
from uav_perception.nodes.plan import NODES, read_parameters
from uav_perception.resources import resource

TABLES = {
    "detector": COMMON_PARAMETERS + IMAGE_PARAMETERS + detector_node.PARAMETERS,
    "action": COMMON_PARAMETERS + IMAGE_PARAMETERS + action_node.PARAMETERS,
    "overlay": COMMON_PARAMETERS + IMAGE_PARAMETERS + overlay_node.PARAMETERS,
    "geolocation": COMMON_PARAMETERS + geolocation_node.PARAMETERS,
}


def test_every_node_has_its_table():
    assert set(TABLES) == set(NODES)


@pytest.mark.parametrize("node", TABLES)
def test_the_shipped_file_holds_every_parameter_with_its_default(node):
    shipped = read_parameters(resource("config", "perception.yaml"))
    defaults = {parameter.name: parameter.default for parameter in TABLES[node]}
    shared = {name: value for name, value in shipped["/**"].items() if name in defaults}
    assert shared.keys().isdisjoint(shipped[f"/**/{node}"])
    assert {**shared, **shipped[f"/**/{node}"]} == defaults


def test_the_shipped_file_shares_only_what_several_nodes_have():
    for name in read_parameters(resource("config", "perception.yaml"))["/**"]:
        assert sum(name in {parameter.name for parameter in table} for table in TABLES.values()) > 1, name


@pytest.mark.parametrize("name", ["mavros.yaml", "px4.yaml"])
def test_the_flight_stack_files_hold_valid_parameters(name):
    for key, values in read_parameters(resource("config", name)).items():
        tables = TABLES.values() if key == "/**" else [TABLES[key.rsplit("/", 1)[1]]]
        table = {parameter.name: parameter for table in tables for parameter in table}
        for parameter, value in values.items():
            table[parameter].checked(value)


@pytest.mark.parametrize("node", TABLES)
def test_every_parameter_is_described_and_within_its_own_limits(node):
    for parameter in TABLES[node]:
        assert parameter.description.endswith(".")
        descriptor = parameter.descriptor()
        assert descriptor.description == parameter.description
        assert descriptor.read_only == (parameter.change == "never")


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        (Parameter("p", 0.5, "A."), 1, 1.0),
        (Parameter("p", 0.5, "A.", minimum=0.0, maximum=1.0), 1.0, 1.0),
        (Parameter("p", 1, "A."), 2, 2),
        (Parameter("p", "a", "A.", choices=("a", "b")), "b", "b"),
        (Parameter("p", True, "A."), False, False),
    ],
)
def test_good_values_are_taken_in_the_parameters_type(parameter, value, expected):
    checked = parameter.checked(value)
    assert checked == expected and type(checked) is type(expected)


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        (Parameter("p", 0.5, "A."), "x", "p must be of type float, but got 'x'"),
        (Parameter("p", 0.5, "A."), True, "p must be of type float, but got True"),
        (Parameter("p", 1, "A."), True, "p must be of type int, but got True"),
        (Parameter("p", 1, "A."), 1.0, "p must be of type int, but got 1.0"),
        (Parameter("p", True, "A."), 1, "p must be of type bool, but got 1"),
        (Parameter("p", 0.5, "A.", minimum=0.0, maximum=1.0), 1.5, "p must be from 0 to 1, but got 1.5"),
        (Parameter("p", 0.5, "A.", minimum=0.0), -1.0, "p must be at least 0, but got -1.0"),
        (Parameter("p", 0.5, "A.", maximum=1.0), 2.0, "p must be at most 1, but got 2.0"),
        (Parameter("p", 0.5, "A.", minimum=0.0, maximum=1.0), float("nan"), "p must be from 0 to 1, but got nan"),
        (Parameter("p", "a", "A.", choices=("a", "b")), "c", "p must be one of a, b, but got 'c'"),
    ],
)
def test_bad_values_are_refused_in_words(parameter, value, message):
    with pytest.raises(ValueError, match=message):
        parameter.checked(value)


def test_a_default_outside_its_own_limits_is_a_mistake_of_the_table():
    with pytest.raises(ValueError, match="p must be at most 1"):
        Parameter("p", 2.0, "A.", maximum=1.0)
    with pytest.raises(ValueError, match="change must be"):
        Parameter("p", 2.0, "A.", change="sometimes")
