"""Errors of preparing models for a device."""

from uav_perception.errors import UavPerceptionError


class DeploymentError(UavPerceptionError):
    """A model cannot be exported, quantised or measured."""
