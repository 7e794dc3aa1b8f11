"""Watches the stamps of a stream: order, and jumps of time."""

from __future__ import annotations

from enum import Enum

_SECOND = 1_000_000_000


class Arrival(Enum):
    """How a stamp relates to the one before."""

    NEXT = "next"
    LATE = "late"  # older than, or equal to, what was seen: overtaken on the way, or sent twice
    JUMP = "jump"  # time went back, as when a bag starts again: what was remembered belongs to another time


class StampOrder:
    """Judges each stamp against the newest one.

    Args:
        jump_back_s: a step back of at least this is a jump of time, a smaller one a late image [s].
    """

    def __init__(self, jump_back_s: float = 1.0) -> None:
        self._jump_back_ns = round(jump_back_s * _SECOND)
        self._newest: int | None = None
        self.jumps = 0
        self.late = 0

    def judge(self, stamp_ns: int) -> Arrival:
        """Take the next stamp [ns]. Stamps of zero, from a camera without a clock, always count as next."""
        newest = self._newest
        if newest is None or stamp_ns > newest or stamp_ns == newest == 0:
            self._newest = stamp_ns
            return Arrival.NEXT
        if newest - stamp_ns >= self._jump_back_ns:
            self._newest = stamp_ns
            self.jumps += 1
            return Arrival.JUMP
        self.late += 1
        return Arrival.LATE

    def restart(self) -> None:
        """Forget the newest stamp; the counts stay."""
        self._newest = None
