"""Cached features of the last seconds, and the choice of K of them by their stamps."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from uav_perception.actions.errors import ActionError


@dataclass(frozen=True)
class Window:
    """The K entries that a network looks at.

    Attributes:
        features: float32, shape (K, ...), oldest first.
        stamps_ns: int64, shape (K,), rising.
    """

    features: np.ndarray
    stamps_ns: np.ndarray

    @property
    def start_ns(self) -> int:
        """Stamp of the oldest entry [ns]."""
        return int(self.stamps_ns[0])

    @property
    def end_ns(self) -> int:
        """Stamp of the newest entry [ns]."""
        return int(self.stamps_ns[-1])


def segment_centres(window_s: float, segments: int) -> np.ndarray:
    """Middles of the equal parts of a window, relative to its end.

    Args:
        window_s: length of the window [s].
        segments: K, number of parts.

    Returns:
        float64, shape (K,), rising, all negative [s].
    """
    return ((np.arange(segments) + 0.5) / segments - 1.0) * window_s


def choose(ages_s: np.ndarray, window_s: float, segments: int) -> np.ndarray | None:
    """Choose K distinct entries, each as near as can be to the middle of its segment.

    The sum of squared time differences is smallest. Where the nearest entries of all segments differ, that is exactly
    the nearest ones; where two segments would share one, the square keeps the entries in order.

    Args:
        ages_s: shape (N,), rising times relative to the window's end, 0 for the newest [s].
        window_s: length of the window [s]. Older entries are not used.
        segments: K.

    Returns:
        int, shape (K,), rising indices into ``ages_s``; None when the window holds fewer than K entries.
    """
    inside = np.flatnonzero(ages_s >= -window_s)
    if len(inside) < segments:
        return None
    cost = (segment_centres(window_s, segments)[:, None] - ages_s[inside][None, :]) ** 2
    _, columns = linear_sum_assignment(cost)
    return np.sort(inside[columns])


class FeatureRing:
    """A ring of (stamp, feature) that never mixes two stretches of time.

    State is dropped when time runs backwards (a bag that loops, a clock that was set) and when a gap between two
    entries is so long that the window would bridge something nobody saw.

    Args:
        capacity: how many entries are kept; the oldest goes first.
        max_gap_ns: longest time between two entries [ns].

    Raises:
        ActionError: ``capacity`` or ``max_gap_ns`` is not positive.
    """

    def __init__(self, capacity: int, max_gap_ns: int) -> None:
        if capacity < 1 or max_gap_ns < 1:
            raise ActionError(
                f"A feature ring needs a positive capacity and gap, but got capacity {capacity}, "
                f"max_gap_ns {max_gap_ns}."
            )
        self._entries: deque[tuple[int, np.ndarray]] = deque(maxlen=capacity)
        self._max_gap_ns = max_gap_ns

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def oldest_ns(self) -> int | None:
        """Stamp of the oldest entry [ns], None when empty."""
        return self._entries[0][0] if self._entries else None

    @property
    def newest_ns(self) -> int | None:
        """Stamp of the newest entry [ns], None when empty."""
        return self._entries[-1][0] if self._entries else None

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def break_at(self, stamp_ns: int) -> str | None:
        """Why an entry at this stamp cannot follow the newest one: ``"time_jump"`` or ``"gap"``; None if it can."""
        if not self._entries:
            return None
        step = stamp_ns - self._entries[-1][0]
        if step < 0:
            return "time_jump"
        return "gap" if step > self._max_gap_ns else None

    def push(self, stamp_ns: int, feature: np.ndarray) -> str | None:
        """Add an entry. A second entry with the newest one's stamp is the same image again and is left out.

        Args:
            stamp_ns: stamp of the image [ns].
            feature: the backbone's output for it, any shape, the same for all entries.

        Returns:
            ``"time_jump"`` or ``"gap"`` when older entries had to be dropped first, else None.
        """
        reason = self.break_at(stamp_ns)
        if reason:
            self.clear()
        if stamp_ns != self.newest_ns:
            self._entries.append((stamp_ns, feature))
        return reason

    def window(self, window_ns: int, segments: int) -> Window | None:
        """The K entries nearest to the segment centres of the window that ends at the newest entry.

        Returns:
            None until ``segments`` distinct entries lie in the window.
        """
        stamps = np.array([stamp for stamp, _ in self._entries], np.int64)
        if len(stamps) < segments:
            return None
        chosen = choose((stamps - stamps[-1]) * 1e-9, window_ns * 1e-9, segments)
        if chosen is None:
            return None
        return Window(np.stack([self._entries[i][1] for i in chosen]), stamps[chosen])
