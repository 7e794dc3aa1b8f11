"""What a ROS node refuses, in words its user can act on."""

from uav_perception.errors import UavPerceptionError


class NodeError(UavPerceptionError):
    """A node cannot configure or run as asked; the message names the parameter or topic and the remedy."""
