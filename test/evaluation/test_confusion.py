import numpy as np
import pytest

from uav_perception.evaluation.confusion import best_f1_score, confusion_matrix, misses, pair_up
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.inference.detections import Detections

TRUTH = ImageTruth(
    [[0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 90, 90], [200, 200, 260, 260]],
    [0, 1, 0, 1],
    ignored=[False, False, True, False],
    ignore_regions=[[300, 300, 400, 400]],
)
FOUND = Detections(
    [[0, 0, 10, 10], [20, 0, 30, 10], [55, 55, 65, 65], [310, 310, 320, 320], [120, 0, 130, 10], [0, 0, 10, 9]],
    [0.9, 0.8, 0.7, 0.7, 0.6, 0.2],
    [0, 0, 0, 1, 1, 0],
)


def test_pairs_confusion_and_excused_detections_by_hand():
    assert pair_up(TRUTH, FOUND).tolist() == [0, 1, -2, -2, -1, -1]
    assert confusion_matrix(TRUTH, FOUND, 2, score=0.5).tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]


def test_every_object_and_every_unexcused_detection_is_counted_once():
    matrix = confusion_matrix(TRUTH, FOUND, 2, score=0.0)
    assert matrix[:2].sum() == (~TRUTH.ignored).sum()
    assert matrix[:, :2].sum() == 4


def test_the_object_of_the_same_class_is_preferred_where_two_overlap():
    truth = ImageTruth([[0, 0, 10, 10], [1, 0, 11, 10]], [1, 0])
    assert pair_up(truth, Detections([[0, 0, 10, 10]], [0.9], [0])).tolist() == [1]


def test_misses_are_named_and_weighed():
    errors = misses(7, TRUTH, FOUND, score=0.5)
    kinds = {(e.kind, e.true_class, e.found_class) for e in errors}
    assert kinds == {("confused", 1, 0), ("false", -1, 1), ("missed", 1, -1)}
    missed = next(e for e in errors if e.kind == "missed")
    assert (missed.frame, missed.box) == (7, (200.0, 200.0, 260.0, 260.0))
    assert missed.weight == pytest.approx(3600 / 96**2)
    assert misses(0, TRUTH, Detections.empty(), 0.5)[0].kind == "missed"


def test_operating_score_maximises_f1():
    scores, right = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, False])
    assert best_f1_score(scores, right, 2) == 0.8
    assert best_f1_score(np.zeros(0), np.zeros(0, bool), 3) == 0.5
