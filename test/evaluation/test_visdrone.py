import numpy as np
import pytest
from detection_samples import VISDRONE_JSON, random_images, visdrone_images

from uav_perception.evaluation.detection import ImageTruth, visdrone_metrics
from uav_perception.evaluation.visdrone import area_under_curve, match, without_ignored_regions
from uav_perception.inference.detections import Detections

LIMITS = (1, 10, 100, 500)
THRESHOLDS = [0.5 + 0.05 * i for i in range(10)]


def half_up(value):
    return max(1, int(np.floor(value + 0.5)))


def in_ignored_half(box, ignored_pixels, width, height):
    """Half of the box's area lies on ignored pixels, counted one by one; pixels are numbered from 1."""
    left, top, w, h = half_up(box[0]), half_up(box[1]), half_up(box[2] - box[0]), half_up(box[3] - box[1])
    left, top = min(left, width), min(top, height)
    covered = sum(
        (x, y) in ignored_pixels
        for x in range(left + 1, min(left + w, width) + 1)
        for y in range(top + 1, min(top + h, height) + 1)
    )
    return covered / (w * h) >= 0.5


def share(box, other, ignored):
    w = min(box[2], other[2]) - max(box[0], other[0])
    h = min(box[3], other[3]) - max(box[1], other[1])
    if w <= 0 or h <= 0:
        return 0.0
    area = (box[2] - box[0]) * (box[3] - box[1])
    union = area if ignored else area + (other[2] - other[0]) * (other[3] - other[1]) - w * h
    return w * h / union


def naive(truths, detections, classes):
    """The protocol written out with loops, one class, threshold and limit at a time."""
    cleaned = []
    for truth, found in zip(truths, detections, strict=True):
        pixels = set()
        for region in truth.ignore_regions:
            left, top = half_up(region[0]), half_up(region[1])
            w, h = half_up(region[2] - region[0]), half_up(region[3] - region[1])
            for x in range(left, min(truth.width, left + w) + 1):
                pixels |= {(x, y) for y in range(top, min(truth.height, top + h) + 1)}

        def outside(box, pixels=pixels, truth=truth):
            return not in_ignored_half(box, pixels, truth.width, truth.height)

        objects = [
            (b, c, g)
            for b, c, g in zip(truth.boxes.tolist(), truth.class_ids, truth.ignored, strict=True)
            if outside(b)
        ]
        rows = zip(found.boxes.astype(float).tolist(), found.class_ids, found.scores.tolist(), strict=True)
        cleaned.append((objects, sorted((r for r in rows if outside(r[0])), key=lambda r: -r[2])))
    ap, ar, weights = np.zeros((classes, 10)), np.zeros((classes, 10, 4)), np.zeros(classes)
    for c in range(classes):
        weights[c] = sum(any(o[1] == c for o in objects) for objects, _ in cleaned)
        for t, threshold in enumerate(THRESHOLDS):
            for k, limit in enumerate(LIMITS):
                outcomes, total = [], 0
                for objects, found in cleaned:
                    counting = [o[0] for o in objects if o[1] == c and not o[2]]
                    excused = [o[0] for o in objects if o[1] == c and o[2]]
                    total += len(counting) + len(excused)
                    used = set()
                    for box, class_id, score in found[:limit]:
                        if class_id != c:
                            continue
                        best, reached = threshold - 1e-12, None
                        for g, other in enumerate(counting):
                            if g not in used and share(box, other, False) >= best:
                                best, reached = share(box, other, False), g
                        if reached is not None:
                            used.add(reached)
                            outcomes.append((score, 1))
                        elif any(share(box, other, True) >= threshold - 1e-12 for other in excused):
                            outcomes.append((score, -1))
                        else:
                            outcomes.append((score, 0))
                outcomes.sort(key=lambda o: -o[0])
                ar[c, t, k] = sum(o == 1 for _, o in outcomes) / max(1, total)
            right = wrong = 0
            curve = []
            for _, outcome in outcomes:
                right, wrong = right + (outcome == 1), wrong + (outcome == 0)
                curve.append((right / max(1, total), right / max(1, right + wrong)))
            last, area = 0.0, 0.0
            for i, (recall, _) in enumerate(curve):
                if recall != last:
                    area += (recall - last) * max(p for _, p in curve[i:])
                    last = recall
            ap[c, t] = area
    mean_ap = (ap * weights[:, None]).sum(0) / weights.sum()
    mean_ar = (ar * weights[:, None, None]).sum(0) / weights.sum()
    return {
        "AP": mean_ap.mean(),
        "AP50": mean_ap[0],
        "AP75": mean_ap[5],
        **{f"AR{n}": mean_ar[:, k].mean() for k, n in enumerate(LIMITS)},
    }, ap.mean(axis=1)


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_naive_reimplementation_on_random_data(seed):
    truths, detections = random_images(seed, images=12)
    expected, per_class = naive(truths, detections, 4)
    found = visdrone_metrics(truths, detections, "abcd")
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name
    for name, value in zip("abcd", per_class, strict=True):
        assert found["per_class"][name]["AP"] == pytest.approx(value, abs=1e-9)


@pytest.mark.skipif(not VISDRONE_JSON.is_file(), reason="the shared VisDrone annotations are not on this machine")
def test_equals_the_naive_reimplementation_on_real_visdrone_annotations():
    truths, detections, names = visdrone_images()
    expected, _ = naive(truths[:15], detections[:15], 2)
    found = visdrone_metrics(truths[:15], detections[:15], names)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name


def box(left, top=0, size=10):
    return [left, top, left + size, top + size]


def test_recall_counts_ignored_objects_in_its_denominator():
    truth = ImageTruth([box(0), box(100)], [0, 0], ignored=[False, True])
    found = Detections([box(0)], [0.9], [0])
    metrics = visdrone_metrics([truth], [found], ["car"])
    assert metrics["AR500"] == pytest.approx(0.5)
    assert metrics["AP"] == pytest.approx(0.5)  # COCO would say 1


def test_the_limit_counts_detections_of_all_classes_together():
    truth = ImageTruth([box(0), box(100)], [0, 1])
    found = Detections([box(0), box(100)], [0.9, 0.8], [0, 1])
    metrics = visdrone_metrics([truth], [found], ["car", "bus"])
    assert metrics["AR1"] == pytest.approx(0.5)  # only the car is within the best one; COCO would say 1
    assert metrics["AR10"] == pytest.approx(1.0)


def test_a_class_weighs_as_much_as_its_images():
    both, car = ImageTruth([box(0), box(100)], [0, 1]), ImageTruth([box(0)], [0])
    only_cars = [Detections([box(0)], [0.9], [0])] * 3
    metrics = visdrone_metrics([both, car, car], only_cars, ["car", "bus", "van"])
    assert metrics["AP"] == pytest.approx(3 / 4)  # 3 images with a car, 1 with a bus; COCO would say 1/2
    assert metrics["per_class"]["bus"]["AP"] == 0.0
    assert metrics["per_class"]["bus"]["images"] == 1
    assert metrics["per_class"]["van"]["AP"] is None


def test_what_lies_to_half_in_an_ignored_region_is_taken_out_before_the_limit():
    truth = ImageTruth([box(0), box(200)], [0, 0], ignore_regions=[[200, 0, 260, 60]], width=400, height=400)
    # Ten detections of high score in the region would use up AR10 if they were taken out afterwards.
    found = Detections([box(205, 5)] * 10 + [box(0)], [0.9] * 10 + [0.1], [0] * 11)
    metrics = visdrone_metrics([truth], [found], ["car"])
    assert metrics["AR1"] == metrics["AR10"] == metrics["AP"] == pytest.approx(1.0)


def test_exactly_half_in_a_region_is_out_and_less_is_in():
    # Pixels 101..200 are ignored by the box that starts at 100; a box from 90 to 110 covers pixels 91..110.
    truth = ImageTruth([[90, 50, 110, 70], [88, 50, 108, 70]], [0, 0], None, [[101, 0, 200, 200]], 400, 400)
    kept, _ = without_ignored_regions(truth, Detections.empty())
    assert kept.boxes[:, 0].tolist() == [88]


def test_a_detection_on_an_ignored_object_is_neither_right_nor_wrong():
    outcomes = match(np.array([box(2), box(4), box(50)]), np.array([box(0, size=20)]), np.array([True]))
    assert outcomes.T.tolist() == [[-1] * 10, [-1] * 10, [0] * 10]


def test_a_tie_between_two_objects_goes_to_the_later_one():
    # Both overlap the first detection alike; the second detection then reaches only the object left of it.
    outcomes = match(np.array([box(2), box(-1)]), np.array([box(0), box(4)]), np.array([False, False]))
    assert outcomes[0].tolist() == [1, 1]


def test_area_under_the_interpolated_curve_by_hand():
    recall, precision = np.array([0.25, 0.25, 0.5, 0.5]), np.array([1, 1 / 2, 2 / 3, 2 / 4])
    assert area_under_curve(recall, precision) == pytest.approx(0.25 * 1 + 0.25 * 2 / 3)
    assert area_under_curve(np.zeros(0), np.zeros(0)) == 0.0


def test_others_never_match_and_nothing_to_find_is_undefined():
    truth = ImageTruth([box(0)], [11])
    found = Detections([box(0)], [0.9], [11])
    metrics = visdrone_metrics([truth], [found], ["car"])
    assert metrics["AP"] is None
    assert metrics["AR500"] is None
