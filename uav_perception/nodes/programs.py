"""What the installed programs `perception`, `detector`, `action`, `overlay` and `geolocation` run."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from rclpy.node import Node
from rclpy.utilities import remove_ros_args

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


def make_nodes(names: Sequence[str]) -> list[Node]:
    """The named nodes, sharing their image subscriptions."""
    hub = ImageHub()
    nodes = []
    for name in names:
        module, node_class = _CLASSES[name]
        nodes.append(getattr(importlib.import_module(module), node_class)(hub=hub))
    return nodes


def main(argv: Sequence[str] | None = None) -> int:
    """Run nodes in this process until SIGINT or SIGTERM.

    Args:
        argv: program name, node names and ROS arguments; by default the process's own.

    Returns:
        The process's exit code: 0 after a signal, 2 for arguments that cannot be read.
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
    return run_nodes(lambda: make_nodes(names or NODES), argv)


if __name__ == "__main__":
    raise SystemExit(main())
