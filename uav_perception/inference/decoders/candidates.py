"""What decoders give, and the selection that they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uav_perception.inference.errors import ModelError

Outputs = dict[str, np.ndarray]

MAX_CANDIDATES = 3000  # boxes that go into the suppression at most; bounds its time on a noisy image


@dataclass(frozen=True)
class Candidates:
    """Boxes before the suppression.

    Attributes:
        boxes: float32, shape (N, 4), ``x_min, y_min, x_max, y_max`` [px of the network's input].
        scores: float32, shape (N,), 0 to 1.
        class_ids: int32, shape (N,).
    """

    boxes: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray


def surest(scores: np.ndarray, limit: int = MAX_CANDIDATES) -> np.ndarray | slice:
    """Select the ``limit`` highest of many scores; their order stays."""
    if len(scores) <= limit:
        return slice(None)
    return np.sort(np.argpartition(-scores, limit - 1)[:limit])


def pairs_above(scores: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All (cell, class) pairs that reach a threshold: one cell may speak for several classes.

    Args:
        scores: shape (N, C).
        threshold: 0 to 1.

    Returns:
        Cells, class ids and scores of the pairs, the surest `MAX_CANDIDATES` of them.
    """
    cells, class_ids = np.nonzero(scores >= threshold)
    found = scores[cells, class_ids]
    keep = surest(found)
    return cells[keep], class_ids[keep].astype(np.int32), found[keep].astype(np.float32)


def best_above(scores: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best class of each cell that reaches a threshold.

    Args:
        scores: shape (N, C).
        threshold: 0 to 1.

    Returns:
        Cells, class ids and scores, the surest `MAX_CANDIDATES` of them.
    """
    best = scores.max(axis=1)
    cells = np.nonzero(best >= threshold)[0]
    cells = cells[surest(best[cells])]
    return cells, scores[cells].argmax(axis=1).astype(np.int32), best[cells].astype(np.float32)


def named_class_ids(class_ids: np.ndarray, classes: int) -> np.ndarray:
    """Class ids that a network gives itself, as int32.

    Raises:
        ModelError: one of them has no name.
    """
    class_ids = class_ids.astype(np.int32)
    nameless = class_ids[(class_ids < 0) | (class_ids >= classes)]
    if len(nameless):
        raise ModelError(
            f"The network gives class id {nameless[0]}, but the contract names {classes} classes. Correct "
            "`class_names` in the contract."
        )
    return class_ids


def from_centre(boxes: np.ndarray) -> np.ndarray:
    """``x_centre, y_centre, width, height`` to ``x_min, y_min, x_max, y_max``, shape (N, 4)."""
    half = boxes[:, 2:4] / 2
    return np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), axis=1).astype(np.float32, copy=False)
