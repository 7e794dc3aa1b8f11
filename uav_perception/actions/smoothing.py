"""A steady label out of probabilities that flicker: moving average, two thresholds, minimum dwell."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from uav_perception.actions.errors import ActionError

UNKNOWN = -1


@dataclass(frozen=True)
class SmoothingOptions:
    """How labels are steadied.

    Attributes:
        time_constant_s: of the exponential moving average over probabilities [s]; 0 switches it off. In seconds, so
            that the result does not depend on the tick rate.
        enter: averaged probability from which a class becomes the label, 0 to 1.
        exit: averaged probability below which the label is given up, 0 to ``enter``.
        min_dwell_s: shortest time that a label stays before another or "unknown" may follow [s].
    """

    time_constant_s: float = 0.4
    enter: float = 0.6
    exit: float = 0.4
    min_dwell_s: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 <= self.exit <= self.enter <= 1.0:
            raise ActionError(
                f"Expected 0 <= exit <= enter <= 1 as thresholds, but got enter {self.enter}, exit {self.exit}."
            )
        for name in ("time_constant_s", "min_dwell_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise ActionError(f"Expected `{name}` to be a time of 0 s or more, but got {value}.")


class LabelSmoother:
    """Holds the averaged probabilities and the present label of one scope."""

    def __init__(self, options: SmoothingOptions) -> None:
        self._options = options
        self.reset()

    def reset(self) -> None:
        """Forget label and average: the next probabilities belong to another stretch of time or another actor."""
        self._average: np.ndarray | None = None
        self._stamp_ns = 0
        self._label = UNKNOWN
        self._since_ns = 0

    def update(self, stamp_ns: int, probabilities: np.ndarray) -> tuple[int, float]:
        """Take the probabilities of one tick.

        Args:
            stamp_ns: end of their window [ns], not before the last one.
            probabilities: shape (C,), sum 1.

        Returns:
            Class index and its averaged probability, or ``(UNKNOWN, 0.0)``.
        """
        self._average = self._averaged(stamp_ns, np.asarray(probabilities, np.float64))
        self._stamp_ns = stamp_ns
        best = int(np.argmax(self._average))
        dwelt = stamp_ns - self._since_ns >= self._options.min_dwell_s * 1e9
        if self._label == UNKNOWN or dwelt:
            if self._average[best] >= self._options.enter:
                self._set(best, stamp_ns)
            elif self._label != UNKNOWN and self._average[self._label] < self._options.exit:
                self._set(UNKNOWN, stamp_ns)
        return (UNKNOWN, 0.0) if self._label == UNKNOWN else (self._label, float(self._average[self._label]))

    def _averaged(self, stamp_ns: int, probabilities: np.ndarray) -> np.ndarray:
        if self._average is None or self._options.time_constant_s == 0.0:
            return probabilities
        step_s = (stamp_ns - self._stamp_ns) * 1e-9
        weight = -math.expm1(-step_s / self._options.time_constant_s)
        return self._average + weight * (probabilities - self._average)

    def _set(self, label: int, stamp_ns: int) -> None:
        if label != self._label:
            self._label, self._since_ns = label, stamp_ns
