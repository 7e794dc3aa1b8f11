"""How well actions are recognised over time: per-frame mAP, segment F1, accuracy, time to detect, flips.

Per-frame mAP is De Geest et al., Online Action Detection, ECCV 2016; segment F1 is Lea et al., Temporal Convolutional
Networks for Action Segmentation and Detection, CVPR 2017, section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from uav_perception.evaluation.errors import EvaluationError

UNKNOWN = -1
"""The label while the recogniser has seen too little, or is not sure."""

SEGMENT_OVERLAPS = (0.1, 0.25, 0.5)


@dataclass(frozen=True)
class Segment:
    """One action from ``start_ns`` until ``end_ns`` (not included)."""

    start_ns: int
    end_ns: int
    class_id: int

    def __post_init__(self) -> None:
        if self.end_ns <= self.start_ns:
            raise EvaluationError(
                f"An action segment ends at {self.end_ns} ns, not after its start at {self.start_ns} ns."
            )


def cut(segments: Sequence[Segment], start_ns: int, end_ns: int) -> tuple[Segment, ...]:
    """The parts of segments that lie between two times."""
    return tuple(
        Segment(max(s.start_ns, start_ns), min(s.end_ns, end_ns), s.class_id)
        for s in segments
        if s.start_ns < end_ns and s.end_ns > start_ns
    )


@dataclass(frozen=True)
class ActionSequence:
    """What was recognised over time for one scope (the whole image or one actor), and what was really done.

    Attributes:
        times_ns: int64, shape (T,), stamps of the ticks, rising.
        scores: float64, shape (T, C), probability of each class; zeros where the label is unknown.
        labels: int, shape (T,), the smoothed label, :data:`UNKNOWN` where there is none.
        truth: the true segments. Where several overlap, each of them is right.
        end_ns: until when the last tick holds.
    """

    times_ns: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    truth: tuple[Segment, ...]
    end_ns: int

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "times_ns", np.asarray(self.times_ns, np.int64).reshape(-1))
        set_(self, "labels", np.asarray(self.labels, np.int64).reshape(-1))
        set_(self, "scores", np.asarray(self.scores, np.float64))
        set_(self, "truth", tuple(self.truth))
        if self.scores.ndim != 2 or len(self.scores) != len(self.times_ns) or len(self.labels) != len(self.times_ns):
            raise EvaluationError(
                f"An action sequence needs a label and a row of scores for each tick: {len(self.times_ns)} ticks, "
                f"{len(self.labels)} labels, scores of shape {self.scores.shape}."
            )
        if (np.diff(self.times_ns) <= 0).any():
            raise EvaluationError("The stamps of an action sequence must rise; sort the ticks and drop repeated ones.")

    def truth_matrix(self) -> np.ndarray:
        """bool, shape (T, C): class c is being done at tick t."""
        matrix = np.zeros(self.scores.shape, bool)
        for segment in self.truth:
            if 0 <= segment.class_id < matrix.shape[1]:
                inside = (self.times_ns >= segment.start_ns) & (self.times_ns < segment.end_ns)
                matrix[inside, segment.class_id] = True
        return matrix

    def predicted(self) -> list[Segment]:
        """Runs of one label, each until the next tick of another one; unknown is no segment."""
        if not len(self.labels):
            return []
        starts = np.flatnonzero(np.diff(self.labels, prepend=self.labels[0] - 1))
        ends = np.append(self.times_ns[starts[1:]], max(self.end_ns, self.times_ns[-1] + 1))
        return [
            Segment(int(self.times_ns[s]), int(e), int(self.labels[s]))
            for s, e in zip(starts, ends, strict=True)
            if self.labels[s] != UNKNOWN
        ]


def action_metrics(sequences: Sequence[ActionSequence], class_names: Sequence[str]) -> dict[str, object]:
    """Measures of action recognition over all sequences.

    Args:
        sequences: one for each flight and scope.
        class_names: names by class id.

    Returns:
        ``frame_mAP`` and ``accuracy`` over ticks (accuracy over those at which some action is done; unknown is wrong),
        ``F1@0.1, F1@0.25, F1@0.5`` over segments, ``detected`` (share of the true segments that were named while
        they lasted), ``time_to_detect_median_s`` and ``time_to_detect_p95_s`` (of those detected),
        ``false_alarms_per_minute`` (segments that touch no true one of their label), ``flips_per_minute``, and AP and
        counts for each class under ``per_class``. None where there is nothing to measure.
    """
    classes = len(class_names)
    for sequence in sequences:
        if sequence.scores.shape[1] != classes:
            raise EvaluationError(f"Scores of {sequence.scores.shape[1]} classes do not fit {classes} class names.")
    truth = np.vstack([np.zeros((0, classes), bool), *(s.truth_matrix() for s in sequences)])
    scores = np.vstack([np.zeros((0, classes)), *(s.scores for s in sequences)])
    labels = np.concatenate([np.zeros(0, int), *(s.labels for s in sequences)])
    precisions = [average_precision(scores[:, c], truth[:, c]) for c in range(classes)]
    delays = [delay for s in sequences for delay in times_to_detect(s)]
    detected = [delay for delay in delays if delay is not None]
    minutes = sum((s.end_ns - int(s.times_ns[0])) / 60e9 for s in sequences if len(s.times_ns))
    acting = truth.any(axis=1)
    return {
        "frame_mAP": _mean([p for p in precisions if p is not None]),
        "accuracy": _mean(_is_right(labels, truth)[acting]),
        **{f"F1@{overlap:g}": segment_f1(sequences, overlap) for overlap in SEGMENT_OVERLAPS},
        "detected": len(detected) / len(delays) if delays else None,
        "time_to_detect_median_s": float(np.median(detected)) if detected else None,
        "time_to_detect_p95_s": float(np.percentile(detected, 95)) if detected else None,
        "false_alarms_per_minute": sum(map(false_alarms, sequences)) / minutes if minutes else None,
        "flips_per_minute": sum(flips(s.labels) for s in sequences) / minutes if minutes else None,
        "minutes": minutes,
        "ticks": len(labels),
        "per_class": {
            name: {
                "AP": precisions[c],
                "ticks": int(truth[:, c].sum()),
                "segments": sum(segment.class_id == c for s in sequences for segment in s.truth),
            }
            for c, name in enumerate(class_names)
        },
    }


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """Mean of the precision at each positive, by falling score; ties count as one step. None without positives."""
    if not positive.any():
        return None
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    hits = positive[order].cumsum()[last_of_tie]
    precision = hits / (np.flatnonzero(last_of_tie) + 1)
    return float((np.diff(hits, prepend=0) * precision).sum() / positive.sum())


def _is_right(labels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    known = labels != UNKNOWN
    right = np.zeros(len(labels), bool)
    right[known] = truth[np.flatnonzero(known), labels[known]]
    return right


def segment_f1(sequences: Sequence[ActionSequence], overlap: float) -> float | None:
    """F1 of predicted segments that reach ``overlap`` (intersection over union) with a true one of the same label.

    Each predicted segment is compared with the true one it overlaps most; a true one counts once, so that a segment
    broken in two costs a false one. None where there are neither true nor predicted segments.
    """
    right = wrong = missed = 0
    for sequence in sequences:
        taken = [False] * len(sequence.truth)
        for segment in sequence.predicted():
            shares = [_temporal_overlap(segment, true) for true in sequence.truth]
            best = int(np.argmax(shares)) if shares else -1
            if shares and shares[best] >= overlap and not taken[best]:
                taken[best] = True
                right += 1
            else:
                wrong += 1
        missed += taken.count(False)
    return 2 * right / (2 * right + wrong + missed) if right + wrong + missed else None


def _temporal_overlap(a: Segment, b: Segment) -> float:
    if a.class_id != b.class_id:
        return 0.0
    shared = min(a.end_ns, b.end_ns) - max(a.start_ns, b.start_ns)
    return max(0, shared) / (max(a.end_ns, b.end_ns) - min(a.start_ns, b.start_ns))


def times_to_detect(sequence: ActionSequence) -> list[float | None]:
    """For each true segment the time [s] from its start to the first right label within it; None if never."""
    delays: list[float | None] = []
    for segment in sequence.truth:
        inside = (sequence.times_ns >= segment.start_ns) & (sequence.times_ns < segment.end_ns)
        named = np.flatnonzero(inside & (sequence.labels == segment.class_id))
        delays.append((int(sequence.times_ns[named[0]]) - segment.start_ns) / 1e9 if len(named) else None)
    return delays


def false_alarms(sequence: ActionSequence) -> int:
    """Predicted segments that touch no true segment of their label."""
    return sum(all(_temporal_overlap(p, t) == 0 for t in sequence.truth) for p in sequence.predicted())


def flips(labels: np.ndarray) -> int:
    """How often the label changed."""
    return int((np.diff(labels) != 0).sum())


def action_confusion(sequences: Sequence[ActionSequence], classes: int) -> np.ndarray:
    """Ticks by true (rows) and recognised label (columns); the last row is no action, the last column unknown.

    A tick with several true actions counts as right when one of them was named, else for the first.
    """
    matrix = np.zeros((classes + 1, classes + 1), int)
    for sequence in sequences:
        truth = sequence.truth_matrix()
        for label, row in zip(sequence.labels, truth, strict=True):
            column = classes if label == UNKNOWN else int(label)
            if not row.any():
                matrix[classes, column] += 1
            else:
                matrix[column if column < classes and row[column] else int(np.argmax(row)), column] += 1
    return matrix


def _mean(values: Sequence[float] | np.ndarray) -> float | None:
    return float(np.mean(values)) if len(values) else None
