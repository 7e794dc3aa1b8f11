"""How sure a difference is: the paired bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993).

The same pieces of the recordings are drawn for both models, so that a hard stretch is hard for both. Pieces are short
spans of time and not single images, as neighbouring images are nearly the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from uav_perception.evaluation.coco import RECALL_POINTS
from uav_perception.evaluation.visdrone import FALSE, TRUE

LEVEL = 95.0
LEAST_PIECES = 5
"""With fewer pieces an interval would say more about the pieces than about the models."""

Statistic = Callable[[np.ndarray], float | None]
"""A measure as a function of how often each piece was drawn, shape (pieces,)."""


def paired_interval(a: Statistic, b: Statistic, pieces: int, resamples: int, seed: int) -> tuple[float, float] | None:
    """The interval that holds the difference ``b - a`` with 95 % probability.

    Args:
        a: measure of the first model.
        b: measure of the second model, over the same pieces.
        pieces: how many there are.
        resamples: how often they are drawn.
        seed: of the draws.

    Returns:
        Lower and upper end; None where there are fewer than :data:`LEAST_PIECES` pieces or the measure is undefined.
    """
    if pieces < LEAST_PIECES:
        return None
    rng = np.random.default_rng(seed)
    differences = []
    for _ in range(resamples):
        drawn = np.bincount(rng.integers(0, pieces, pieces), minlength=pieces)
        first, second = a(drawn), b(drawn)
        if first is not None and second is not None:
            differences.append(second - first)
    if len(differences) < resamples / 2:
        return None
    low, high = np.percentile(differences, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class ClassMatches:
    """What became of all detections of one class, by falling score.

    Attributes:
        outcomes: int, shape (10, N), :data:`FALSE`, :data:`TRUE` or ignored at each IoU threshold.
        pieces: int, shape (N,), the piece that each detection lies in.
        objects: int, shape (pieces,), objects that count in each piece.
    """

    outcomes: np.ndarray
    pieces: np.ndarray
    objects: np.ndarray


def weighted_ap(classes: list[ClassMatches], drawn: np.ndarray, threshold: int | None = None) -> float | None:
    """COCO's AP when every piece counts as often as it was drawn.

    Args:
        classes: of the detector.
        drawn: int, shape (pieces,).
        threshold: index of one IoU threshold; None for the mean over all ten.
    """
    rows = slice(None) if threshold is None else slice(threshold, threshold + 1)
    values = []
    for c in classes:
        objects = int(drawn @ c.objects)
        if not objects:
            continue
        weights = drawn[c.pieces]
        right = ((c.outcomes[rows] == TRUE) * weights).cumsum(axis=1)
        wrong = ((c.outcomes[rows] == FALSE) * weights).cumsum(axis=1)
        values += [_interpolated(r, w, objects) for r, w in zip(right, wrong, strict=True)]
    return float(np.mean(values)) if values else None


def _interpolated(right: np.ndarray, wrong: np.ndarray, objects: int) -> float:
    """Mean precision at COCO's 101 recall points, precision made monotone."""
    if not len(right):
        return 0.0
    precision = right / np.maximum(right + wrong, 1)
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(envelope[np.searchsorted(right / objects, RECALL_POINTS, side="left")].mean())
