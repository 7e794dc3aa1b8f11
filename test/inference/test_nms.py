"""Suppression against a slow definition and against OpenCV's."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uav_perception.inference.nms import nms


def slow(boxes, scores, class_ids, threshold, over_smaller=False):
    """The definition, box by box in float64."""
    kept = []
    for index in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        a = np.asarray(boxes[index], np.float64)
        for other in kept:
            if class_ids is not None and class_ids[other] != class_ids[index]:
                continue
            b = np.asarray(boxes[other], np.float64)
            wide = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
            high = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
            areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
            whole = min(areas) if over_smaller else sum(areas) - wide * high
            if wide * high > threshold * whole:
                break
        else:
            kept.append(index)
    return kept


def scene(count, seed, classes=3):
    rng = np.random.default_rng(seed)
    corner, size = rng.integers(0, 60, (count, 2)), rng.integers(1, 40, (count, 2))
    boxes = np.concatenate((corner, corner + size), axis=1).astype(np.float32)
    return boxes, rng.integers(0, 50, count) / 50, rng.integers(0, classes, count)


@given(
    count=st.integers(0, 60), seed=st.integers(0, 10_000), threshold=st.sampled_from([0.0, 0.3, 0.5, 0.61, 1.0]),
    by_class=st.booleans(), over_smaller=st.booleans(),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_it_is_the_greedy_definition(count, seed, threshold, by_class, over_smaller):
    boxes, scores, class_ids = scene(count, seed)
    groups = class_ids if by_class else None
    expected = slow(boxes, scores, groups, threshold, over_smaller)
    assert nms(boxes, scores, groups, threshold, over_smaller=over_smaller).tolist() == expected
    assert nms(boxes, scores, groups, threshold, 5, over_smaller).tolist() == expected[:5]


@pytest.mark.parametrize("seed", range(10))
def test_opencv_agrees(seed):
    boxes, _, class_ids = scene(200, seed)
    scores = np.random.default_rng(seed).permutation(200) / 200 + 0.001
    sizes = np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1)
    expected = cv2.dnn.NMSBoxes(sizes.tolist(), scores.tolist(), 0.0, 0.45)
    assert nms(boxes, scores, None, 0.45).tolist() == np.ravel(expected).tolist()
    expected = cv2.dnn.NMSBoxesBatched(sizes.tolist(), scores.tolist(), class_ids.tolist(), 0.0, 0.45)
    assert sorted(nms(boxes, scores, class_ids, 0.45).tolist()) == sorted(np.ravel(expected).tolist())


def test_classes_far_apart_in_number_and_boxes_left_of_the_picture_stay_exact():
    """Moving classes apart must not cost precision, nor mix classes when boxes reach beyond the picture."""
    boxes = np.array([[-500, 0, 10.25, 10], [-500, 0, 10.5, 10], [-500, 0, 10.25, 10], [3000, 0, 3010, 10]], np.float32)
    assert nms(boxes, np.array([0.9, 0.8, 0.7, 0.6]), np.array([999, 999, 998, 0]), 0.99).tolist() == [0, 2, 3]


def test_no_boxes():
    assert nms(np.zeros((0, 4)), np.zeros(0), np.zeros(0), 0.5).tolist() == []


def test_empty_boxes_do_not_suppress():
    boxes = np.array([[5, 5, 5, 5], [5, 5, 5, 5], [0, 0, 10, 10]], np.float32)
    assert nms(boxes, np.array([0.9, 0.8, 0.7]), None, 0.5).tolist() == [0, 1, 2]
