"""The lifecycle of a managed node, in this process and without a network."""

import os
import threading
import time

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")
pytest.importorskip("uav_perception.msg", reason="the messages are not built")

import rclpy
from lifecycle_msgs.msg import State
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter

from uav_perception.nodes.diagnostics import ERROR, OK, STALE, WARN, Health, as_text, worst
from uav_perception.nodes.errors import NodeError
from uav_perception.nodes.managed import ManagedNode
from uav_perception.nodes.parameters import Parameter
from uav_perception.nodes.qos import OVERRIDABLE

SUCCESS, FAILURE, ERRED = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)


class Example(ManagedNode):
    """Fails where it is told to, and keeps a diary."""

    def __init__(self, **overrides):
        self.diary, self.fault, self.changes = [], {}, []
        self.may_load, self.loading_threads, self.taken = threading.Event(), [], []
        self.may_load.set()
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

    def load(self):
        self.loading_threads.append(threading.current_thread())
        assert self.may_load.wait(10)
        self._step("load")
        return self.parameters["model"]

    def configure(self, loaded):
        self.taken.append(loaded)
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
    assert node.diary[:5] == ["load", "configure", "activate", "deactivate", "cleanup"]
    assert node.loading_threads == [threading.main_thread()]  # the answer of a transition cannot wait


def test_an_expected_error_fails_the_transition_and_tells_the_reason(make):
    node = make()
    node.fault = {"configure": NodeError("no model is named.")}
    assert node.trigger_configure() == FAILURE and node.state_label == "unconfigured"
    assert node.diary == ["load", "configure", "cleanup"]
    health = node._report()
    assert health.level == ERROR and health.message == "cannot configure: no model is named."
    node.fault = {}
    assert node.trigger_configure() == SUCCESS and node._report().level == STALE


def test_a_refused_activation_leaves_the_node_inactive(make):
    node = make()
    node.trigger_configure()
    node.fault = {"activate": OSError("no camera")}
    assert node.trigger_activate() == FAILURE and node.state_label == "inactive"
    assert node.diary == ["load", "configure", "activate", "deactivate"]


def test_an_unexpected_error_goes_through_error_processing_back_to_unconfigured(make):
    node = make()
    node.fault = {"configure": RuntimeError("surprise")}
    assert node.trigger_configure() == ERRED and node.state_label == "unconfigured"
    assert "unexpectedly: RuntimeError: surprise" in node._report().message
    node.fault = {}
    assert node.trigger_configure() == SUCCESS


def test_a_topic_that_ros_refuses_is_an_error_of_the_user(make):
    node = make(**{"qos_overrides./typo.publisher.reliability": "reliabel"})
    node.load = lambda: node.create_publisher(State, "/typo", 1, qos_overriding_options=OVERRIDABLE)
    assert node.trigger_configure() == FAILURE
    assert node._report().message.startswith("cannot configure: cannot open the topic /typo: Unexpected QoS override")
    node.load = lambda: node.create_subscription(State, "two words", print, 1)
    assert node.trigger_configure() == FAILURE
    assert "cannot open the topic two words: Invalid topic name" in node._report().message


def test_a_missing_library_is_named(make):
    node = make()
    node.fault = {"configure": ModuleNotFoundError("No module named 'openvino'", name="openvino")}
    assert node.trigger_configure() == FAILURE
    assert node._report().message.startswith("cannot configure: the module 'openvino' is missing. Install it for /")


def test_a_bad_override_is_refused_at_configuration_and_can_be_corrected(make):
    node = make(level=7.0)
    assert node.parameters["level"] == 0.5
    assert node.trigger_configure() == FAILURE and node.diary == ["cleanup"]
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


@pytest.fixture
def spin():
    """Spins a node until something holds."""
    executor = SingleThreadedExecutor()

    def until(node, condition):
        executor.add_node(node)
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline
            executor.spin_once(timeout_sec=0.05)

    yield until
    executor.shutdown()


def test_a_node_that_starts_itself_loads_while_the_process_spins(make, spin):
    node = make(autostart=True)
    node.may_load.clear()
    spun = []
    node.create_timer(0.01, lambda: spun.append(node._report()))
    spin(node, lambda: len(spun) > 20)
    assert len(node.loading_threads) == 1 and node.loading_threads[0] is not threading.main_thread()
    assert (spun[-1].level, spun[-1].message) == (STALE, "loading") and node.state_label == "unconfigured"
    node.may_load.set()
    spin(node, lambda: node.state_label == "active")
    assert node.taken == ["a"] and node._report().level == OK


def test_what_was_loaded_for_older_parameters_is_loaded_again(make, spin):
    node = make(autostart=True)
    node.may_load.clear()
    spin(node, lambda: bool(node.loading_threads))
    assert node.set_parameters([RosParameter("model", value="b")])[0].successful
    node.may_load.set()
    spin(node, lambda: node.state_label == "active")
    assert node.taken == ["b"] and node.diary.count("load") == 2


def test_a_manager_that_is_faster_gets_what_is_being_loaded(make, spin):
    node = make(autostart=True)
    node.may_load.clear()
    spin(node, lambda: bool(node.loading_threads))
    node.may_load.set()
    assert node.trigger_configure() == SUCCESS
    ticks = []
    node.create_timer(0.05, lambda: ticks.append(1))
    spin(node, lambda: len(ticks) > 4)
    assert node.state_label == "inactive" and node.diary == ["load", "configure"]


def test_a_shutdown_while_it_loads_is_final_and_lets_go_of_what_was_loaded(make, spin):
    node = make(autostart=True)
    node.may_load.clear()
    spin(node, lambda: bool(node.loading_threads))
    assert node.trigger_shutdown() == SUCCESS
    node.may_load.set()
    spin(node, lambda: node._report().message == "finalized")
    assert node.taken == [] and node.state_label == "finalized"


def test_a_loading_that_fails_tells_the_reason(make, spin):
    node = make(autostart=True)
    node.fault = {"load": NodeError("no such model.")}
    spin(node, lambda: node._report().level == ERROR)
    assert node._report().message == "cannot configure: no such model." and node.state_label == "unconfigured"


def test_the_worst_health_leads_and_brings_all_values():
    health = worst(Health(OK, "fine", {"a": 1}), Health(WARN, "slow", {"b": 2}))
    assert (health.level, health.message, health.values) == (WARN, "slow", {"a": 1, "b": 2})


@pytest.mark.parametrize(("value", "text"), [(0.123456, "0.1235"), (float("nan"), "n/a"), (12, "12"), ("x", "x")])
def test_values_are_shown_for_people(value, text):
    assert as_text(value) == text
