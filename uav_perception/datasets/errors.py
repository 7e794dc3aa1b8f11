"""Errors of the data sets."""

from uav_perception.errors import UavPerceptionError


class DatasetError(UavPerceptionError):
    """A data set on disk is not laid out, named or filled as its format says."""
