import numpy as np
import pytest

from uav_perception.evaluation.errors import TruthError
from uav_perception.evaluation.overlap import overlaps
from uav_perception.evaluation.truth import ImageTruth


def test_fields_left_out_have_their_neutral_values():
    truth = ImageTruth([[0, 0, 4, 5]], [2])
    assert truth.ignored.tolist() == [False]
    assert truth.track_ids.tolist() == [-1]
    assert truth.areas.tolist() == [20]
    assert truth.ignore_regions.shape == (0, 4)
    assert len(ImageTruth.empty()) == 0


def test_selection_keeps_regions_and_size():
    truth = ImageTruth([[0, 0, 4, 5], [1, 1, 2, 2]], [2, 3], [True, False], [[0, 0, 9, 9]], 640, 480, [7, 8])
    chosen = truth[truth.ignored]
    assert chosen.class_ids.tolist() == [2]
    assert chosen.track_ids.tolist() == [7]
    assert (chosen.width, chosen.height, len(chosen.ignore_regions)) == (640, 480, 1)


def test_uneven_fields_and_broken_coordinates_are_refused():
    with pytest.raises(TruthError, match="1 boxes, 2 class_ids"):
        ImageTruth([[0, 0, 4, 5]], [2, 3])
    with pytest.raises(TruthError, match="not a number"):
        ImageTruth([[0, 0, np.nan, 5]], [2])


def test_overlaps_by_hand():
    boxes = [[0, 0, 10, 10], [0, 0, 0, 0]]
    others = [[5, 0, 15, 10], [0, 0, 40, 10], [10, 0, 20, 10]]
    assert overlaps(boxes, others)[0].tolist() == [50 / 150, 100 / 400, 0.0]
    assert overlaps(boxes, others, np.array([True, True, True]))[0].tolist() == [0.5, 1.0, 0.0]
    assert overlaps(boxes, others)[1].tolist() == [0.0, 0.0, 0.0]
