"""Which actors the backbone looks at in a tick, when there may be more of them than it can afford."""

from __future__ import annotations

from collections.abc import Iterable

_UTILISATION = 0.8  # of the budget that admitted actors may need at least; the rest absorbs late images


class TrackSchedule:
    """Admits as many actors as the budget can keep without gaps, and serves the one nearest to its gap first.

    Serving all of many actors in turn would let every buffer run into its gap, and none would ever fill. So only as
    many are admitted as one pass per ``max_gap`` allows; among them the earliest deadline goes first. An actor that
    has held its place for ``tenure`` gives it up when others wait.

    Args:
        budget: most actors in one tick.
        period_ns: time between ticks [ns].
        max_gap_ns: longest time between two looks at one actor [ns].
        tenure_ns: time after which a place is given up to those who wait [ns].
    """

    def __init__(self, budget: int, period_ns: float, max_gap_ns: int, tenure_ns: int) -> None:
        self._budget = budget
        self._max_gap_ns = max_gap_ns
        self._tenure_ns = tenure_ns
        self.places = max(budget, int(_UTILISATION * budget * max_gap_ns / period_ns))
        self._admitted: dict[int, int] = {}  # track id -> stamp of admission
        self._served: dict[int, int] = {}  # track id -> stamp of the last look, of admission before the first
        self._waiting: dict[int, int] = {}  # track id -> stamp since when

    @property
    def waiting(self) -> int:
        """How many actors have no place."""
        return len(self._waiting)

    def forget(self, track_id: int) -> None:
        """Take the place from an actor. One that was not looked at for longer than the gap loses it by itself."""
        self._admitted.pop(track_id, None)
        self._served.pop(track_id, None)

    def choose(self, stamp_ns: int, visible: Iterable[int]) -> tuple[list[int], list[int]]:
        """Choose for one tick.

        Args:
            stamp_ns: stamp of the image [ns], not before the last one.
            visible: ids of the actors in this image.

        Returns:
            The actors to look at, most urgent first, and those that just lost their place to others.
        """
        visible = set(visible)
        for track_id in [t for t, served in self._served.items() if stamp_ns - served > self._max_gap_ns]:
            self.forget(track_id)
        self._waiting = {t: self._waiting.get(t, stamp_ns) for t in visible if t not in self._admitted}
        released = self._release(stamp_ns)
        queue = sorted(self._waiting, key=lambda t: (self._waiting[t], t))
        for track_id in queue[: self.places - len(self._admitted)]:
            del self._waiting[track_id]
            self._admitted[track_id] = stamp_ns
            self._served[track_id] = stamp_ns - 1  # before every actor that was really looked at in this tick
        due = sorted((t for t in self._admitted if t in visible), key=lambda t: (self._served[t], t))[: self._budget]
        self._served.update(dict.fromkeys(due, stamp_ns))
        return due, released

    def _release(self, stamp_ns: int) -> list[int]:
        wanted = len(self._waiting) - (self.places - len(self._admitted))
        if wanted <= 0:
            return []
        old = [t for t, since in self._admitted.items() if stamp_ns - since >= self._tenure_ns]
        old.sort(key=lambda t: (self._admitted[t], t))
        for track_id in old[:wanted]:
            self.forget(track_id)
        return old[:wanted]
