"""Errors of network construction and use."""

from uav_perception.errors import UavPerceptionError


class NetworkError(UavPerceptionError):
    """A network cannot be built, loaded or fed as asked."""
