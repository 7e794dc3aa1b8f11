"""The lifecycle of a managed node, in this process and without a network."""

import os

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")
pytest.importorskip("uav_perception.msg", reason="the messages are not built")

import rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter

from uav_perception.nodes.diagnostics import ERROR, OK, STALE, WARN, Health, as_text, worst
from uav_perception.nodes.errors import NodeError
from uav_perception.nodes.managed import ManagedNode
from uav_perception.nodes.parameters import Parameter

SUCCESS, FAILURE, ERRED = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)


class Example(ManagedNode):
    """Fails where it is told to, and keeps a diary."""

    def __init__(self, **overrides):
        self.diary, self.fault, self.changes = [], {}, []
        given = [RosParameter(name, value=value) for name, value in {"autostart": False, **overrides}.items()]
        table = (
            Parameter("level", 0.5, "A level.", minimum=0.0, maximum=1.0),
            Parameter("model", "a", "A model.", change="unconfigured"),
        )
        super().__init__("example", table, parameter_overrides=given)

    def _step(self, name):
        self.diary.append(name)
        if name in self.fault:
            raise self.fault[name]

    def configure(self):
        self._step("configure")

    def activate(self):
        self._step("activate")

    def deactivate(self):
        self._step("deactivate")

    def cleanup(self):
        self._step("cleanup")

    def parameter_changed(self, name, value):
        self.changes.append((name, value))


@pytest.fixture
def make(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    rclpy.init()
    nodes = []

    def make_node(**overrides):
        nodes.append(Example(**overrides))
        return nodes[-1]

    yield make_node
    for node in nodes:
        node.fault = {}
        node.destroy_node()
    rclpy.try_shutdown()


def test_a_whole_life(make):
    node = make()
    assert node.trigger_configure() == SUCCESS and node.state_label == "inactive"
    assert node._report().level == STALE
    assert node.trigger_activate() == SUCCESS and node.state_label == "active"
    assert node._report().level == OK
    assert node.trigger_deactivate() == SUCCESS and node.trigger_cleanup() == SUCCESS
    assert node.trigger_shutdown() == SUCCESS and node.state_label == "finalized"
    assert node.diary[:4] == ["configure", "activate", "deactivate", "cleanup"]


def test_an_expected_error_fails_the_transition_and_tells_the_reason(make):
    node = make()
    node.fault = {"configure": NodeError("no model is named.")}
    assert node.trigger_configure() == FAILURE and node.state_label == "unconfigured"
    assert node.diary == ["configure", "cleanup"]
    health = node._report()
    assert health.level == ERROR and health.message == "cannot configure: no model is named."
    node.fault = {}
    assert node.trigger_configure() == SUCCESS and node._report().level == STALE


def test_a_refused_activation_leaves_the_node_inactive(make):
    node = make()
    node.trigger_configure()
    node.fault = {"activate": OSError("no camera")}
    assert node.trigger_activate() == FAILURE and node.state_label == "inactive"
    assert node.diary == ["configure", "activate", "deactivate"]


def test_an_unexpected_error_goes_through_error_processing_back_to_unconfigured(make):
    node = make()
    node.fault = {"configure": RuntimeError("surprise")}
    assert node.trigger_configure() == ERRED and node.state_label == "unconfigured"
    assert "unexpectedly: RuntimeError: surprise" in node._report().message
    node.fault = {}
    assert node.trigger_configure() == SUCCESS


def test_a_missing_library_is_named(make):
    node = make()
    node.fault = {"configure": ModuleNotFoundError("No module named 'openvino'", name="openvino")}
    assert node.trigger_configure() == FAILURE
    assert node._report().message == "cannot configure: the module 'openvino' is missing."


def test_a_bad_override_is_refused_at_configuration_and_can_be_corrected(make):
    node = make(level=7.0)
    assert node.parameters["level"] == 0.5
    assert node.trigger_configure() == FAILURE and "configure" not in node.diary
    assert "level" in node._report().message
    assert node.set_parameters([RosParameter("level", value=1)])[0].successful
    assert node.parameters["level"] == 1.0 and node.changes == [("level", 1.0)]
    assert node.trigger_configure() == SUCCESS


def test_parameters_that_need_a_cleanup_say_so_while_configured(make):
    node = make()
    assert node.set_parameters([RosParameter("model", value="b")])[0].successful
    node.trigger_configure()
    result = node.set_parameters([RosParameter("model", value="c")])[0]
    assert not result.successful and "only while the node is unconfigured" in result.reason
    assert node.parameters["model"] == "b"


def test_the_worst_health_leads_and_brings_all_values():
    health = worst(Health(OK, "fine", {"a": 1}), Health(WARN, "slow", {"b": 2}))
    assert (health.level, health.message, health.values) == (WARN, "slow", {"a": 1, "b": 2})


@pytest.mark.parametrize(("value", "text"), [(0.123456, "0.1235"), (float("nan"), "n/a"), (12, "12"), ("x", "x")])
def test_values_are_shown_for_people(value, text):
    assert as_text(value) == text
