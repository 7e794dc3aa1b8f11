"""From what the recogniser said image by image to one sequence for the whole image and one for each true actor."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from uav_perception.actions.results import ActionResult
from uav_perception.evaluation.actions import UNKNOWN, ActionSequence, Segment
from uav_perception.evaluation.overlap import overlaps
from uav_perception.evaluation.record import ActorLabels, ImageRecord

FRAME = -1
"""The key of the whole image."""

_MATCH = 0.5


def sequences_by_scope(
    results: Sequence[tuple[ImageRecord, ActionResult]],
    segments: Mapping[int, tuple[Segment, ...]],
    class_ids: Mapping[str, int],
    score_row: Callable[[ActionResult], np.ndarray],
    end_ns: int,
    scopes: Collection[str],
) -> dict[int, ActionSequence]:
    """Sort results into sequences.

    The result of a tracked actor belongs to the true actor whose box its track covers in that image by half or more;
    results of tracks that cover none are left out, as they are the tracker's errors and counted there.

    Args:
        results: each with the image it was judged at, in order.
        segments: true actions by true track id, -1 for the whole image.
        class_ids: index by label.
        score_row: probabilities of a result by class.
        end_ns: until when the last tick holds.
        scopes: what was judged, "frame", "track" or both.

    Returns:
        Sequences by true track id. Actors that were never looked at have a sequence without ticks if they have true
        actions, so that these count as missed.
    """
    ticks: dict[int, list[tuple[int, np.ndarray, int]]] = {}
    for image, result in results:
        key = FRAME if result.scope == "frame" else _true_actor(image, result.track_id)
        if key is not None:
            label = class_ids.get(result.label, UNKNOWN)
            ticks.setdefault(key, []).append((image.stamp_ns, score_row(result), label))
    for key in segments:
        if ("frame" if key == FRAME else "track") in scopes:
            ticks.setdefault(key, [])
    return {
        key: _sequence(ticks[key], segments.get(key, ()), len(class_ids), end_ns)
        for key in sorted(ticks)
        if key == FRAME or key in segments
    }


def actor_labels(results: Sequence[tuple[ImageRecord, ActionResult]], class_ids: Mapping[str, int]) -> ActorLabels:
    """What was said of each actor, by the id that it was followed with.

    Args:
        results: each with the image it was judged at, in order.
        class_ids: index by label.
    """
    said = [(image.stamp_ns, result) for image, result in results if result.scope != "frame"]
    return ActorLabels(
        [stamp for stamp, _ in said],
        [result.track_id for _, result in said],
        [class_ids.get(result.label, UNKNOWN) for _, result in said],
        [result.score for _, result in said],
    )


def _sequence(rows, truth: tuple[Segment, ...], classes: int, end_ns: int) -> ActionSequence:
    by_time = {}
    for stamp, scores, label in rows:
        by_time.setdefault(stamp, (scores, label))
    times = sorted(by_time)
    scores = np.array([by_time[t][0] for t in times]).reshape(len(times), classes)
    end = max(end_ns, times[-1] + 1) if times else end_ns
    return ActionSequence(times, scores, [by_time[t][1] for t in times], truth, end)


def _true_actor(image: ImageRecord, track_id: int) -> int | None:
    if image.truth is None or image.tracks is None:
        return None
    box = image.tracks.boxes[image.tracks.track_ids == track_id]
    shares = overlaps(box, image.truth.boxes)
    if not shares.size or shares[0].max() < _MATCH:
        return None
    actor = int(image.truth.track_ids[int(np.argmax(shares[0]))])
    return actor if actor >= 0 else None
