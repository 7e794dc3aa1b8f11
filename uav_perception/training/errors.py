"""Errors of training."""

from uav_perception.errors import UavPerceptionError


class RecipeError(UavPerceptionError):
    """A recipe cannot be read, or asks for something that does not exist."""


class CheckpointError(UavPerceptionError):
    """A checkpoint is not one of ours, is damaged, or belongs to another network."""
