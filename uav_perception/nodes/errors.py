"""What a ROS node refuses, in words its user can act on."""

import sys

from uav_perception.errors import UavPerceptionError


class NodeError(UavPerceptionError):
    """A node cannot configure or run as asked; the message names the parameter or topic and the remedy."""


def missing_module(error: ModuleNotFoundError) -> str:
    """A missing module in words, with the interpreter that misses it: a machine with ROS often has several."""
    return f"the module {error.name!r} is missing. Install it for {sys.executable}, the Python that runs this node."
