"""A steady rate taken out of a camera's stamps."""

from __future__ import annotations

from uav_perception.actions.errors import ActionError


class TickGrid:
    """Says which images a tick falls on.

    Ticks lie on a fixed grid that starts at the first stamp, so that the mean rate is exact even when the camera's
    rate is no multiple of it (10 Hz out of 24 Hz takes every second or third image).

    Args:
        rate_hz: ticks a second.

    Raises:
        ActionError: the rate is not positive.
    """

    _TOLERANCE = 0.05  # of a period: a stamp that jitters just before its tick still counts for it

    def __init__(self, rate_hz: float) -> None:
        if not 0.0 < rate_hz < float("inf"):
            raise ActionError(f"Expected the tick rate to be positive, but got {rate_hz} Hz.")
        self._period_ns = 1e9 / rate_hz
        self.restart()

    def restart(self) -> None:
        """Let the next stamp start a new grid."""
        self._origin_ns: int | None = None
        self._index = -1

    def due(self, stamp_ns: int) -> bool:
        """Whether a tick falls on the image with this stamp. A stamp before the grid's last tick starts a new grid."""
        if self._origin_ns is None:
            self._origin_ns = stamp_ns
        index = int((stamp_ns - self._origin_ns) / self._period_ns + self._TOLERANCE)
        if index < self._index or stamp_ns < self._origin_ns:
            self._origin_ns, index, self._index = stamp_ns, 0, -1
        if index == self._index:
            return False
        self._index = index
        return True
