import numpy as np
import pytest
from detection_samples import random_images

from uav_perception.evaluation.bootstrap import paired_interval, weighted_ap
from uav_perception.evaluation.compare import _matches, _pieces
from uav_perception.evaluation.detection import coco_metrics
from uav_perception.evaluation.record import Accounting, FlightRecord, ImageRecord


def record(truths, detections):
    images = tuple(
        ImageRecord(i, f"{i}", 0, found, None, truth)
        for i, (truth, found) in enumerate(zip(truths, detections, strict=True))
    )
    return FlightRecord("flight", Accounting(len(images), len(images), 0, 0), images)


@pytest.mark.parametrize("seed", range(3))
def test_drawing_every_image_once_gives_cocos_ap(seed):
    truths, detections = random_images(seed)
    flight = record(truths, detections)
    matches = _matches([flight], _pieces([(flight, flight)]), 4)
    expected = coco_metrics(truths, detections, "abcd")
    once = np.ones(len(truths), int)
    assert weighted_ap(matches, once) == pytest.approx(expected["AP"], abs=1e-9)
    assert weighted_ap(matches, once, 0) == pytest.approx(expected["AP50"], abs=1e-9)


def test_a_draw_equals_the_images_themselves_repeated():
    truths, detections = random_images(7)
    flight = record(truths, detections)
    matches = _matches([flight], _pieces([(flight, flight)]), 4)
    drawn = np.bincount(np.random.default_rng(0).integers(0, len(truths), len(truths)), minlength=len(truths))
    rows = np.repeat(np.arange(len(truths)), drawn)
    repeated = coco_metrics([truths[i] for i in rows], [detections[i] for i in rows], "abcd")
    # Repeated images tie in score; ties may fall in another order, which moves precision by a hair.
    assert weighted_ap(matches, drawn) == pytest.approx(repeated["AP"], abs=5e-3)


def mean_of(values):
    return lambda drawn: float(drawn @ values / drawn.sum())


def test_interval_has_the_width_of_the_normal_theory():
    rng = np.random.default_rng(0)
    a = rng.normal(0, 1, 400)
    b = a + rng.normal(0.1, 0.2, 400)  # paired: only the difference's spread counts
    low, high = paired_interval(mean_of(a), mean_of(b), 400, 2000, seed=1)
    mean, error = (b - a).mean(), (b - a).std() / 20
    assert low == pytest.approx(mean - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(mean + 1.96 * error, abs=0.2 * error)


def test_interval_covers_the_truth_in_about_95_percent_of_experiments():
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(200):
        difference = rng.normal(0.3, 1.0, 60)
        low, high = paired_interval(mean_of(np.zeros(60)), mean_of(difference), 60, 200, seed=5)
        covered += low <= 0.3 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_few_pieces_and_undefined_measures_have_no_interval():
    assert paired_interval(mean_of(np.ones(4)), mean_of(np.ones(4)), 4, 10, 0) is None
    assert paired_interval(lambda drawn: None, mean_of(np.ones(9)), 9, 10, 0) is None
