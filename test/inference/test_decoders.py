"""Every decoder against a slow loop over cells in float64, written from the definition of its head."""

import math

import numpy as np
import pytest

from uav_perception.inference.contract import ModelContract
from uav_perception.inference.decoders import WITHOUT_NMS, make_decoder
from uav_perception.inference.decoders.candidates import MAX_CANDIDATES, surest
from uav_perception.inference.errors import ModelError

WIDTH, HEIGHT, STRIDES, CLASSES, REG_MAX = 72, 40, (8, 16, 32), 3, 6


def contract(decoder, **options) -> ModelContract:
    names = tuple(f"class {index}" for index in range(CLASSES))
    needed = {"strides": list(STRIDES), "reg_max": REG_MAX} if decoder in ("gfl", "fcos", "atss", "yolox") else {}
    return ModelContract("detection", "test", WIDTH, HEIGHT, names, decoder, {**needed, **options})


def cells():
    """(stride, row, column) of every cell, level after level, row by row."""
    for stride in STRIDES:
        for row in range(math.ceil(HEIGHT / stride)):
            for column in range(math.ceil(WIDTH / stride)):
                yield stride, row, column


N = len(list(cells()))


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def sparse_scores(rng, shape):
    return (rng.random(shape) ** 4).astype(np.float32)


def assert_same(candidates, expected):
    """Expected: rows of (class, score, box), in any order."""
    expected = sorted(expected, key=lambda row: (row[0], row[1]))
    order = np.lexsort((candidates.scores, candidates.class_ids))
    assert len(order) == len(expected) > 0
    np.testing.assert_array_equal(candidates.class_ids[order], [row[0] for row in expected])
    np.testing.assert_allclose(candidates.scores[order], [row[1] for row in expected], rtol=1e-5)
    np.testing.assert_allclose(candidates.boxes[order], [row[2] for row in expected], rtol=1e-4, atol=1e-3)
    assert candidates.boxes.dtype == np.float32
    assert candidates.class_ids.dtype == np.int32


def expectation(logits):
    """Softmax expectation of each side's bins, in float64."""
    values = []
    for side in np.asarray(logits, np.float64).reshape(4, REG_MAX + 1):
        weights = [math.exp(value) for value in side]
        values.append(sum(index * weight for index, weight in enumerate(weights)) / sum(weights))
    return values


def around(x, y, left, top, right, bottom):
    return [x - left, y - top, x + right, y + bottom]


def test_gfl(rng):
    scores = sparse_scores(rng, (1, N, CLASSES))
    logits = rng.normal(0, 2, (1, N, 4 * (REG_MAX + 1))).astype(np.float32)
    expected = []
    for index, (stride, row, column) in enumerate(cells()):
        for class_id in range(CLASSES):
            if scores[0, index, class_id] >= 0.4:
                sides = [stride * value for value in expectation(logits[0, index])]
                expected.append((class_id, scores[0, index, class_id], around(column * stride, row * stride, *sides)))
    outputs = {"class_scores": scores, "distributions": logits}
    assert_same(make_decoder(contract("gfl"))(outputs, 0.4), expected)


@pytest.mark.parametrize("rule", ["product", "sqrt"])
@pytest.mark.parametrize("form", ["distances", "distributions"])
def test_fcos(rng, rule, form):
    scores, centerness = sparse_scores(rng, (1, N, CLASSES)), rng.random((1, N, 1)).astype(np.float32)
    distances = rng.uniform(0, 40, (1, N, 4)).astype(np.float32)
    logits = rng.normal(0, 2, (1, N, 4 * (REG_MAX + 1))).astype(np.float32)
    expected = []
    for index, (stride, row, column) in enumerate(cells()):
        for class_id in range(CLASSES):
            score = scores[0, index, class_id] * centerness[0, index, 0]
            score = math.sqrt(score) if rule == "sqrt" else score
            if score >= 0.3:
                x, y = (column + 0.5) * stride, (row + 0.5) * stride
                spread = [stride * value for value in expectation(logits[0, index])]
                sides = distances[0, index] if form == "distances" else spread
                expected.append((class_id, score, around(x, y, *sides)))
    outputs = {"class_scores": scores, "centerness": centerness}
    outputs[form] = distances if form == "distances" else logits
    assert_same(make_decoder(contract("fcos", score=rule))(outputs, 0.3), expected)


@pytest.mark.parametrize("form", ["deltas", "distributions"])
def test_atss(rng, form):
    scores, centerness = sparse_scores(rng, (1, N, CLASSES)), rng.random((1, N, 1)).astype(np.float32)
    deltas = rng.normal(0, 3, (1, N, 4)).astype(np.float32)
    deltas[0, 0] = 100  # a change of size beyond the limit
    scores[0, 0], centerness[0, 0] = 0.95, 0.9
    logits = rng.normal(0, 2, (1, N, 4 * (REG_MAX + 1))).astype(np.float32)
    expected = []
    for index, (stride, row, column) in enumerate(cells()):
        for class_id in range(CLASSES):
            score = scores[0, index, class_id] * centerness[0, index, 0]
            if score < 0.3:
                continue
            x, y, side = column * stride, row * stride, 4.0 * stride
            dx, dy, dw, dh = deltas[0, index].astype(float) * [0.1, 0.1, 0.2, 0.2]
            wide, high = (side * min(math.exp(value), 62.5) for value in (dw, dh))
            x, y = (x + dx * side, y + dy * side) if form == "deltas" else (x, y)
            spread = [stride * value for value in expectation(logits[0, index])]
            sides = (wide / 2, high / 2, wide / 2, high / 2) if form == "deltas" else spread
            expected.append((class_id, score, around(x, y, *sides)))
    outputs = {"class_scores": scores, "centerness": centerness}
    outputs[form] = deltas if form == "deltas" else logits
    assert_same(make_decoder(contract("atss", anchor_scale=4))(outputs, 0.3), expected)


@pytest.mark.parametrize("decoded", [False, True])
def test_yolox(rng, decoded):
    output = np.concatenate(
        (rng.normal(0, 1, (1, N, 4)), rng.random((1, N, 1)), rng.random((1, N, CLASSES))), axis=2
    ).astype(np.float32)
    expected = []
    for index, (stride, row, column) in enumerate(cells()):
        x, y, w, h, objectness, *scores = output[0, index].astype(float)
        best = int(np.argmax(scores))
        if objectness * scores[best] >= 0.3:
            if not decoded:
                x, y, w, h = (column + x) * stride, (row + y) * stride, math.exp(w) * stride, math.exp(h) * stride
            expected.append((best, objectness * scores[best], around(x, y, w / 2, h / 2, w / 2, h / 2)))
    assert_same(make_decoder(contract("yolox", decoded=decoded))({"output": output}, 0.3), expected)


def test_yolo_raw(rng):
    output = np.concatenate((rng.uniform(5, 60, (1, 4, 200)), rng.random((1, CLASSES, 200)) ** 3), axis=1)
    output = output.astype(np.float32)
    expected = []
    for index in range(200):
        x, y, w, h, *scores = output[0, :, index].astype(float)
        best = int(np.argmax(scores))
        if scores[best] >= 0.5:
            expected.append((best, scores[best], around(x, y, w / 2, h / 2, w / 2, h / 2)))
    assert_same(make_decoder(contract("yolo"))({"output0": output}, 0.5), expected)
    with pytest.raises(ModelError, match="'output0' has 9 channels, but 3 classes need 7"):
        make_decoder(contract("yolo"))({"output0": np.zeros((1, 9, 5), np.float32)}, 0.5)


def test_yolo_end_to_end():
    rows = np.array([[1, 2, 30, 40, 0.9, 2], [5, 5, 6, 6, 0.2, 0], [0, 0, 9, 9, 0.5, 1]], np.float32)
    found = make_decoder(contract("yolo_end_to_end"))({"output0": rows[None]}, 0.3)
    assert_same(found, [(2, 0.9, [1, 2, 30, 40]), (1, 0.5, [0, 0, 9, 9])])
    rows[0, 5] = 3
    with pytest.raises(ModelError, match="gives class id 3, but the contract names 3 classes"):
        make_decoder(contract("yolo_end_to_end"))({"output0": rows[None]}, 0.3)


def test_rtdetr_in_its_three_layouts(rng):
    fractions = rng.random((1, 20, 4)).astype(np.float32)
    logits = rng.normal(-1, 2, (1, 20, CLASSES)).astype(np.float32)
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    expected = []
    for query in range(20):
        x, y, w, h = fractions[0, query].astype(float) * [WIDTH, HEIGHT, WIDTH, HEIGHT]
        best = int(np.argmax(scores[0, query]))
        if scores[0, query, best] >= 0.3:
            expected.append((best, scores[0, query, best], around(x, y, w / 2, h / 2, w / 2, h / 2)))
    decode = make_decoder(contract("rtdetr"))
    joined = np.concatenate((fractions, scores), axis=2).astype(np.float32)
    assert_same(decode({"output0": joined}, 0.3), expected)
    assert_same(decode({"logits": logits, "pred_boxes": fractions}, 0.3), expected)
    assert_same(decode({"pred_boxes": fractions, "pred_logits": logits}, 0.3), expected)
    outputs = {
        "labels": np.array([[2, 0]]), "boxes": np.array([[[1, 2, 3, 4], [5, 6, 7, 8]]], np.float32),
        "scores": np.array([[0.8, 0.1]], np.float32),
    }  # fmt: skip
    assert_same(decode(outputs, 0.3), [(2, 0.8, [1, 2, 3, 4])])
    outputs["labels"][0, 0] = 90  # COCO's own numbers, with gaps
    with pytest.raises(ModelError, match="gives class id 90, but the contract names 3 classes"):
        decode(outputs, 0.3)


@pytest.mark.parametrize("decoder", ["gfl", "fcos", "atss", "yolox", "yolo", "yolo_end_to_end", "rtdetr"])
def test_nothing_above_the_threshold(decoder):
    outputs = {
        "gfl": {"class_scores": (N, CLASSES), "distributions": (N, 4 * (REG_MAX + 1))},
        "fcos": {"class_scores": (N, CLASSES), "centerness": (N, 1), "distances": (N, 4)},
        "atss": {"class_scores": (N, CLASSES), "centerness": (N, 1), "deltas": (N, 4)},
        "yolox": {"output": (N, 5 + CLASSES)},
        "yolo": {"output0": (4 + CLASSES, 50)},
        "yolo_end_to_end": {"output0": (300, 6)},
        "rtdetr": {"output0": (300, 4 + CLASSES)},
    }[decoder]
    found = make_decoder(contract(decoder))({n: np.zeros((1, *s), np.float32) for n, s in outputs.items()}, 0.3)
    assert found.boxes.shape == (0, 4)
    assert len(found.scores) == len(found.class_ids) == 0


def test_a_wrong_number_of_cells_is_named():
    outputs = {"class_scores": np.zeros((1, 9, 3), np.float32), "distributions": np.zeros((1, 9, 28), np.float32)}
    with pytest.raises(ModelError, match=rf"'class_scores' has 9 cells, but .* strides give {N}"):
        make_decoder(contract("gfl"))(outputs, 0.3)


def test_an_unknown_score_rule_is_named():
    outputs = {name: np.zeros((1, N, size), np.float32) for name, size in
               {"class_scores": 3, "centerness": 1, "distances": 4}.items()}  # fmt: skip
    with pytest.raises(ModelError, match="`score` must be 'product' or 'sqrt', not 'max'"):
        make_decoder(contract("fcos", score="max"))(outputs, 0.3)


def test_an_action_model_is_no_detector():
    options = {"segments": 3, "feature_size": 8, "window_seconds": 2.0, "tick_hz": 5.0}
    action = ModelContract("action", "larmuv", 64, 64, ("walk",), "larmuv", options)
    with pytest.raises(ModelError, match=r"is for task 'action' .* finds no objects"):
        make_decoder(action)


def test_the_suppression_gets_a_bounded_number_of_the_surest(rng):
    scores = rng.random(MAX_CANDIDATES * 2)
    kept = scores[surest(scores)]
    assert len(kept) == MAX_CANDIDATES
    assert kept.min() >= np.sort(scores)[-MAX_CANDIDATES]
    assert {"yolo_end_to_end", "rtdetr"} == WITHOUT_NMS
