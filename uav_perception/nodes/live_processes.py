"""The nodes' process for a live replay: how it is started for a bag, and that it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from uav_perception.evaluation.bag import Bag
from uav_perception.frames.convert import COMPRESSED_IMAGE
from uav_perception.nodes.child import die_with_parent
from uav_perception.nodes.transport import use_shipped_profile

_END_S = 20.0


def stay_on_this_machine() -> None:
    """Neither disturb nor hear other robots on the network; to have an effect it must come before ``rclpy.init``."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    use_shipped_profile()


def nodes_command(bag: Bag, model: str, action_model: str | None = None, separate: bool = False) -> list[str]:
    """The command line of `uav-perception run` that fits a bag.

    Args:
        bag: decides the image topic and whether images are compressed.
        model: detector model.
        action_model: action model; None leaves the action node out.
        separate: a process for each node.
    """
    nodes = ["detector"] + (["action"] if action_model is not None else [])
    compressed = bag.topics[bag.topic] == COMPRESSED_IMAGE
    command = [sys.executable, "-m", "uav_perception", "run", "--use-sim-time", "--log-level", "warn"]
    command += ["--nodes", ",".join(nodes), "--model", model]
    if action_model is not None:
        command += ["--action-model", action_model]
    command += ["--image", bag.topic.removesuffix("/compressed") if compressed else bag.topic]
    for node in nodes if compressed else ():
        command += ["-p", f"{node}.image_transport=compressed"]
    return command + (["--separate"] if separate else [])


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen]:
    """Start the nodes, and end them with the block, by force when they do not go."""
    nodes = subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent)
    try:
        yield nodes
    finally:
        if nodes.poll() is None:
            nodes.terminate()
        try:
            nodes.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            nodes.kill()
            nodes.wait()
