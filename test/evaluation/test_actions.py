import numpy as np
import pytest

from uav_perception.evaluation.actions import (
    UNKNOWN,
    ActionSequence,
    Segment,
    action_confusion,
    action_metrics,
    average_precision,
    flips,
    segment_f1,
    times_to_detect,
)
from uav_perception.evaluation.errors import EvaluationError

S = 1_000_000_000
NAMES = ("walk", "run", "clap")


def sequence(labels, truth, scores=None):
    """One tick a second from 0; each segment is (start s, end s, class)."""
    labels = np.array(labels)
    if scores is None:
        scores = np.zeros((len(labels), 3))
        scores[labels >= 0, labels[labels >= 0]] = 1.0
    segments = tuple(Segment(int(a * S), int(b * S), c) for a, b, c in truth)
    return ActionSequence(np.arange(len(labels)) * S, scores, labels, segments, len(labels) * S)


def test_perfect_recognition():
    metrics = action_metrics([sequence([0, 0, 1, 1, 1], [(0, 2, 0), (2, 5, 1)])], NAMES)
    assert metrics["frame_mAP"] == metrics["accuracy"] == metrics["F1@0.5"] == metrics["detected"] == 1.0
    assert metrics["time_to_detect_median_s"] == 0.0
    assert metrics["false_alarms_per_minute"] == 0.0
    assert metrics["flips_per_minute"] == pytest.approx(1 / (5 / 60))
    assert metrics["per_class"]["clap"] == {"AP": None, "ticks": 0, "segments": 0}


def test_late_and_interrupted_recognition_by_hand():
    # walk is done from 0 to 10 s; recognised 2..5 and 7..10, with run in between.
    found = sequence([UNKNOWN] * 2 + [0] * 3 + [1] * 2 + [0] * 3, [(0, 10, 0)])
    metrics = action_metrics([found], NAMES)
    assert metrics["accuracy"] == pytest.approx(0.6)
    assert metrics["time_to_detect_median_s"] == 2.0
    # Three predicted segments: 0.3 overlap, wrong label, 0.3 again with the true one taken.
    assert metrics["F1@0.25"] == pytest.approx(2 * 1 / (2 * 1 + 2 + 0))
    assert metrics["F1@0.5"] == pytest.approx(0.0)
    assert metrics["false_alarms_per_minute"] == pytest.approx(1 / (10 / 60))
    assert metrics["flips_per_minute"] == pytest.approx(3 / (10 / 60))


def test_segments_never_named_are_missed_without_a_delay():
    found = sequence([0, 0, 0, 0], [(0, 2, 0), (2, 4, 2)])
    assert times_to_detect(found) == [0.0, None]
    metrics = action_metrics([found], NAMES)
    assert metrics["detected"] == 0.5
    assert metrics["F1@0.1"] == pytest.approx(2 / 3)


def test_average_precision_by_hand_and_with_ties():
    assert average_precision(np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 0, 1, 0], bool)) == pytest.approx(
        (1 + 2 / 3) / 2
    )
    assert average_precision(np.array([0.5, 0.5, 0.5, 0.5]), np.array([1, 0, 1, 0], bool)) == pytest.approx(0.5)
    assert average_precision(np.array([0.5]), np.array([False])) is None


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_equals_a_slow_version(seed):
    rng = np.random.default_rng(seed)
    scores, positive = rng.random(60).round(1), rng.random(60) < 0.3
    total = 0.0
    for i in np.flatnonzero(positive):
        at_least = scores >= scores[i]
        total += positive[at_least].sum() / at_least.sum()
    assert average_precision(scores, positive) == pytest.approx(total / positive.sum())


def test_frame_map_uses_scores_not_labels():
    scores = np.array([[0.6, 0.4, 0], [0.4, 0.35, 0.25], [0.3, 0.38, 0.32], [0.1, 0.9, 0]])
    found = sequence([UNKNOWN] * 4, [(0, 2, 0), (2, 4, 1)], scores)
    metrics = action_metrics([found], NAMES)
    # walk: perfect order. run: right at ranks 1 (0.9) and 3 (0.38 behind 0.4).
    assert metrics["frame_mAP"] == pytest.approx((1 + (1 + 2 / 3) / 2) / 2)
    assert metrics["accuracy"] == 0.0


def test_several_actions_at_once_are_each_right():
    found = sequence([0, 2, 1], [(0, 3, 0), (0, 3, 2)])
    assert action_metrics([found], NAMES)["accuracy"] == pytest.approx(2 / 3)
    assert action_confusion([found], 3).tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_ticks_without_an_action_are_not_part_of_accuracy_but_of_the_confusion():
    found = sequence([UNKNOWN, 1, 0], [(2, 3, 0)])
    assert action_metrics([found], NAMES)["accuracy"] == 1.0
    assert action_confusion([found], 3)[3].tolist() == [0, 1, 0, 1]


def test_empty_sequences_are_undefined():
    metrics = action_metrics([], NAMES)
    assert metrics["frame_mAP"] is metrics["accuracy"] is metrics["F1@0.5"] is metrics["flips_per_minute"] is None
    assert segment_f1([sequence([UNKNOWN], [])], 0.5) is None


def test_flips_count_changes_to_and_from_unknown():
    assert flips(np.array([0, 0, 1, UNKNOWN, 1])) == 3


def test_broken_sequences_are_refused():
    with pytest.raises(EvaluationError, match="must rise"):
        ActionSequence([1, 1], np.zeros((2, 3)), [0, 0], (), 2)
    with pytest.raises(EvaluationError, match=r"2 ticks, 1 labels, scores of shape \(2, 3\)"):
        ActionSequence([1, 2], np.zeros((2, 3)), [0], (), 3)
    with pytest.raises(EvaluationError, match="ends at 5 ns"):
        Segment(5, 5, 0)
    with pytest.raises(EvaluationError, match="Scores of 3 classes do not fit 2"):
        action_metrics([sequence([0], [])], ("walk", "run"))
