import contextlib
import io

import numpy as np
import pytest
from detection_samples import VISDRONE_JSON, random_images, visdrone_images
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from uav_perception.evaluation.detection import ImageTruth, coco_metrics, evaluate_coco
from uav_perception.evaluation.errors import EvaluationError
from uav_perception.inference.detections import Detections


def reference(truths, detections, classes):
    """pycocotools on the same data, with the limits 1, 10, 100 and 500."""

    def xywh(box):
        x, y, right, bottom = (float(v) for v in box)
        return [x, y, right - x, bottom - y]

    images = [{"id": i} for i in range(1, len(truths) + 1)]
    categories = [{"id": i, "name": str(i)} for i in range(classes)]
    annotations, results = [], []
    for i, (truth, found) in enumerate(zip(truths, detections, strict=True), start=1):
        for box, c, crowd in zip(truth.boxes, truth.class_ids, truth.ignored, strict=True):
            b = xywh(box)
            row = {"image_id": i, "category_id": int(c), "bbox": b, "area": b[2] * b[3], "iscrowd": int(crowd)}
            annotations.append({"id": len(annotations) + 1, **row})
        for box, c, score in zip(found.boxes, found.class_ids, found.scores, strict=True):
            results.append({"image_id": i, "category_id": int(c), "bbox": xywh(box), "score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
        truth.createIndex()
        standard, many = (COCOeval(truth, truth.loadRes([dict(r) for r in results]), "bbox") for _ in range(2))
        many.params.maxDets = [1, 10, 500]
        for evaluation in (standard, many):
            evaluation.evaluate()
            evaluation.accumulate()
        standard.summarize()
    s = standard.stats
    names = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR1", "AR10", "AR100")
    expected = {name: None if v == -1 else v for name, v in zip(names, s[:9], strict=True)}
    recall = many.eval["recall"][:, :, 0, 2]
    expected["AR500"] = recall[recall > -1].mean()
    precision = standard.eval["precision"][:, :, :, 0, 2]
    per_class = [p[p > -1].mean() if (p > -1).any() else None for p in np.moveaxis(precision, 2, 0)]
    return expected, per_class


def assert_equal_to_pycocotools(truths, detections, names):
    expected, per_class = reference(truths, detections, len(names))
    found = coco_metrics(truths, detections, names)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name
    for name, value in zip(names, per_class, strict=True):
        assert found["per_class"][name]["AP"] == pytest.approx(value, abs=1e-6)


@pytest.mark.skipif(not VISDRONE_JSON.is_file(), reason="the shared VisDrone annotations are not on this machine")
def test_equals_pycocotools_on_real_visdrone_annotations():
    truths, detections, names = visdrone_images()
    assert sum(len(t) for t in truths) == 3326
    assert_equal_to_pycocotools(truths, detections, names)
    assert 0.2 < coco_metrics(truths, detections, names)["AP50"] < 0.95


@pytest.mark.parametrize("seed", range(4))
def test_equals_pycocotools_on_random_data_with_crowds_and_ties(seed):
    truths, detections = random_images(seed)
    assert_equal_to_pycocotools(truths, detections, ("a", "b", "c", "d"))


def test_one_right_and_one_wrong_detection_by_hand():
    truth = ImageTruth([[0, 0, 10, 10], [50, 50, 60, 60]], [0, 0])
    # The best detection is wrong, the second right: precision 1/2 up to recall 1/2, 51 of 101 recall points.
    found = Detections([[20, 20, 30, 30], [0, 0, 10, 10]], [0.9, 0.8], [0, 0])
    metrics = coco_metrics([truth], [found], ["car"])
    assert metrics["AP50"] == pytest.approx(0.5 * 51 / 101)
    assert metrics["AR1"] == 0.0
    assert metrics["AR10"] == pytest.approx(0.5)
    assert metrics["AP_large"] is None
    assert metrics["per_class"]["car"]["truths"] == 2


def test_perfect_detections_score_one_and_none_score_zero():
    truths, _ = random_images(3)
    perfect = [Detections(t.boxes[~t.ignored], np.ones((~t.ignored).sum()), t.class_ids[~t.ignored]) for t in truths]
    names = ("a", "b", "c", "d")
    assert coco_metrics(truths, perfect, names)["AP"] == pytest.approx(1.0)
    assert coco_metrics(truths, [Detections.empty()] * len(truths), names)["AP"] == 0.0


def test_nothing_to_find_is_undefined_not_zero():
    metrics = coco_metrics([ImageTruth.empty()], [Detections([[0, 0, 5, 5]], [0.5], [0])], ["car"])
    assert metrics["AP"] is None
    assert metrics["per_class"]["car"]["AR500"] is None
    assert coco_metrics([ImageTruth.empty()], [Detections.empty()], ["car"])["AP50"] is None


def test_classes_outside_the_names_are_left_out():
    truth = ImageTruth([[0, 0, 10, 10], [20, 20, 40, 40]], [0, 7])
    found = Detections([[0, 0, 10, 10], [20, 20, 40, 40]], [0.5, 0.9], [0, 7])
    assert coco_metrics([truth], [found], ["car"])["AP"] == pytest.approx(1.0)


def test_curves_are_given_for_classes_that_have_objects():
    truth = ImageTruth([[0, 0, 10, 10]], [1])
    result = evaluate_coco([truth], [Detections([[0, 0, 10, 10]], [0.5], [1])], ["car", "bus"])
    assert list(result.curves()) == ["bus"]
    assert result.curves()["bus"] == [1.0] * 101


def test_lists_of_different_length_are_refused():
    with pytest.raises(EvaluationError, match="Truth of 1 images and detections of 0"):
        coco_metrics([ImageTruth.empty()], [], ["car"])
    with pytest.raises(EvaluationError, match="at least one class name"):
        coco_metrics([], [], [])
