"""The base of every node here: a lifecycle node that starts itself and says why it refuses."""

from __future__ import annotations

import traceback
from concurrent.futures import Future, ThreadPoolExecutor, wait

from lifecycle_msgs.msg import State
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription

from uav_perception.errors import UavPerceptionError
from uav_perception.nodes.diagnostics import ERROR, OK, STALE, Diagnostics, Health
from uav_perception.nodes.errors import missing_module
from uav_perception.nodes.parameters import Parameter, Parameters, Value
from uav_perception.nodes.qos import refusals_explained

COMMON_PARAMETERS = (
    Parameter("autostart", True, "Configure and activate at the start, without a lifecycle manager.", change="never"),
    Parameter("hardware_id", "", "What diagnostics name as the hardware; empty: this machine's name.", change="never"),
)

# What a user can mend: our own errors, files and devices, values that a library refuses.
EXPECTED_ERRORS = (UavPerceptionError, OSError, ValueError)

_LOADING_PERIOD = 0.05  # how often it is looked whether the loading is done [s]


class ManagedNode(LifecycleNode):
    """A lifecycle node with checked parameters, autostart and diagnostics.

    A derived node implements `load`, `configure` and `activate`, which raise when something is wrong, and `deactivate`
    and `cleanup`. The reason is logged and shown in diagnostics, the transition fails, and the process lives on.

    A node that starts itself loads on a thread, and the other nodes of its process go on meanwhile. A transition that
    is asked for by service is answered by the callback that carries it out, so there the process waits.

    Args:
        name: the node's default name.
        table: its own parameters.
        options: further arguments of `rclpy.lifecycle.LifecycleNode`.
    """

    def __init__(self, name: str, table: tuple[Parameter, ...], **options: object) -> None:
        super().__init__(name, **options)
        self._refusal = ""
        self._loading: Future | None = None
        self._is_outdated = False  # a parameter has changed since the loading began
        self.parameters = Parameters(self, COMMON_PARAMETERS + table, self._is_unconfigured, self._parameter_changed)
        self._diagnostics = Diagnostics(self, self._report, str(self.parameters["hardware_id"]))
        self._autostart_timer = None
        if self.parameters["autostart"]:
            self._autostart_timer = self.create_timer(
                0.0, self._autostart, clock=Clock(clock_type=ClockType.STEADY_TIME)
            )

    # What a derived node implements.

    def load(self) -> object:
        """Do what takes long, such as loading a model and running it once; the result goes to `configure`.

        It may run on another thread than everything else: it reads parameters and touches nothing else of the node.
        Raises with the reason when it cannot.
        """

    def configure(self, loaded: object) -> None:
        """Take over what `load` gave, and advertise. Raises with the reason when it cannot."""

    def activate(self) -> None:
        """Subscribe and begin."""

    def deactivate(self) -> None:
        """Stop taking input; what was loaded stays."""

    def cleanup(self) -> None:
        """Let go of everything; also after a failed `configure` and at shutdown. Must not raise."""

    def parameter_changed(self, name: str, value: Value) -> None:
        """A parameter was accepted at run time."""

    def health(self) -> Health:
        """The state while the node is active."""
        return Health(OK, "active")

    # Topics.

    def create_publisher(self, msg_type: type, topic: str, *arguments: object, **options: object) -> Publisher:
        """As rclpy's; a refused name or quality of service is a `NodeError`."""
        with refusals_explained(topic):
            return super().create_publisher(msg_type, topic, *arguments, **options)

    def create_subscription(self, msg_type: type, topic: str, *arguments: object, **options: object) -> Subscription:
        """As rclpy's; a refused name or quality of service is a `NodeError`."""
        with refusals_explained(topic):
            return super().create_subscription(msg_type, topic, *arguments, **options)

    # The lifecycle.

    @property
    def state_label(self) -> str:
        """``unconfigured``, ``inactive``, ``active`` or ``finalized``."""
        return self._state_machine.current_state[1]

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load; a refusal leaves the node unconfigured."""
        result = self._attempt("configure", lambda: self.configure(self._loaded()))
        if result != TransitionCallbackReturn.SUCCESS:
            self.cleanup()
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin; a refusal leaves the node inactive."""
        result = self._attempt("activate", self.activate)
        if result != TransitionCallbackReturn.SUCCESS:
            self.deactivate()
            return result
        self.get_logger().info("active")
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop taking input."""
        self._attempt("deactivate", self.deactivate)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of what was loaded."""
        self.cleanup()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop for good."""
        self.deactivate()
        self.cleanup()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Return to unconfigured after an unexpected error, so that the node can be configured again."""
        self.deactivate()
        self.cleanup()
        return TransitionCallbackReturn.SUCCESS

    def _attempt(self, what: str, step: object) -> TransitionCallbackReturn:
        try:
            step()
        except EXPECTED_ERRORS as error:
            self._refusal = f"cannot {what}: {error}"
            self.get_logger().error(self._refusal)
            return TransitionCallbackReturn.FAILURE
        except ModuleNotFoundError as error:
            self._refusal = f"cannot {what}: {missing_module(error)}"
            self.get_logger().error(self._refusal)
            return TransitionCallbackReturn.FAILURE
        except Exception as error:  # rclpy would swallow it without a word
            self._refusal = f"cannot {what}, unexpectedly: {type(error).__name__}: {error}"
            self.get_logger().error(f"{self._refusal}\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        self._refusal = ""
        return TransitionCallbackReturn.SUCCESS

    def _is_unconfigured(self) -> bool:
        return self._state_machine.current_state[0] == State.PRIMARY_STATE_UNCONFIGURED

    def _parameter_changed(self, name: str, value: Value) -> None:
        self._is_outdated = True
        self.parameter_changed(name, value)

    def _load(self) -> object:
        self.parameters.require_valid()
        return self.load()

    def _loaded(self) -> object:
        """What was loaded on the thread, when that is still what the parameters ask for; else it is loaded now."""
        loading, self._loading = self._loading, None
        if loading is not None:
            wait([loading])  # two models at once may not fit
            if not self._is_outdated:
                return loading.result()
        return self._load()

    def _autostart(self) -> None:
        """Begin to load when the process spins, then look now and then whether it is done."""
        self.destroy_timer(self._autostart_timer)
        self._autostart_timer = None
        if not self._is_unconfigured():
            return
        self._is_outdated = False
        pool = ThreadPoolExecutor(1, f"{self.get_name()} loading")
        self._loading = pool.submit(self._load)
        pool.shutdown(wait=False)
        self._autostart_timer = self.create_timer(
            _LOADING_PERIOD, self._start_when_loaded, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def _start_when_loaded(self) -> None:
        if self._loading is not None and not self._loading.done():
            return
        self.destroy_timer(self._autostart_timer)
        self._autostart_timer = None
        if self._loading is None or not self._is_unconfigured():
            self._loading = None
            return  # somebody was faster, by service
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def _report(self) -> Health:
        if self._loading is not None:
            return Health(STALE, "loading", {"state": self.state_label})
        if self._refusal:
            return Health(ERROR, self._refusal, {"state": self.state_label})
        if self.state_label != "active":
            return Health(STALE, self.state_label, {"state": self.state_label})
        health = self.health()
        return Health(health.level, health.message, {"state": self.state_label, **health.values})

    def destroy_node(self) -> None:
        """Stop the node's threads before its handles go."""
        if self._loading is not None:
            if not self._loading.done():  # an engine that is being built cannot be interrupted
                self.get_logger().warning("the model is still loading; a second Ctrl-C ends the process at once")
            wait([self._loading])
            self._loading = None
        self.deactivate()
        self.cleanup()
        super().destroy_node()
