"""Pairs detections with tracks."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment


def associate(similarity: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """The pairing with the largest sum of similarity among pairs of at least ``least``.

    A pair below ``least`` is never made, and it never pushes out a better one.

    Args:
        similarity: shape (N, M).
        least: smallest similarity of a pair, above 0.

    Returns:
        Row and column indices of the pairs, equally long, rows rising.
    """
    allowed = similarity >= least
    rows, columns = linear_sum_assignment(np.where(allowed, similarity, 0.0), maximize=True)
    good = allowed[rows, columns]
    return rows[good], columns[good]
