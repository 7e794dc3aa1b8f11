"""Errors of tracking."""

from uav_perception.errors import UavPerceptionError


class TrackingError(UavPerceptionError):
    """A setting or an input of the tracker that cannot be used."""
