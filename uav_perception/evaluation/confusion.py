"""Which class is taken for which, and where the detector went wrong worst."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uav_perception.evaluation.overlap import overlaps
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.inference.detections import Detections

MATCH = 0.5


def pair_up(truth: ImageTruth, found: Detections) -> np.ndarray:
    """The object each detection stands on, whatever its class: greedy by score, each object once.

    Returns:
        int, shape (D,): index of the object, -1 for none, -2 where only something ignored is there.
    """
    shares = overlaps(found.boxes, truth.boxes, truth.ignored)
    in_region = overlaps(found.boxes, truth.ignore_regions, np.ones(len(truth.ignore_regions), bool))
    pairs = np.full(len(found), -1)
    free = ~truth.ignored
    for i in np.argsort(-found.scores, kind="stable"):
        candidates = np.where(free, shares[i], 0.0)
        # Among overlapping objects the one of the same class comes first, so that neighbours are not confused.
        candidates = candidates + (candidates >= MATCH) * (truth.class_ids == found.class_ids[i])
        best = int(np.argmax(candidates)) if len(candidates) else -1
        if best >= 0 and candidates[best] >= MATCH:
            pairs[i] = best
            free[best] = False
        elif max(shares[i][truth.ignored].max(initial=0.0), in_region[i].max(initial=0.0)) >= MATCH:
            pairs[i] = -2
    return pairs


def confusion_matrix(truth: ImageTruth, found: Detections, classes: int, score: float) -> np.ndarray:
    """Objects by true (rows) and detected class (columns); the last row is background, the last column missed."""
    matrix = np.zeros((classes + 1, classes + 1), int)
    found = found[found.scores >= score]
    pairs = pair_up(truth, found)
    for class_id, pair in zip(found.class_ids, pairs, strict=True):
        if pair != -2:
            matrix[classes if pair < 0 else truth.class_ids[pair], class_id] += 1
    missed = ~truth.ignored
    missed[pairs[pairs >= 0]] = False
    np.add.at(matrix, (truth.class_ids[missed], classes), 1)
    return matrix


@dataclass(frozen=True)
class Miss:
    """Something that was not found, was found where nothing is, or was taken for something else.

    Attributes:
        frame: index of the image in its flight.
        kind: "missed", "false" or "confused".
        box: x_min, y_min, x_max, y_max [px].
        true_class: class id, -1 for "false".
        found_class: class id, -1 for "missed".
        weight: how bad it is; the area of what was missed [px^2], or the score of what is wrong, both 0 to 1 and above.
    """

    frame: int
    kind: str
    box: tuple[float, float, float, float]
    true_class: int
    found_class: int
    weight: float


def misses(frame: int, truth: ImageTruth, found: Detections, score: float) -> list[Miss]:
    """All errors in one image at an operating score.

    Missed objects weigh by their size, since a large one is the easiest to find; false and confused detections by
    their score, since a sure error is the worst.
    """
    found = found[found.scores >= score]
    pairs = pair_up(truth, found)
    errors = []
    for i, pair in enumerate(pairs):
        confused = pair >= 0 and truth.class_ids[pair] != found.class_ids[i]
        if pair == -1 or confused:
            errors.append(
                Miss(
                    frame,
                    "confused" if confused else "false",
                    tuple(found.boxes[i].astype(float).tolist()),
                    int(truth.class_ids[pair]) if confused else -1,
                    int(found.class_ids[i]),
                    float(found.scores[i]),
                )
            )
    missed = ~truth.ignored
    missed[pairs[pairs >= 0]] = False
    for i in np.flatnonzero(missed):
        box = tuple(truth.boxes[i].tolist())
        errors.append(Miss(frame, "missed", box, int(truth.class_ids[i]), -1, float(truth.areas[i]) / 96**2))
    return errors


def best_f1_score(scores: np.ndarray, right: np.ndarray, objects: int) -> float:
    """The score at which F1 is highest: the operating point of the confusion matrix and the gallery.

    Args:
        scores: shape (D,), of all detections.
        right: bool, shape (D,), the detection is on an object of its class.
        objects: how many objects there are.

    Returns:
        A score of ``scores``; 0.5 where there are no detections.
    """
    if not len(scores):
        return 0.5
    order = np.argsort(-scores, kind="stable")
    hits = right[order].cumsum()
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + max(1, objects))
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    return float(scores[order][int(np.argmax(np.where(last_of_tie, f1, -1.0)))])
