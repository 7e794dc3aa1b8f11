"""A process that runs nodes until it is told to stop, and then leaves without a trace on the screen."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable, Sequence

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from uav_perception.nodes.allocator import keep_large_blocks
from uav_perception.nodes.transport import use_shipped_profile

_POLL = 0.2  # longest time from a signal to the end of the loop [s]


def run_nodes(make_nodes: Callable[[], Sequence[Node]], args: Sequence[str] | None = None) -> int:
    """Make the nodes, spin them until SIGINT or SIGTERM, and take them down in order.

    Callbacks only hand work over, so one executor thread serves every node of the process.

    Args:
        make_nodes: called once, after ``rclpy.init``.
        args: ROS arguments; by default those of the command line.

    Returns:
        The process's exit code, 0.
    """
    use_shipped_profile()
    keep_large_blocks()
    rclpy.init(args=list(args) if args is not None else sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    stopping = False

    def stop(signum: int, frame: object) -> None:
        nonlocal stopping
        stopping = True
        signal.signal(signum, signal.SIG_DFL)  # the second one ends the process at once, whatever it waits for

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, stop)

    executor = SingleThreadedExecutor()
    nodes: list[Node] = []
    try:
        nodes = list(make_nodes())
        for node in nodes:
            executor.add_node(node)
        while not stopping and rclpy.ok():
            try:
                executor.spin_once(timeout_sec=_POLL)
            except ExternalShutdownException:
                break
            except Exception as error:  # of a callback; rclpy would end the process over one bad message
                text = f"a callback failed: {type(error).__name__}: {error}\n{traceback.format_exc()}"
                get_logger("uav_perception").error(text, throttle_duration_sec=5.0)
    finally:
        for node in reversed(nodes):
            executor.remove_node(node)
            node.destroy_node()
        executor.shutdown(timeout_sec=2.0)
        rclpy.try_shutdown()
    return 0
