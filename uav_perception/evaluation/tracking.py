"""How well objects keep their ids: HOTA, IDF1 and the CLEAR counts.

HOTA is Luiten et al., HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking, IJCV 2021; IDF1 is Ristani et
al., Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking, 2016; ID switches and MOTA are
Bernardin and Stiefelhagen, Evaluating Multiple Object Tracking Performance, 2008.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from uav_perception.evaluation.overlap import overlaps
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.evaluation.visdrone import without_ignored_regions
from uav_perception.inference.detections import Detections

ALPHAS = np.arange(0.05, 0.99, 0.05)
"""Overlaps from which a pair counts as found, over which HOTA is averaged (19 values)."""

MATCH = 0.5
"""Overlap from which a pair counts for IDF1 and the CLEAR counts."""

_EPSILON = np.finfo(float).eps


@dataclass(frozen=True)
class TrackedFrame:
    """The true and the found objects of one class in one image.

    Attributes:
        truth_ids: int, shape (G,), from 0.
        ids: int, shape (D,), from 0.
        similarity: shape (G, D), intersection over union.
    """

    truth_ids: np.ndarray
    ids: np.ndarray
    similarity: np.ndarray


@dataclass
class TrackingCounts:
    """Sums over sequences, from which every tracking measure follows. Arrays are over :data:`ALPHAS`."""

    found: np.ndarray = field(default_factory=lambda: np.zeros(len(ALPHAS)))
    missed: np.ndarray = field(default_factory=lambda: np.zeros(len(ALPHAS)))
    false: np.ndarray = field(default_factory=lambda: np.zeros(len(ALPHAS)))
    association: np.ndarray = field(default_factory=lambda: np.zeros(len(ALPHAS)))
    localisation: np.ndarray = field(default_factory=lambda: np.zeros(len(ALPHAS)))
    id_true: int = 0
    id_missed: int = 0
    id_false: int = 0
    clear_found: int = 0
    clear_missed: int = 0
    clear_false: int = 0
    switches: int = 0
    fragments: int = 0

    def __add__(self, other: TrackingCounts) -> TrackingCounts:
        return TrackingCounts(**{name: getattr(self, name) + getattr(other, name) for name in vars(self)})

    def metrics(self) -> dict[str, object]:
        """HOTA, DetA, AssA, LocA, IDF1, IDP, IDR, MOTA from 0 to 1 (MOTA may be negative), and the counts."""
        objects = self.clear_found + self.clear_missed
        if not objects and not self.clear_false:
            return dict.fromkeys(("HOTA", "DetA", "AssA", "LocA", "IDF1", "IDP", "IDR", "MOTA")) | _no_counts()
        found = np.maximum(1, self.found)
        detection = self.found / np.maximum(1, self.found + self.missed + self.false)
        association = self.association / found
        localisation = np.where(self.found > 0, self.localisation / found, 1.0)
        return {
            "HOTA": float(np.sqrt(detection * association).mean()),
            "DetA": float(detection.mean()),
            "AssA": float(association.mean()),
            "LocA": float(localisation.mean()),
            "IDF1": self.id_true / max(1, self.id_true + 0.5 * (self.id_missed + self.id_false)),
            "IDP": self.id_true / max(1, self.id_true + self.id_false),
            "IDR": self.id_true / max(1, self.id_true + self.id_missed),
            "MOTA": (self.clear_found - self.clear_false - self.switches) / max(1, objects),
            "id_switches": int(self.switches),
            "fragments": int(self.fragments),
            "found": int(self.clear_found),
            "missed": int(self.clear_missed),
            "false": int(self.clear_false),
        }


def _no_counts() -> dict[str, object]:
    return dict.fromkeys(("id_switches", "fragments", "found", "missed", "false"), 0)


def tracking_metrics(
    sequences: Sequence[tuple[Sequence[ImageTruth], Sequence[Detections]]], class_names: Sequence[str]
) -> dict[str, object]:
    """Tracking measures over sequences of images, each class on its own, then all classes weighted by their objects.

    Detections without a track id (-1) do not take part. Ignored objects and ignore regions are handled as the MOT
    benchmarks do: what was found there is taken out first.

    Args:
        sequences: truth and detections of the images of each flight, in time order. Ids are per flight.
        class_names: names by class id.

    Returns:
        ``HOTA, DetA, AssA, LocA, IDF1, IDP, IDR, MOTA, id_switches, fragments, found, missed, false`` and the same
        for each class under ``per_class``.
    """
    per_class = [TrackingCounts() for _ in class_names]
    for truths, detections in sequences:
        pairs = [_cleaned(t, d) for t, d in zip(truths, detections, strict=True)]
        for class_id in range(len(class_names)):
            per_class[class_id] += count_sequence(frames_of_class(pairs, class_id))
    total = sum(per_class, TrackingCounts())
    return {**total.metrics(), "per_class": {n: c.metrics() for n, c in zip(class_names, per_class, strict=True)}}


def tracking_counts(truths: Sequence[ImageTruth], detections: Sequence[Detections], classes: int) -> TrackingCounts:
    """The sums of one flight over all classes, from which measures of several flights follow by addition."""
    pairs = [_cleaned(t, d) for t, d in zip(truths, detections, strict=True)]
    return sum((count_sequence(frames_of_class(pairs, c)) for c in range(classes)), TrackingCounts())


def _cleaned(truth: ImageTruth, found: Detections) -> tuple[ImageTruth, Detections]:
    truth, found = without_ignored_regions(truth, found[found.track_ids >= 0])
    counting = truth[~truth.ignored & (truth.track_ids >= 0)]
    excused = truth[truth.ignored | (truth.track_ids < 0)]
    on_excused = overlaps(found.boxes, excused.boxes, excused.ignored).max(axis=1, initial=0.0) >= MATCH
    on_counting = overlaps(found.boxes, counting.boxes).max(axis=1, initial=0.0) >= MATCH
    return counting, found[~on_excused | on_counting]


def frames_of_class(pairs: Sequence[tuple[ImageTruth, Detections]], class_id: int) -> list[TrackedFrame]:
    """The objects of one class, their ids renumbered from 0."""
    pairs = [(t[t.class_ids == class_id], d[d.class_ids == class_id]) for t, d in pairs]
    truth_index = _numbering([t.track_ids for t, _ in pairs])
    index = _numbering([d.track_ids for _, d in pairs])
    return [
        TrackedFrame(
            np.array([truth_index[i] for i in t.track_ids.tolist()], int),
            np.array([index[i] for i in d.track_ids.tolist()], int),
            overlaps(t.boxes, d.boxes),
        )
        for t, d in pairs
    ]


def _numbering(ids: Sequence[np.ndarray]) -> dict[int, int]:
    return {int(value): i for i, value in enumerate(np.unique(np.concatenate([np.zeros(0, int), *ids])))}


def count_sequence(frames: Sequence[TrackedFrame]) -> TrackingCounts:
    """The sums of one sequence of one class."""
    counts = TrackingCounts()
    truths = 1 + max((int(f.truth_ids.max(initial=-1)) for f in frames), default=-1)
    tracks = 1 + max((int(f.ids.max(initial=-1)) for f in frames), default=-1)
    truth_length = np.bincount(np.concatenate([np.zeros(0, int), *(f.truth_ids for f in frames)]), minlength=truths)
    track_length = np.bincount(np.concatenate([np.zeros(0, int), *(f.ids for f in frames)]), minlength=tracks)
    _count_hota(counts, frames, truth_length, track_length)
    _count_identity(counts, frames, truth_length, track_length)
    _count_clear(counts, frames, truths)
    return counts


def _count_hota(counts: TrackingCounts, frames: Sequence[TrackedFrame], truth_length, track_length) -> None:
    shape = (len(truth_length), len(track_length))
    joint = np.zeros(shape)
    for frame in frames:
        s = frame.similarity
        rest = s.sum(axis=0, keepdims=True) + s.sum(axis=1, keepdims=True) - s
        share = np.divide(s, rest, out=np.zeros_like(s), where=rest > _EPSILON)
        joint[np.ix_(frame.truth_ids, frame.ids)] += share
    lengths = truth_length[:, None] + track_length[None, :]
    alignment = joint / np.maximum(lengths - joint, _EPSILON)
    matches = np.zeros((len(ALPHAS), *shape))
    for frame in frames:
        s = frame.similarity
        rows, columns = linear_sum_assignment(-alignment[np.ix_(frame.truth_ids, frame.ids)] * s)
        reached = s[rows, columns] >= ALPHAS[:, None] - _EPSILON  # (19, pairs)
        number = reached.sum(axis=1)
        counts.found += number
        counts.missed += len(frame.truth_ids) - number
        counts.false += len(frame.ids) - number
        counts.localisation += (reached * s[rows, columns]).sum(axis=1)
        matches[:, frame.truth_ids[rows], frame.ids[columns]] += reached
    counts.association += (matches * matches / np.maximum(1, lengths - matches)).sum(axis=(1, 2))


def _count_identity(counts: TrackingCounts, frames: Sequence[TrackedFrame], truth_length, track_length) -> None:
    together = np.zeros((len(truth_length), len(track_length)), int)
    for frame in frames:
        together[np.ix_(frame.truth_ids, frame.ids)] += frame.similarity >= MATCH
    rows, columns = linear_sum_assignment(-together)
    counts.id_true = int(together[rows, columns].sum())
    counts.id_missed = int(truth_length.sum()) - counts.id_true
    counts.id_false = int(track_length.sum()) - counts.id_true


def _count_clear(counts: TrackingCounts, frames: Sequence[TrackedFrame], truths: int) -> None:
    last = np.full(truths, -1)  # the id each object was last followed by
    previous = np.full(truths, -1)  # the same, in the image before only
    starts = np.zeros(truths, int)
    for frame in frames:
        if not len(frame.truth_ids) or not len(frame.ids):
            # As the reference implementation: an image without objects or without tracks interrupts nothing.
            counts.clear_missed += len(frame.truth_ids)
            counts.clear_false += len(frame.ids)
            continue
        s = frame.similarity
        # Following the track of the image before comes first, overlap second.
        value = 1000.0 * (frame.ids[None, :] == previous[frame.truth_ids][:, None]) + s
        value[s < MATCH - _EPSILON] = 0
        rows, columns = linear_sum_assignment(-value)
        reached = value[rows, columns] > _EPSILON
        objects, ids = frame.truth_ids[rows[reached]], frame.ids[columns[reached]]
        counts.switches += int(((last[objects] >= 0) & (last[objects] != ids)).sum())
        now = np.full(truths, -1)
        now[objects] = ids
        starts += (previous < 0) & (now >= 0)
        last[objects] = ids
        previous = now
        counts.clear_found += len(objects)
        counts.clear_missed += len(frame.truth_ids) - len(objects)
        counts.clear_false += len(frame.ids) - len(objects)
    counts.fragments += int((starts[starts > 0] - 1).sum())
