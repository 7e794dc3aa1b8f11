"""Errors of online action recognition."""

from uav_perception.errors import UavPerceptionError


class ActionError(UavPerceptionError):
    """An action model or a setting of the recogniser that cannot be used."""
