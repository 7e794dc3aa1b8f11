"""Errors of distillation that a user can mend."""

from uav_perception.errors import UavPerceptionError


class DistillationError(UavPerceptionError):
    """A method, an option or a teacher that does not fit the student."""
