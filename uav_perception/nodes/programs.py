"""What the installed programs `perception`, `detector`, `action`, `overlay` and `geolocation` run."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence

from rclpy.node import Node
from rclpy.utilities import remove_ros_args

from uav_perception.nodes.errors import missing_module
from uav_perception.nodes.images import ImageHub
from uav_perception.nodes.plan import NODES
from uav_perception.nodes.process import run_nodes
from uav_perception.nodes.publishing import RCLError

_CLASSES = {
    "detector": ("uav_perception.nodes.detector_node", "DetectorNode"),
    "action": ("uav_perception.nodes.action_node", "ActionNode"),
    "geolocation": ("uav_perception.nodes.geolocation_node", "GeolocationNode"),
    "overlay": ("uav_perception.nodes.overlay_node", "OverlayNode"),
}


def node_class(name: str) -> Callable[..., Node]:
    """The class of a node. Only those that run are imported.

    Raises:
        ModuleNotFoundError: something that it needs is not installed.
    """
    module, class_name = _CLASSES[name]
    return getattr(importlib.import_module(module), class_name)


def make_nodes(classes: Sequence[Callable[..., Node]]) -> list[Node]:
    """One node of each class, sharing their image subscriptions."""
    hub = ImageHub()
    return [make(hub=hub) for make in classes]


def main(argv: Sequence[str] | None = None) -> int:
    """Run nodes in this process until SIGINT or SIGTERM.

    Args:
        argv: program name, node names and ROS arguments; by default the process's own.

    Returns:
        The process's exit code: 0 after a signal, 1 when a Python module is missing, 2 for arguments that cannot be
        read.
    """
    argv = list(sys.argv if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="perception", description="Runs perception nodes in one process. ROS arguments follow `--ros-args`."
    )
    parser.add_argument("nodes", nargs="*", metavar="NODE", help=f"which of {', '.join(NODES)}; all by default")
    try:
        rest = remove_ros_args(argv)[1:]
    except RCLError as error:  # a parameter file, a namespace or a topic that ROS cannot read
        print(f"perception: {error}", file=sys.stderr)
        return 2
    names = parser.parse_args(rest).nodes
    unknown = [name for name in names if name not in NODES]
    if unknown:
        parser.error(f"unknown node {', '.join(unknown)}; known are {', '.join(NODES)}")
    try:
        classes = [node_class(name) for name in names or NODES]
    except ModuleNotFoundError as error:
        print(f"perception: {missing_module(error)}", file=sys.stderr)
        return 1
    return run_nodes(lambda: make_nodes(classes), argv)


if __name__ == "__main__":
    raise SystemExit(main())
