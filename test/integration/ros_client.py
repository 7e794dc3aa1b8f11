"""What the integration tests talk to the nodes with: a process under test, and a camera and operator in this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from uav_perception.nodes.conversions import to_header
from uav_perception.nodes.qos import sensor

REPOSITORY = Path(__file__).parents[2]


def wait_until(condition: Callable[[], bool], timeout: float, what: str) -> None:
    """Wait, and fail with a sentence when it takes too long. A key that diagnostics do not hold yet is waited for."""
    deadline = time.monotonic() + timeout
    while not _holds(condition):
        assert time.monotonic() < deadline, f"waited {timeout} s in vain for: {what}"
        time.sleep(0.01)


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except KeyError:
        return False


class Nodes:
    """`uav-perception run` in a process of its own, with its output in a file."""

    def __init__(self, log: Path, *arguments: object, environment: dict[str, str] | None = None) -> None:
        self._log = log
        command = [sys.executable, "-m", "uav_perception", "run", *map(str, arguments)]
        # Messages check the types of their fields, as they always do before Kilted.
        strict = {"ROS_PYTHON_CHECK_FIELDS": "1"}
        with open(log, "w", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                command,
                cwd=REPOSITORY,
                env={**os.environ, **strict, **(environment or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """Everything it has printed."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str, timeout: float = 30.0) -> None:
        """Wait for a text in the output."""
        deadline = time.monotonic() + timeout
        while text not in self.output:
            assert time.monotonic() < deadline, f"{text!r} did not appear within {timeout} s in:\n{self.output}"
            time.sleep(0.05)

    def is_alive(self) -> bool:
        """Whether the command still runs."""
        return self.process.poll() is None

    def stop(self, number: int = signal.SIGINT, timeout: float = 20.0) -> int:
        """Send a signal and wait; returns the exit code."""
        if self.is_alive():
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise AssertionError(f"the nodes did not stop within {timeout} s:\n{self.output}") from None


class Client:
    """A node of the test's own process, spun on a thread."""

    def __init__(self) -> None:
        self.node = rclpy.create_node("test_client")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self.diagnostics: dict[str, object] = {}
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._take_diagnostics, 10)

    def close(self) -> None:
        """Stop spinning and leave the graph."""
        self._executor.shutdown(timeout_sec=2.0)
        self._thread.join(5.0)
        self.node.destroy_node()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.diagnostics[status.name] = status

    def values(self, node: str) -> dict[str, str]:
        """The newest diagnostics values of a node."""
        status = self.diagnostics.get(node)
        return {} if status is None else {value.key: value.value for value in status.values}

    def collect(self, kind: type, topic: str, qos: object) -> list:
        """Subscribe; the list grows with each message."""
        into: list = []
        self.node.create_subscription(kind, topic, into.append, qos)
        return into

    def call(self, kind: type, name: str, request: object, timeout: float = 15.0) -> object:
        """Call a service and wait for its answer."""
        client = self.node.create_client(kind, name)
        try:
            assert client.wait_for_service(timeout), f"no service {name}"
            deadline = time.monotonic() + timeout
            # A server that sees the request before the client's own reader loses its answer: ask again.
            while time.monotonic() < deadline:
                future = client.call_async(request)
                again = min(time.monotonic() + 3.0, deadline)
                while not future.done() and time.monotonic() < again:
                    time.sleep(0.01)
                if future.done():
                    return future.result()
            raise AssertionError(f"waited {timeout} s in vain for an answer of {name}")
        finally:
            self.node.destroy_client(client)

    def set_parameter(self, node: str, name: str, value: object) -> tuple[bool, str]:
        """Set a parameter; returns whether it was taken, and the reason."""
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        result = self.call(SetParameters, f"{node}/set_parameters", request).results[0]
        return result.successful, result.reason

    def get_parameter(self, node: str, name: str) -> object:
        """The value of a parameter, as its message."""
        return self.call(GetParameters, f"{node}/get_parameters", GetParameters.Request(names=[name])).values[0]

    def describe(self, node: str, name: str) -> object:
        """The descriptor of a parameter."""
        request = DescribeParameters.Request(names=[name])
        return self.call(DescribeParameters, f"{node}/describe_parameters", request).descriptors[0]

    def change_state(self, node: str, transition: str) -> bool:
        """Ask for a lifecycle transition."""
        request = ChangeState.Request()
        request.transition.label = transition
        return self.call(ChangeState, f"{node}/change_state", request).success

    def state(self, node: str) -> str:
        """The lifecycle state."""
        return self.call(GetState, f"{node}/get_state", GetState.Request()).current_state.label

    def wait_for_state(self, node: str, state: str, timeout: float = 30.0) -> None:
        """Wait until a node is in a state."""
        wait_until(lambda: self.state(node) == state, timeout, f"{node} to be {state}")


class Camera:
    """Publishes synthetic images."""

    def __init__(self, client: Client, topic: str, qos: object = None) -> None:
        self._client = client
        self.publisher = client.node.create_publisher(Image, topic, qos or sensor())

    def wait_for_subscribers(self, count: int = 1, timeout: float = 20.0) -> None:
        """Wait until somebody listens."""
        topic = self.publisher.topic_name
        wait_until(lambda: self.publisher.get_subscription_count() >= count, timeout, f"a subscriber of {topic}")

    def send(self, image: np.ndarray, stamp_ns: int, frame_id: str = "camera_optical_frame") -> None:
        """Publish one image."""
        height, width = image.shape[:2]
        message = Image(
            header=to_header(stamp_ns, frame_id), height=height, width=width, encoding="bgr8", step=3 * width
        )
        message.data = image.tobytes()
        self.publisher.publish(message)

    def close(self) -> None:
        """Stop publishing."""
        self._client.node.destroy_publisher(self.publisher)


def blob(x: int = 80, y: int = 60, width: int = 100, height: int = 60) -> np.ndarray:
    """A dark 320x240 image with one bright rectangle."""
    image = np.zeros((240, 320, 3), np.uint8)
    image[y : y + height, x : x + width] = 255
    return image
