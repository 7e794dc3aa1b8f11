"""The COCO detection protocol, by faster-coco-eval (the same numbers as pycocotools, without its limit to AR@100)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from uav_perception.evaluation.errors import EvaluationError
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.inference.detections import Detections

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_POINTS = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = (1, 10, 100, 500)
AP_DETECTIONS = MAX_DETECTIONS.index(100)
"""COCO takes AP from the 100 best detections of each class in each image, whatever AR is also reported for."""

_AREAS = ("all", "small", "medium", "large")


@dataclass(frozen=True)
class CocoResult:
    """What the COCO protocol says about a set of images.

    Attributes:
        precision: shape (10 IoU thresholds, 101 recall points, C classes, 4 areas, 4 limits of detections); -1 where a
            class has no object of that area. Areas are all, small (< 32^2 px), medium, large (> 96^2 px).
        recall: shape (10, C, 4, 4), the highest recall; -1 likewise.
        class_names: the C names.
        truth_counts: shape (C,), objects that count (not ignored) of each class.
    """

    precision: np.ndarray
    recall: np.ndarray
    class_names: tuple[str, ...]
    truth_counts: np.ndarray

    def metrics(self) -> dict[str, object]:
        """AP, AP50, AP75, AP_small/medium/large, AR1/10/100/500 and ``per_class``; 0 to 1, None where undefined."""
        found = self._summary(slice(None))
        found["per_class"] = {
            name: {**self._summary(slice(i, i + 1)), "truths": int(self.truth_counts[i])}
            for i, name in enumerate(self.class_names)
        }
        return found

    def _summary(self, classes: slice) -> dict[str, object]:
        precision = self.precision[:, :, classes]
        found: dict[str, object] = {
            "AP": _mean(precision[..., 0, AP_DETECTIONS]),
            "AP50": _mean(precision[0, ..., 0, AP_DETECTIONS]),
            "AP75": _mean(precision[5, ..., 0, AP_DETECTIONS]),
        }
        for i, area in enumerate(_AREAS[1:], start=1):
            found[f"AP_{area}"] = _mean(precision[..., i, AP_DETECTIONS])
        for i, limit in enumerate(MAX_DETECTIONS):
            found[f"AR{limit}"] = _mean(self.recall[:, classes, 0, i])
        return found

    def curves(self) -> dict[str, list[float]]:
        """Precision at the 101 recall points at IoU 0.5, for each class that has objects."""
        curves = self.precision[0, :, :, 0, AP_DETECTIONS]
        return {name: curves[:, i].tolist() for i, name in enumerate(self.class_names) if curves[0, i] >= 0}


def coco_metrics(
    truths: Sequence[ImageTruth], detections: Sequence[Detections], class_names: Sequence[str]
) -> dict[str, object]:
    """The COCO metrics of detections against truth, image by image in the same order.

    Ignored objects are COCO's ``iscrowd``. Ignore regions have no place in this protocol (the usual conversion of
    VisDrone to COCO drops them), so what is detected there counts as false; ``uavdt_metrics`` takes it out first.

    Args:
        truths: what is in the images. Objects of a class id outside ``class_names`` are left out.
        detections: what was found, best 500 of each class and image used.
        class_names: names by class id.

    Returns:
        ``AP, AP50, AP75, AP_small, AP_medium, AP_large, AR1, AR10, AR100, AR500`` from 0 to 1, None where there is
        nothing to find, and the same for each class under ``per_class``.

    Raises:
        EvaluationError: the two lists differ in length, or there is no class.
    """
    return evaluate_coco(truths, detections, class_names).metrics()


def evaluate_coco(
    truths: Sequence[ImageTruth], detections: Sequence[Detections], class_names: Sequence[str]
) -> CocoResult:
    """As :func:`coco_metrics`, with the whole precision and recall arrays."""
    check_pairs(truths, detections, class_names)
    annotations, results = [], []
    for image, (truth, found) in enumerate(zip(truths, detections, strict=True), start=1):
        annotations += _annotations(truth, image, len(class_names), first_id=len(annotations) + 1)
        results += _results(found, image, len(class_names), first_id=len(results) + 1)
    categories = [{"id": i, "name": name} for i, name in enumerate(class_names)]
    images = [{"id": i, "width": t.width, "height": t.height} for i, t in enumerate(truths, start=1)]
    evaluation = COCOeval_faster(
        _index(images, annotations, categories), _index(images, results, categories), iouType="bbox"
    )
    evaluation.params.imgIds = [image["id"] for image in images]
    evaluation.params.catIds = [category["id"] for category in categories]
    evaluation.params.maxDets = list(MAX_DETECTIONS)
    evaluation.evaluate()
    evaluation.accumulate()
    shape = (len(IOU_THRESHOLDS), len(RECALL_POINTS), len(class_names), len(_AREAS), len(MAX_DETECTIONS))
    counts = np.bincount([a["category_id"] for a in annotations if not a["iscrowd"]], minlength=len(class_names))
    return CocoResult(
        np.asarray(evaluation.eval["precision"]).reshape(shape),
        np.asarray(evaluation.eval["recall"]).reshape(shape[:1] + shape[2:]),
        tuple(class_names),
        counts,
    )


def check_pairs(truths: Sequence[ImageTruth], detections: Sequence[Detections], class_names: Sequence[str]) -> None:
    """Refuse lists that cannot belong together.

    Raises:
        EvaluationError: the lists differ in length, or there is no class.
    """
    if len(truths) != len(detections):
        raise EvaluationError(
            f"Truth of {len(truths)} images and detections of {len(detections)} cannot be compared; "
            "give one entry of each for every image, empty where there is nothing."
        )
    if not class_names:
        raise EvaluationError("Metrics need at least one class name.")


def _annotations(truth: ImageTruth, image: int, classes: int, first_id: int) -> list[dict[str, object]]:
    known = truth[(truth.class_ids >= 0) & (truth.class_ids < classes)]
    return [
        {"id": first_id + i, "image_id": image, "category_id": int(c), "bbox": b, "area": float(a), "iscrowd": int(g)}
        for i, (b, c, a, g) in enumerate(
            zip(_xywh(known.boxes), known.class_ids, known.areas, known.ignored, strict=True)
        )
    ]


def _results(found: Detections, image: int, classes: int, first_id: int) -> list[dict[str, object]]:
    known = found[(found.class_ids >= 0) & (found.class_ids < classes)]
    return [
        {
            "id": first_id + i,
            "image_id": image,
            "category_id": int(c),
            "bbox": b,
            "area": b[2] * b[3],
            "score": float(s),
        }
        for i, (b, c, s) in enumerate(zip(_xywh(known.boxes), known.class_ids, known.scores, strict=True))
    ]


def _xywh(boxes: np.ndarray) -> list[list[float]]:
    boxes = boxes.astype(np.float64)
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]).tolist()


def _index(images: list[dict], annotations: list[dict], categories: list[dict]) -> COCO:
    return COCO({"info": {}, "images": images, "annotations": annotations, "categories": categories})


def _mean(values: np.ndarray) -> float | None:
    known = values[values > -1]
    return float(known.mean()) if known.size else None
