"""Errors of model files and of running them."""

from uav_perception.errors import UavPerceptionError


class ModelError(UavPerceptionError):
    """A model file, or the contract that says how to use it, is missing, broken or contradicts itself."""


class BackendError(UavPerceptionError):
    """An inference engine cannot be used, built or run on this machine."""
