"""The official VisDrone-DET protocol (VisDrone2018-DET-toolkit: evalDET, dropObjectsInIgr, evalRes, calcAccuracy).

It differs from COCO's in five ways, each kept here: objects and detections that lie to half in an ignored region are
taken out first; an image's best 1, 10, 100 or 500 detections are chosen across classes; AP is the area under the
interpolated curve at every recall that occurs; ignored objects stay in the denominator of recall; and a class weighs as
much as the number of images it occurs in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from uav_perception.evaluation.coco import IOU_THRESHOLDS, MAX_DETECTIONS, check_pairs
from uav_perception.evaluation.overlap import overlaps
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.inference.detections import Detections

FALSE, TRUE, IGNORED = 0, 1, -1
"""What a detection turned out to be: wrong, right, or on an object that does not count."""


def visdrone_metrics(
    truths: Sequence[ImageTruth], detections: Sequence[Detections], class_names: Sequence[str]
) -> dict[str, object]:
    """The official VisDrone metrics of detections against truth, image by image in the same order.

    Args:
        truths: what is in the images; ``ignored`` are the objects of score 0, ``ignore_regions`` those of category 0.
            Objects of the category "others" belong to no class: leave them out, or give them a class id outside
            ``class_names``.
        detections: what was found, best 500 of each image used.
        class_names: names by class id.

    Returns:
        ``AP, AP50, AP75, AR1, AR10, AR100, AR500`` from 0 to 1 (the toolkit prints percent), None where no image has
        any object; the same for each class under ``per_class`` with ``images``, its weight in the mean.

    Raises:
        EvaluationError: the two lists differ in length, or there is no class.
    """
    check_pairs(truths, detections, class_names)
    judged = [_judge(*without_ignored_regions(t, d), len(class_names)) for t, d in zip(truths, detections, strict=True)]
    precisions = np.zeros((len(class_names), len(IOU_THRESHOLDS)))
    recalls = np.zeros((len(class_names), len(IOU_THRESHOLDS), len(MAX_DETECTIONS)))
    images = np.zeros(len(class_names), int)
    for class_id in range(len(class_names)):
        of_class = [image.of(class_id) for image in judged]
        images[class_id] = sum(image.objects > 0 for image in of_class)
        if images[class_id]:
            precisions[class_id], recalls[class_id] = _class_accuracy(of_class)
    per_class = {
        name: {**_summary(precisions[i], recalls[i]), "images": int(images[i])} if images[i] else _nothing()
        for i, name in enumerate(class_names)
    }
    if not images.any():
        return {**_nothing(), "per_class": per_class}
    return {
        **_summary(np.average(precisions, axis=0, weights=images), np.average(recalls, axis=0, weights=images)),
        "images": len(truths),
        "per_class": per_class,
    }


def _summary(precision: np.ndarray, recall: np.ndarray) -> dict[str, float]:
    found = {"AP": float(precision.mean()), "AP50": float(precision[0]), "AP75": float(precision[5])}
    found.update({f"AR{limit}": float(recall[:, i].mean()) for i, limit in enumerate(MAX_DETECTIONS)})
    return found


def _nothing() -> dict[str, object]:
    return {name: None for name in ("AP", "AP50", "AP75", *(f"AR{n}" for n in MAX_DETECTIONS))} | {"images": 0}


def without_ignored_regions(truth: ImageTruth, found: Detections) -> tuple[ImageTruth, Detections]:
    """Take out objects and detections with at least half of their area in ignored regions (``dropObjectsInIgr``).

    Needs the size of the image where there are regions, as the toolkit counts pixels of a mask.
    """
    if not len(truth.ignore_regions):
        return truth, found
    width, height = _mask_size(truth)
    covered = _covered_integral(truth.ignore_regions, width, height)
    return truth[_ignored_share(covered, truth.boxes) < 0.5], found[_ignored_share(covered, found.boxes) < 0.5]


def _mask_size(truth: ImageTruth) -> tuple[int, int]:
    if truth.width and truth.height:
        return truth.width, truth.height
    return tuple(int(np.ceil(truth.ignore_regions[:, side].max())) + 1 for side in (2, 3))


def _round(values: np.ndarray) -> np.ndarray:
    """Round halves up, as MATLAB does for positive numbers, to at least one."""
    return np.floor(np.asarray(values, np.float64) + 0.5).clip(min=1).astype(np.int64)


def _corner_and_size(boxes: np.ndarray) -> np.ndarray:
    boxes = np.asarray(boxes, np.float64)
    return _round(np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]))


def _covered_integral(regions: np.ndarray, width: int, height: int) -> np.ndarray:
    """Integral image of the ignored mask, indexed from one as in the toolkit; row and column 0 are zero."""
    mask = np.zeros((height, width), np.int64)
    for left, top, w, h in _corner_and_size(regions):
        mask[top - 1 : top + h, left - 1 : left + w] = 1  # both ends count: a region is one pixel larger than its size
    integral = np.zeros((height + 1, width + 1), np.int64)
    integral[1:, 1:] = mask.cumsum(axis=0).cumsum(axis=1)
    return integral


def _ignored_share(integral: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    height, width = integral.shape[0] - 1, integral.shape[1] - 1
    left, top, w, h = _corner_and_size(boxes).reshape(-1, 4).T
    x, y = left.clip(max=width), top.clip(max=height)
    right, bottom = (x + w).clip(max=width), (y + h).clip(max=height)
    inside = integral[y, x] + integral[bottom, right] - integral[y, right] - integral[bottom, x]
    return inside / (w * h)


@dataclass(frozen=True)
class _ClassInImage:
    objects: int  # of the class, ignored ones too
    scores: np.ndarray  # (n,), falling
    ranks: np.ndarray  # (n,), place among all detections of the image
    outcomes: np.ndarray  # (10, n), FALSE, TRUE or IGNORED at each IoU threshold


@dataclass(frozen=True)
class _Judged:
    by_class: dict[int, _ClassInImage]

    def of(self, class_id: int) -> _ClassInImage:
        return self.by_class.get(class_id, _NOTHING)


_NOTHING = _ClassInImage(0, np.zeros(0), np.zeros(0, int), np.zeros((len(IOU_THRESHOLDS), 0), int))


def _judge(truth: ImageTruth, found: Detections, classes: int) -> _Judged:
    order = np.argsort(-found.scores, kind="stable")[: MAX_DETECTIONS[-1]]
    found = found[order]
    by_class = {}
    for class_id in np.union1d(truth.class_ids, found.class_ids):
        if 0 <= class_id < classes:
            ranks = np.flatnonzero(found.class_ids == class_id)
            objects = truth[truth.class_ids == class_id]
            outcomes = match(found.boxes[ranks], objects.boxes, objects.ignored)
            by_class[int(class_id)] = _ClassInImage(len(objects), found.scores[ranks], ranks, outcomes)
    return _Judged(by_class)


def match(boxes: np.ndarray, objects: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    """Greedy matching of one class in one image at the ten IoU thresholds (``evalRes``).

    A detection takes the object it overlaps most, each object once (the later one on a tie). Only where it reaches no
    object that counts may it fall on an ignored one, of which it must cover a share of *itself*, as often as it likes.

    Args:
        boxes: detections by falling score, shape (D, 4).
        objects: shape (G, 4).
        ignored: bool, shape (G,).

    Returns:
        int, shape (10, D), :data:`FALSE`, :data:`TRUE` or :data:`IGNORED`.
    """
    thresholds = IOU_THRESHOLDS[:, None]
    outcomes = np.full((len(IOU_THRESHOLDS), len(boxes)), FALSE)
    shares = overlaps(boxes, objects, ignored)
    counting, excused = shares[:, ~ignored], shares[:, ignored].max(axis=1, initial=0.0)
    free = np.ones((len(IOU_THRESHOLDS), counting.shape[1]), bool)
    for i in range(len(boxes)):
        reached = free & (counting[i] >= thresholds)
        hit = reached.any(axis=1)
        best = _last_argmax(np.where(reached, counting[i], -1.0)) if counting.shape[1] else np.zeros(len(hit), int)
        outcomes[hit, i] = TRUE
        free[hit, best[hit]] = False
        outcomes[~hit & (excused[i] >= IOU_THRESHOLDS), i] = IGNORED
    return outcomes


def _last_argmax(values: np.ndarray) -> np.ndarray:
    return values.shape[1] - 1 - np.argmax(values[:, ::-1], axis=1)


def _class_accuracy(images: Sequence[_ClassInImage]) -> tuple[np.ndarray, np.ndarray]:
    """AP (10,) and highest recall (10, 4) of one class."""
    scores = np.concatenate([image.scores for image in images])
    ranks = np.concatenate([image.ranks for image in images])
    outcomes = np.concatenate([image.outcomes for image in images], axis=1)
    order = np.argsort(-scores, kind="stable")
    ranks, outcomes = ranks[order], outcomes[:, order]
    objects = max(1, sum(image.objects for image in images))
    recall = np.stack([(outcomes[:, ranks < limit] == TRUE).sum(axis=1) / objects for limit in MAX_DETECTIONS], axis=1)
    right, wrong = (outcomes == TRUE).cumsum(axis=1), (outcomes == FALSE).cumsum(axis=1)
    precision = right / np.maximum(1, right + wrong)
    return np.array([area_under_curve(r, p) for r, p in zip(right / objects, precision, strict=True)]), recall


def area_under_curve(recall: np.ndarray, precision: np.ndarray) -> float:
    """Area under the precision-recall curve, precision made monotone (``VOCap``; PASCAL VOC since 2010)."""
    recall = np.concatenate([[0.0], recall, [1.0]])
    precision = np.concatenate([[0.0], precision, [0.0]])
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * envelope[1:]))
