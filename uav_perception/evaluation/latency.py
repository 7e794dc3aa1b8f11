"""How long the steps took, and how many images went through a second."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

PERCENTILES = (50, 95, 99)
HISTOGRAM_BINS = 40


def latency_summary(milliseconds: np.ndarray) -> dict[str, float | int | None]:
    """``count``, ``mean``, ``p50``, ``p95``, ``p99`` and ``max`` of durations [ms]; None without any."""
    if not len(milliseconds):
        return {"count": 0, **dict.fromkeys(("mean", "p50", "p95", "p99", "max"))}
    found: dict[str, float | int | None] = {"count": len(milliseconds), "mean": float(np.mean(milliseconds))}
    found.update({f"p{p}": float(np.percentile(milliseconds, p)) for p in PERCENTILES})
    return {**found, "max": float(np.max(milliseconds))}


def latency_histogram(milliseconds: np.ndarray) -> dict[str, list[float]]:
    """Counts of durations in equal bins up to the 99.5 % point; the last bin holds all that took longer."""
    if not len(milliseconds):
        return {"edges_ms": [], "counts": []}
    top = max(float(np.percentile(milliseconds, 99.5)), 1e-3)
    edges = np.linspace(0.0, top, HISTOGRAM_BINS + 1)
    counts, _ = np.histogram(np.minimum(milliseconds, top), edges)
    return {"edges_ms": edges.tolist(), "counts": counts.tolist()}


def throughput(images: int, seconds: float, inference_ms: np.ndarray) -> dict[str, float | None]:
    """Images a second over the whole run, the backend's own rate, and the share of it that was reached."""
    rate = images / seconds if seconds > 0 else None
    own = 1000.0 / float(np.mean(inference_ms)) if len(inference_ms) and np.mean(inference_ms) > 0 else None
    return {
        "images_per_second": rate,
        "backend_images_per_second": own,
        "share_of_backend": rate / own if rate is not None and own is not None else None,
    }


def stage_summaries(stages: Mapping[str, np.ndarray]) -> dict[str, dict[str, float | int | None]]:
    """:func:`latency_summary` of each step."""
    return {name: latency_summary(values) for name, values in stages.items()}
