"""Rate, latency and age of the last seconds, for diagnostics."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Summary:
    """What happened in the window.

    Attributes:
        rate: results a second [Hz].
        latency_p50: median time from arrival to publication [s]; NaN without results.
        latency_p99: 99th percentile of it [s]; NaN without results.
        age: time from the newest image's stamp to its publication [s]; NaN without results.
    """

    rate: float
    latency_p50: float
    latency_p99: float
    age: float


class Statistics:
    """Results of a sliding window. Thread-safe: the worker records, the executor reads.

    Args:
        window: length of the window [s].
    """

    def __init__(self, window: float = 5.0) -> None:
        self._window = window
        self._lock = threading.Lock()
        self._results: deque[tuple[float, float]] = deque()
        self._age = float("nan")

    def record(self, now: float, latency: float, age: float) -> None:
        """A result was published, ``latency`` after its image arrived and ``age`` after its stamp; all in seconds."""
        with self._lock:
            self._results.append((now, latency))
            self._age = age
            self._trim(now)

    def clear(self) -> None:
        """Forget everything, as after a jump of time."""
        with self._lock:
            self._results.clear()
            self._age = float("nan")

    def summary(self, now: float) -> Summary:
        """What happened in the window that ends at ``now`` [s, monotonic]."""
        with self._lock:
            self._trim(now)
            latencies = np.array([latency for _, latency in self._results])
            if not len(latencies):
                return Summary(0.0, float("nan"), float("nan"), float("nan"))
            p50, p99 = np.percentile(latencies, (50, 99))
            span = max(now - self._results[0][0], 1e-3)
            # The first result opens the span, so it is counted only when the span is the whole window.
            rate = len(latencies) / self._window if span >= 0.9 * self._window else (len(latencies) - 1) / span
            return Summary(float(rate), float(p50), float(p99), self._age)

    def _trim(self, now: float) -> None:
        while self._results and now - self._results[0][0] > self._window:
            self._results.popleft()
