"""UAVDT's way of judging detections: what lies in an ignore area does not count, then the usual measures."""

from __future__ import annotations

from collections.abc import Sequence

from uav_perception.evaluation.coco import coco_metrics
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.evaluation.visdrone import without_ignored_regions
from uav_perception.inference.detections import Detections


def uavdt_metrics(
    truths: Sequence[ImageTruth], detections: Sequence[Detections], class_names: Sequence[str]
) -> dict[str, object]:
    """COCO metrics after objects and detections lying to half in an ignore area (``gt_ignore.txt``) were taken out.

    Published UAVDT numbers are COCO-style, with the ignore areas filtered or given as ``iscrowd``; filtering is the
    one that also keeps a detection of a neighbouring area from being excused.

    Args, result and errors are those of :func:`~uav_perception.evaluation.coco.coco_metrics`.
    """
    pairs = [without_ignored_regions(t, d) for t, d in zip(truths, detections, strict=True)]
    return coco_metrics([t for t, _ in pairs], [d for _, d in pairs], class_names)
