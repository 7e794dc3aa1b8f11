"""Errors of camera images."""

from uav_perception.errors import UavPerceptionError


class FrameError(UavPerceptionError):
    """An image message cannot be read: unsupported encoding, wrong sizes, or damaged data."""
