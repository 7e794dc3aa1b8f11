"""The summary of a live replay against a flight worked out by hand."""

import numpy as np
import pytest

from uav_perception.evaluation.live_summary import Tick, action_segments, action_sequence, live_summary
from uav_perception.evaluation.truth_table import LabelledSpan

SECOND = 1_000_000_000
NAMES = ("clap", "run")


def _ticks(*rows):
    return [Tick(round(at * SECOND), label, {label: 0.9} if label != "unknown" else {}) for at, label in rows]


def test_frames_in_are_processed_or_dropped():
    stamps = [0, 1 * SECOND, 2 * SECOND, 3 * SECOND]
    found = {0: ["car", "person"], 2 * SECOND: ["car"], 3 * SECOND: []}
    summary = live_summary(stamps, found, [], [], (), np.array([10.0, 20.0, 30.0]), np.zeros(0))
    assert (summary["frames_in"], summary["frames_processed"], summary["frames_dropped"]) == (4, 3, 1)
    assert summary["detections"] == {"car": 2, "person": 1}
    assert summary["latency_ms"]["p50"] == 20.0
    assert summary["actions"] is None


def test_segments_get_the_truth_they_share_most_time_with():
    truth = [LabelledSpan(0, 3 * SECOND, "clap"), LabelledSpan(3 * SECOND, 8 * SECOND, "run")]
    ticks = _ticks((0, "unknown"), (1, "clap"), (2, "clap"), (4, "run"), (5, "clap"), (6, "unknown"))
    sequence = action_sequence(ticks, truth, NAMES, 8 * SECOND)
    assert action_segments(sequence, NAMES, 0) == [
        {"label": "clap", "start_s": 1.0, "end_s": 4.0, "truth": "clap"},
        {"label": "run", "start_s": 4.0, "end_s": 5.0, "truth": "run"},
        {"label": "clap", "start_s": 5.0, "end_s": 6.0, "truth": "run"},
    ]


def test_accuracy_counts_ticks_and_leaves_out_the_truth_of_single_actors():
    truth = [LabelledSpan(0, 4 * SECOND, "run"), LabelledSpan(0, 4 * SECOND, "clap", track_id=3)]
    ticks = _ticks((0, "unknown"), (1, "run"), (2, "clap"), (3, "run"))
    stamps = [second * SECOND for second in range(4)]
    summary = live_summary(stamps, {}, ticks, truth, NAMES, np.zeros(0), np.zeros(0))
    assert summary["actions"]["accuracy"] == pytest.approx(0.5)
    assert summary["true_action_segments"] == [{"label": "run", "start_s": 0.0, "end_s": 4.0}]


def test_of_two_labels_for_one_image_the_last_counts():
    ticks = _ticks((1, "clap"), (1, "run"))
    assert action_sequence(ticks, [], NAMES, 2 * SECOND).labels.tolist() == [NAMES.index("run")]
