"""All measures of a run, from its records. Equal records give equal numbers, to the last bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from uav_perception.evaluation.action_tracks import FRAME
from uav_perception.evaluation.actions import action_confusion, action_metrics
from uav_perception.evaluation.clips import clip_metrics
from uav_perception.evaluation.coco import evaluate_coco
from uav_perception.evaluation.confusion import best_f1_score, confusion_matrix, pair_up
from uav_perception.evaluation.geolocation import PlacedTargets, geolocation_metrics
from uav_perception.evaluation.latency import latency_histogram, stage_summaries, throughput
from uav_perception.evaluation.record import FlightRecord
from uav_perception.evaluation.tracking import tracking_metrics
from uav_perception.evaluation.uavdt import uavdt_metrics
from uav_perception.evaluation.visdrone import visdrone_metrics


def measure(
    records: Sequence[FlightRecord], class_names: Sequence[str], action_names: Sequence[str]
) -> dict[str, object]:
    """The measures for which there is truth.

    Args:
        records: of all recordings.
        class_names: of the detector; empty without one.
        action_names: of the action model; empty without one.

    Returns:
        Some of ``detection``, ``tracking``, ``actions``, ``clips`` and ``geolocation``.
    """
    found: dict[str, object] = {}
    if class_names and any(image.truth is not None for record in records for image in record.images):
        found["detection"] = _detection(records, class_names)
        sequences = [s for s in (record.judged_tracks() for record in records) if s[0]]
        if any((truth.track_ids >= 0).any() for truths, _ in sequences for truth in truths):
            found["tracking"] = tracking_metrics(sequences, class_names)
    if action_names and any(record.judged_actions() for record in records):
        found["actions"] = _actions(records, action_names)
    clips = [record.clips for record in records if record.clips is not None]
    if clips:
        confusion = np.zeros((len(action_names) + 1,) * 2, int)
        for part in clips:
            np.add.at(confusion, (part.labels, part.scores.argmax(axis=1)), 1)
        found["clips"] = {
            **clip_metrics(clips, action_names),
            "confusion": _named_matrix(confusion, action_names, "no action", "unknown"),
        }
    placed = PlacedTargets.joined([record.placed for record in records])
    if len(placed.east_north):
        found["geolocation"] = geolocation_metrics(placed)
    return found


def _detection(records: Sequence[FlightRecord], class_names: Sequence[str]) -> dict[str, object]:
    pairs = [record.judged() for record in records]
    truths = [truth for part, _ in pairs for truth in part]
    detections = [found for _, part in pairs for found in part]
    coco = evaluate_coco(truths, detections, class_names)
    score = operating_score(records)
    confusion = np.zeros((len(class_names) + 1,) * 2, int)
    for truth, found in zip(truths, detections, strict=True):
        confusion += confusion_matrix(truth, found, len(class_names), score)
    result: dict[str, object] = {
        "images": len(truths),
        "coco": coco.metrics(),
        "visdrone": visdrone_metrics(truths, detections, class_names),
        "operating_score": score,
        "confusion": _named_matrix(confusion, class_names, "background", "missed"),
        "curves": coco.curves(),
    }
    if any(len(truth.ignore_regions) for truth in truths):
        result["uavdt"] = uavdt_metrics(truths, detections, class_names)
    return result


def _actions(records: Sequence[FlightRecord], names: Sequence[str]) -> dict[str, object]:
    """Over all sequences and, where whole images and single actors were both judged, for each of the two."""
    judged = [item for record in records for item in record.judged_actions().items()]
    sequences = [s for _, s in judged]
    scopes = {"frame": [s for key, s in judged if key == FRAME], "track": [s for key, s in judged if key != FRAME]}
    confusion = action_confusion(sequences, len(names))
    result = {
        **action_metrics(sequences, names),
        "confusion": _named_matrix(confusion, names, "no action", "unknown"),
    }
    if all(scopes.values()):
        result["by_scope"] = {scope: action_metrics(own, names) for scope, own in scopes.items()}
    return result


def operating_score(records: Sequence[FlightRecord]) -> float:
    """The score at which F1 over all judged images is highest."""
    scores, right, objects = [np.zeros(0)], [np.zeros(0, bool)], 0
    for record in records:
        for truth, found in zip(*record.judged(), strict=True):
            pairs = pair_up(truth, found)
            counts = pairs != -2
            same = np.zeros(len(found), bool)
            same[pairs >= 0] = truth.class_ids[pairs[pairs >= 0]] == found.class_ids[pairs >= 0]
            scores.append(found.scores[counts])
            right.append(same[counts])
            objects += int((~truth.ignored).sum())
    return best_f1_score(np.concatenate(scores), np.concatenate(right), objects)


def _named_matrix(matrix: np.ndarray, names: Sequence[str], last_row: str, last_column: str) -> dict[str, object]:
    """Rows and columns of classes that occur; a model of 80 classes may meet two."""
    used = [i for i in range(len(names)) if matrix[i].any() or matrix[:, i].any()]
    rows, columns = [*used, len(names)], [*used, len(names)]
    return {
        "rows": [*(names[i] for i in used), last_row],
        "columns": [*(names[i] for i in used), last_column],
        "counts": matrix[np.ix_(rows, columns)].tolist(),
    }


def timing(records: Sequence[FlightRecord], wall_s: float | None = None) -> dict[str, object]:
    """Latency of each step, throughput and memory. These change from run to run, so they are kept apart."""
    stages = sorted({name for record in records for name in record.timings_ms})
    joined = {name: np.concatenate([record.timings_ms.get(name, np.zeros(0)) for record in records]) for name in stages}
    images = sum(record.accounting.processed for record in records)
    total = np.concatenate([np.zeros(0), *map(_latency, records)])
    seconds = sum(record.wall_s for record in records) if wall_s is None else wall_s
    return {
        "stages_ms": stage_summaries({**joined, "total": total}),
        "histogram": latency_histogram(total),
        "throughput": throughput(images, seconds, joined.get("inference", np.zeros(0))),
        "peak_memory_mb": max((record.peak_memory_mb for record in records), default=0.0),
    }


def _latency(record: FlightRecord) -> np.ndarray:
    """Of each image. Decoding runs beside the models, so that it is no part of it."""
    parts = [values for name, values in record.timings_ms.items() if name != "decode"]
    return np.sum(parts, axis=0) if parts else np.zeros(0)


HEADLINES: dict[str, tuple[str, ...]] = {
    "ap": ("detection", "coco", "AP"),
    "ap50": ("detection", "coco", "AP50"),
    "ap75": ("detection", "coco", "AP75"),
    "ap_small": ("detection", "coco", "AP_small"),
    "ap_medium": ("detection", "coco", "AP_medium"),
    "ap_large": ("detection", "coco", "AP_large"),
    "ar500": ("detection", "coco", "AR500"),
    "visdrone_ap": ("detection", "visdrone", "AP"),
    "visdrone_ap50": ("detection", "visdrone", "AP50"),
    "visdrone_ar500": ("detection", "visdrone", "AR500"),
    "uavdt_ap": ("detection", "uavdt", "AP"),
    "uavdt_ap50": ("detection", "uavdt", "AP50"),
    "hota": ("tracking", "HOTA"),
    "idf1": ("tracking", "IDF1"),
    "mota": ("tracking", "MOTA"),
    "id_switches": ("tracking", "id_switches"),
    "frame_map": ("actions", "frame_mAP"),
    "accuracy": ("actions", "accuracy"),
    "f1_10": ("actions", "F1@0.1"),
    "f1_25": ("actions", "F1@0.25"),
    "f1_50": ("actions", "F1@0.5"),
    "detected": ("actions", "detected"),
    "time_to_detect_s": ("actions", "time_to_detect_median_s"),
    "false_alarms_per_minute": ("actions", "false_alarms_per_minute"),
    "flips_per_minute": ("actions", "flips_per_minute"),
    "top1": ("clips", "top1"),
    "top5": ("clips", "top5"),
    "geo_error_median_m": ("geolocation", "error_median_m"),
    "geo_error_p95_m": ("geolocation", "error_p95_m"),
    "geo_coverage_95": ("geolocation", "coverage_95"),
    "latency_p50_ms": ("timing", "stages_ms", "total", "p50"),
    "latency_p99_ms": ("timing", "stages_ms", "total", "p99"),
    "images_per_second": ("timing", "throughput", "images_per_second"),
}
"""Where each measure that ``--require`` and ``compare`` know lies in a report."""

LOWER_IS_BETTER = frozenset(
    {
        "id_switches",
        "time_to_detect_s",
        "false_alarms_per_minute",
        "flips_per_minute",
        "geo_error_median_m",
        "geo_error_p95_m",
        "latency_p50_ms",
        "latency_p99_ms",
    }
)


def headlines(report: Mapping[str, object]) -> dict[str, float]:
    """The measures of :data:`HEADLINES` that a report has."""
    found = {}
    for name, path in HEADLINES.items():
        value: object = report
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            found[name] = value
    return found
