"""Errors of camera geometry, vehicle state and geolocation."""

from uav_perception.errors import UavPerceptionError


class FlightError(UavPerceptionError):
    """A setting, a camera model or a terrain file that cannot be used."""


class StateError(FlightError):
    """A message or a moment for which the vehicle's state is not usable. Counted in diagnostics by its reason.

    Args:
        reason: one word for counting, for example ``"stale"``.
        message: what is wrong, with the value.

    Attributes:
        reason: as given.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
