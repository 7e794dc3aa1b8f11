"""The summary of a live replay: what went in, what came out, how late, and the recognised actions against the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from uav_perception.evaluation.actions import UNKNOWN, ActionSequence, Segment, action_metrics
from uav_perception.evaluation.latency import latency_summary
from uav_perception.evaluation.truth_table import LabelledSpan

_SECOND = 1e9


@dataclass(frozen=True)
class Tick:
    """One action label for the whole image.

    Attributes:
        stamp_ns: stamp of the newest image that was judged [ns].
        label: the steadied label, ``unknown`` when there is none.
        scores: probability by class name, as far as published.
    """

    stamp_ns: int
    label: str
    scores: dict[str, float]


def detection_counts(class_names_of_images: Iterable[Sequence[str]]) -> dict[str, int]:
    """How many detections of each class there were, over all images, the most frequent first."""
    counts = Counter(name for names in class_names_of_images for name in names)
    return dict(counts.most_common())


def action_sequence(
    ticks: Sequence[Tick], truth: Sequence[LabelledSpan], class_names: Sequence[str], end_ns: int
) -> ActionSequence:
    """Ticks and true spans of the whole image as the action measures take them.

    Args:
        ticks: in order of their stamps; of several with one stamp the last counts.
        truth: true spans with stamps as times; those of single actors are left out.
        class_names: of the action model.
        end_ns: until when the last label holds.
    """
    ids = {name: index for index, name in enumerate(class_names)}
    rows = list({tick.stamp_ns: tick for tick in ticks}.values())
    scores = np.zeros((len(rows), len(class_names)))
    for row, tick in enumerate(rows):
        for name, score in tick.scores.items():
            scores[row, ids[name]] = score
    return ActionSequence(
        times_ns=np.array([tick.stamp_ns for tick in rows], np.int64),
        scores=scores,
        labels=np.array([ids.get(tick.label, UNKNOWN) for tick in rows], np.int64),
        truth=tuple(
            Segment(span.start_ns, span.end_ns, ids[span.label])
            for span in truth
            if span.track_id == -1 and span.label in ids
        ),
        end_ns=end_ns,
    )


def action_segments(sequence: ActionSequence, class_names: Sequence[str], begin_ns: int) -> list[dict[str, object]]:
    """The recognised segments in seconds of the flight, each with the truth that it shares most time with."""
    rows = []
    for segment in sequence.predicted():
        shared = Counter()
        for true in sequence.truth:
            overlap = min(segment.end_ns, true.end_ns) - max(segment.start_ns, true.start_ns)
            if overlap > 0:
                shared[class_names[true.class_id]] += overlap
        rows.append(
            {
                "label": class_names[segment.class_id],
                "start_s": round((segment.start_ns - begin_ns) / _SECOND, 3),
                "end_s": round((segment.end_ns - begin_ns) / _SECOND, 3),
                "truth": shared.most_common(1)[0][0] if shared else None,
            }
        )
    return rows


def live_summary(
    image_stamps_ns: Sequence[int],
    detected_class_names: dict[int, Sequence[str]],
    ticks: Sequence[Tick],
    truth: Sequence[LabelledSpan],
    action_class_names: Sequence[str],
    detection_latency_ms: np.ndarray,
    action_latency_ms: np.ndarray,
) -> dict[str, object]:
    """Everything about one live replay, ready for JSON.

    Args:
        image_stamps_ns: stamps of the images that were sent [ns], in order.
        detected_class_names: for each image that was answered, by its stamp [ns], the classes found in it.
        ticks: action labels for the whole image.
        truth: true actions, times as stamps.
        action_class_names: classes of the action model; empty without one.
        detection_latency_ms: from publishing an image to the arrival of its detections [ms].
        action_latency_ms: the same for action labels [ms].

    Returns:
        ``frames_in``, ``frames_processed``, ``frames_dropped`` (the sum of these two is the first), ``detections`` (by
        class), ``action_segments``, ``true_action_segments``, ``actions`` (measures against the truth; None without),
        ``latency_ms`` (of detections) and ``action_latency_ms``.
    """
    processed = sum(stamp in detected_class_names for stamp in image_stamps_ns)
    begin = image_stamps_ns[0] if image_stamps_ns else 0
    end = image_stamps_ns[-1] + 1 if image_stamps_ns else 1
    sequence = action_sequence(ticks, truth, action_class_names, end)
    true_segments = [
        {
            "label": action_class_names[segment.class_id],
            "start_s": round((segment.start_ns - begin) / _SECOND, 3),
            "end_s": round((segment.end_ns - begin) / _SECOND, 3),
        }
        for segment in sequence.truth
    ]
    return {
        "frames_in": len(image_stamps_ns),
        "frames_processed": processed,
        "frames_dropped": len(image_stamps_ns) - processed,
        "detections": detection_counts(detected_class_names.values()),
        "action_segments": action_segments(sequence, action_class_names, begin),
        "true_action_segments": true_segments,
        "actions": action_metrics([sequence], action_class_names) if true_segments and ticks else None,
        "latency_ms": latency_summary(detection_latency_ms),
        "action_latency_ms": latency_summary(action_latency_ms),
    }
