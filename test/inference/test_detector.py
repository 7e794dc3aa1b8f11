"""The detector from picture to objects: networks that answer as told, and the real YOLOX where it is at hand."""

import cv2
import numpy as np
import pytest

from uav_perception.inference.backends import BackendOptions
from uav_perception.inference.contract import ModelContract, write_contract
from uav_perception.inference.detector import Detector
from uav_perception.inference.errors import ModelError
from uav_perception.inference.tiling import Tiling
from uav_perception.resources import resource

NAMES = ("person", "car")
PICTURE = np.full((100, 200, 3), 90, np.uint8)  # 64x32 input: scale 0.32, no padding


def model(save, rows, decoder="yolo_end_to_end", inputs=None, outputs=None, **changes):
    """A network that always finds the same boxes, in pixels of its input."""
    if outputs is None:
        outputs = {"output0": np.array([rows], np.float32)}
    path = save("model", outputs, inputs=inputs)
    write_contract(path, ModelContract("detection", "test", 64, 32, NAMES, decoder, **changes))
    return path


def test_boxes_come_back_in_pixels_of_the_picture_by_falling_score(save):
    path = model(save, [[16, 8, 32, 16, 0.5, 0], [0, 0, 64, 32, 0.9, 1], [1, 1, 2, 2, 0.1, 0]])
    detector = Detector(path)
    found = detector.detect(PICTURE)
    np.testing.assert_allclose(found.boxes, [[0, 0, 200, 100], [50, 25, 100, 50]], atol=1e-4)
    np.testing.assert_allclose(found.scores, [0.9, 0.5])
    assert found.class_ids.tolist() == [1, 0]
    assert found.track_ids.tolist() == [-1, -1]
    assert detector.contract.class_names == NAMES
    timings = detector.timings
    assert min(timings.preprocess, timings.inference, timings.postprocess) > 0
    assert timings.total == timings.preprocess + timings.inference + timings.postprocess


def test_boxes_are_clipped_and_those_in_the_padding_dropped(save):
    path = model(save, [[-5, -5, 70, 40, 0.9, 0], [0, 0, 64, 7, 0.8, 0], [10, 12, 10, 20, 0.7, 0]])
    found = Detector(path).detect(np.zeros((64, 256, 3), np.uint8))  # scale 1/4: 16 of 32 rows, 8 px padding each side
    np.testing.assert_allclose(found.boxes, [[0, 0, 256, 64]])


def test_thresholds_from_the_call_from_the_contract_and_by_default(save):
    rows = [[0, 0, 10, 10, 0.55, 0], [20, 0, 30, 10, 0.35, 0], [40, 0, 50, 10, 0.25, 0]]
    path = model(save, rows)
    assert len(Detector(path).detect(PICTURE)) == 2
    assert len(Detector(path, score_threshold=0.5).detect(PICTURE)) == 1
    assert len(Detector(path, max_detections=1, score_threshold=0.1).detect(PICTURE)) == 1
    path = model(save, rows, decoder_options={"score_threshold": 0.2, "max_detections": 2})
    detector = Detector(path)
    assert len(detector.detect(PICTURE)) == 2
    detector.max_detections = 10
    assert len(detector.detect(PICTURE)) == 3
    detector.score_threshold = 0.5
    assert len(detector.detect(PICTURE)) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score_threshold": 1.5}, "`score_threshold` must lie in 0..1, not 1.5"),
        ({"iou_threshold": -0.1}, "`iou_threshold` must lie in 0..1, not -0.1"),
        ({"max_detections": 0}, "`max_detections` must be 1 or more, not 0"),
    ],
)
def test_wrong_thresholds_are_named(save, options, message):
    with pytest.raises(ModelError, match=message):
        Detector(model(save, [[0, 0, 1, 1, 0.9, 0]]), **options)


def raw(boxes):
    """Boxes (x, y, w, h, score of person, score of car) in the layout of raw YOLO."""
    return {"output0": np.array([boxes], np.float32).transpose(0, 2, 1)}


def test_suppression_by_class_and_across_classes(save):
    boxes = [[20, 16, 10, 10, 0.9, 0], [21, 16, 10, 10, 0.8, 0], [20, 16, 10, 10, 0, 0.7], [50, 16, 9, 9, 0.6, 0]]
    path = model(save, None, "yolo", outputs=raw(boxes))
    np.testing.assert_allclose(Detector(path).detect(PICTURE).scores, [0.9, 0.7, 0.6])
    np.testing.assert_allclose(Detector(path, class_agnostic=True).detect(PICTURE).scores, [0.9, 0.6])
    np.testing.assert_allclose(Detector(path, iou_threshold=0.95).detect(PICTURE).scores, [0.9, 0.8, 0.7, 0.6])


def test_a_network_that_asks_for_the_size_of_the_picture_gets_that_of_its_input(save):
    outputs = {
        "labels": np.array([[1]], np.int64), "boxes": np.array([[[16, 8, 32, 16]]], np.float32),
        "scores": np.array([[0.8]], np.float32),
    }  # fmt: skip
    inputs = {"images": (1, 3, 32, 64), "orig_target_sizes": (1, 2)}
    found = Detector(model(save, None, "rtdetr", inputs, outputs)).detect(PICTURE)
    np.testing.assert_allclose(found.boxes, [[50, 25, 100, 50]], atol=1e-4)


def test_a_network_with_an_input_nobody_knows_is_refused(save):
    inputs = {"images": (1, 3, 32, 64), "altitude": (1, 1)}
    with pytest.raises(ModelError, match="has the inputs altitude besides the picture"):
        Detector(model(save, [[0, 0, 1, 1, 0.9, 0]], inputs=inputs))


def test_a_graph_with_free_sides_runs_at_the_size_of_its_contract(save):
    path = model(save, [[0, 0, 64, 32, 0.9, 0]], inputs={"images": ("b", 3, "h", "w")})
    np.testing.assert_allclose(Detector(path).detect(PICTURE).boxes, [[0, 0, 200, 100]], atol=1e-4)


def test_an_action_model_is_refused(save):
    outputs = {"features": np.zeros((1, 5), np.float32), "logits": np.zeros((1, 1), np.float32)}
    path = save("action", outputs, inputs={"frames": (1, 3, 32, 64), "window": (1, 3, 5)})
    options = {"segments": 3, "feature_size": 5, "window_seconds": 2.0, "tick_hz": 5.0}
    write_contract(path, ModelContract("action", "larmuv", 64, 32, ("walk",), "larmuv", options))
    with pytest.raises(ModelError, match="is for task 'action'"):
        Detector(path)


def test_what_is_no_picture_is_refused_and_the_next_one_works(save):
    detector = Detector(model(save, [[0, 0, 64, 32, 0.9, 0]]))
    with pytest.raises(ModelError, match="uint8 of shape"):
        detector.detect(np.zeros((10, 10), np.uint8))
    with pytest.raises(ModelError, match=r"uint8 of shape .* not uint8 of shape \(5,\)"):
        detector.detect(np.zeros(5, np.uint8))
    assert len(detector.detect(PICTURE)) == 1


def test_tiles_find_what_each_tile_shows_and_merge_shared_parts(save):
    """The network always finds one object that fills its input: one a tile, merged where tiles overlap much."""
    detector = Detector(model(save, [[0, 0, 64, 32, 0.9, 0]]))
    detector.tiling = Tiling(64, 32, overlap=0.0, with_whole=False)
    found = detector.detect(np.zeros((64, 128, 3), np.uint8))
    assert sorted(map(tuple, found.boxes.tolist())) == [
        (0, 0, 64, 32), (0, 32, 64, 64), (64, 0, 128, 32), (64, 32, 128, 64),
    ]  # fmt: skip
    detector.tiling = Tiling(64, 32, overlap=0.0, with_whole=True)
    assert len(detector.detect(np.zeros((64, 128, 3), np.uint8))) == 4  # the whole covers them: merged into the first
    detector.tiling = Tiling(64, 32, overlap=0.75, with_whole=False)
    assert len(detector.detect(np.zeros((32, 80, 3), np.uint8))) == 1


def test_the_warm_up_leaves_no_trace(save):
    detector = Detector(model(save, [[0, 0, 64, 32, 0.9, 0]]), options=BackendOptions(threads=1))
    detector.warm_up()
    assert detector.timings is None


@pytest.fixture
def yolox(media):
    return Detector(
        media / "detectors" / "yolox_nano.onnx",
        contract_file=resource("config", "contracts", "yolox_coco.yaml"),
        score_threshold=0.35,
        options=BackendOptions(threads=1),
    )


def test_yolox_finds_the_five_vehicles_where_they_are_annotated(media, yolox):
    import json

    found = yolox.detect(cv2.imread(str(media / "aerial" / "terrain2.png")))
    assert {yolox.contract.class_names[index] for index in found.class_ids} <= {"car", "truck"}
    truth = json.loads((media / "aerial" / "terrain2_coco.json").read_text())
    boxes = np.array([annotation["bbox"] for annotation in truth["annotations"]], float)
    assert len(boxes) == len(found) == 5
    for x, y, w, h in boxes:
        wide = np.minimum(found.boxes[:, 2], x + w) - np.maximum(found.boxes[:, 0], x)
        high = np.minimum(found.boxes[:, 3], y + h) - np.maximum(found.boxes[:, 1], y)
        shared = np.maximum(wide, 0) * np.maximum(high, 0)
        areas = (found.boxes[:, 2:] - found.boxes[:, :2]).prod(axis=1)
        assert (shared / (areas + w * h - shared)).max() > 0.6


def test_yolox_finds_the_street_and_tiles_find_small_people(media, yolox):
    found = yolox.detect(cv2.imread(str(media / "detectors" / "street.jpg")))
    names = [yolox.contract.class_names[index] for index in found.class_ids]
    assert len(names) >= 12
    assert {"person", "car", "bicycle"} <= set(names)
    yolox.tiling = Tiling(640, 640)
    tiled = yolox.detect(cv2.imread(str(media / "aerial" / "terrain1.jpg")))
    people = tiled.scores[tiled.class_ids == yolox.contract.class_names.index("person")]
    assert (people > 0.8).sum() >= 2


def test_the_steps_give_what_detect_gives_though_pictures_overtake_each_other():
    rng = np.random.default_rng(0)
    pictures = [cv2.resize(rng.integers(0, 256, (12, 20, 3), np.uint8), (640, height)) for height in (384, 300)]
    detector = Detector(resource("models", "gfl_light_sim.onnx"), score_threshold=0.02)
    works = [detector.prepare(picture) for picture in pictures]
    for work in works:
        detector.infer(work)
    for picture, work in zip(pictures, works, strict=True):
        stepped, whole = detector.finish(work), detector.detect(picture)
        assert len(whole) > 0
        np.testing.assert_array_equal(stepped.boxes, whole.boxes)
        np.testing.assert_array_equal(stepped.scores, whole.scores)
        assert min(work.spent.values()) > 0 and work.spent.keys() == {"preprocess", "inference", "postprocess"}


def test_a_detector_with_tiles_is_not_run_in_steps(save):
    detector = Detector(model(save, [[0, 0, 1, 1, 0.9, 0]]), tiling=Tiling(64, 64, 0.2))
    with pytest.raises(ModelError, match="cannot be run in steps; call detect"):
        detector.prepare(PICTURE)
