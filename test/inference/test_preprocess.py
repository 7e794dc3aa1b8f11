"""Preprocessing against a slow float64 reference, and the mapping of boxes back, for every rule and random sizes."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from uav_perception.inference.contract import ModelContract
from uav_perception.inference.errors import ModelError
from uav_perception.inference.preprocess import Preprocessor, placement

MEAN, STD = (10.0, 120.0, 240.0), (50.0, 60.0, 70.0)
RULES = [("letterbox", "center"), ("letterbox", "top_left"), ("keep_ratio", "center"), ("stretch", "center"),
         ("short_side_crop", "center")]  # fmt: skip


def contract(width=64, height=40, resize="letterbox", anchor="center", color="rgb") -> ModelContract:
    short = max(width, height) + 8 if resize == "short_side_crop" else 0
    return ModelContract(
        "detection", "test", width, height, ("a",), "yolo", color=color, mean=MEAN, std=STD, resize=resize,
        pad_anchor=anchor, resize_short_side=short,
    )  # fmt: skip


def reference(image: np.ndarray, rules: ModelContract) -> np.ndarray:
    """The definition, pixel by pixel in float64: resize, put into a canvas, swap channels, normalise."""
    wide, high = rules.input_width, rules.input_height
    height, width = image.shape[:2]
    if rules.resize == "stretch":
        size = (wide, high)
    elif rules.resize == "short_side_crop":
        scale = rules.resize_short_side / min(width, height)
        size = (max(round(width * scale), wide), max(round(height * scale), high))
    else:
        scale = min(wide / width, high / height)
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR).astype(np.float64)
    if rules.color == "rgb":
        resized = resized[:, :, ::-1]
    normal = (resized - MEAN) / STD
    if rules.resize == "short_side_crop":
        left, top = -((wide - size[0]) // 2), -((high - size[1]) // 2)
        return normal[top : top + high, left : left + wide].transpose(2, 0, 1)
    padding = np.zeros(3) if rules.resize == "keep_ratio" else (rules.pad_value - np.array(MEAN)) / STD
    canvas = np.broadcast_to(padding, (high, wide, 3)).copy()
    centred = rules.resize == "letterbox" and rules.pad_anchor == "center"
    left = (wide - size[0]) // 2 if centred else 0
    top = (high - size[1]) // 2 if centred else 0
    canvas[top : top + size[1], left : left + size[0]] = normal
    return canvas.transpose(2, 0, 1)


@pytest.mark.parametrize(("resize", "anchor"), RULES)
@given(width=st.integers(1, 200), height=st.integers(1, 200), color=st.sampled_from(["rgb", "bgr"]))
@example(width=64, height=40, color="rgb")
@example(width=1, height=200, color="bgr")
@example(width=200, height=1, color="rgb")
@settings(max_examples=60, deadline=None)
def test_the_tensor_is_that_of_the_definition(resize, anchor, width, height, color):
    rules = contract(resize=resize, anchor=anchor, color=color)
    image = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), np.uint8)
    tensor, _ = Preprocessor(rules)(image)
    assert tensor.dtype == np.float32
    np.testing.assert_allclose(tensor[0], reference(image, rules), atol=1e-5)


def test_the_kept_buffer_carries_nothing_over_from_other_sizes():
    rules = contract()
    preprocess, rng = Preprocessor(rules), np.random.default_rng(0)
    for width, height in [(200, 40), (40, 200), (64, 40), (200, 40), (10, 10), (40, 200)]:
        image = rng.integers(0, 256, (height, width, 3), np.uint8)
        tensor, _ = preprocess(image)
        np.testing.assert_allclose(tensor[0], reference(image, rules), atol=1e-5)


@pytest.mark.parametrize(("resize", "anchor"), RULES)
@given(width=st.integers(16, 3000), height=st.integers(16, 3000), data=st.data())
@settings(max_examples=100, deadline=None)
def test_boxes_map_there_and_back_to_half_a_pixel(resize, anchor, width, height, data):
    place = placement(contract(640, 384, resize, anchor), width, height)
    edges = [data.draw(st.floats(0, 1)) for _ in range(4)]
    box = np.array([[edges[0] * width, edges[1] * height, edges[2] * width, edges[3] * height]])
    there = place.to_input(box)
    np.testing.assert_allclose(place.to_picture(there), box, atol=0.05)
    # The exact map of the resize: the picture's edges land on the resized picture's edges.
    x = box[0, 0] * place.width / width + place.offset_x
    y = box[0, 1] * place.height / height + place.offset_y
    np.testing.assert_allclose(there[0, :2], [x, y], atol=0.01)


@pytest.mark.parametrize(("resize", "anchor"), RULES)
@pytest.mark.parametrize("size", [(100, 80), (333, 217), (217, 333), (640, 384), (1280, 720), (1301, 977)])
def test_a_painted_rectangle_is_found_where_it_was(resize, anchor, size):
    """Through real pixels: its edges in the tensor, mapped back, lie within half a pixel of the input's own grid."""
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    x_min, y_min, x_max, y_max = int(0.4 * width), int(0.35 * height), int(0.6 * width), int(0.7 * height)
    image[y_min:y_max, x_min:x_max] = 255
    plain = {"mean": (0.0, 0.0, 0.0), "std": (255.0, 255.0, 255.0), "pad_value": 0.0}
    tensor, place = Preprocessor(replace(contract(320, 192, resize, anchor), **plain))(image)
    # The edge lies where the light crosses one half, between pixel centres.
    columns = np.nonzero(tensor[0, 0].max(axis=0) > 0.5)[0]
    rows = np.nonzero(tensor[0, 0].max(axis=1) > 0.5)[0]
    box = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    found = place.to_picture(np.array([box], np.float32))[0]
    # What a crop cuts off cannot be seen.
    seen = place.to_picture(np.array([[0, 0, 320, 192]], np.float32))[0]
    expected = np.clip([x_min, y_min, x_max, y_max], [*seen[:2], *seen[:2]], [*seen[2:], *seen[2:]])
    half = 0.5 / np.array([place.scale_x, place.scale_y] * 2) + 0.5
    assert (np.abs(found - expected) <= half).all(), (found, expected, half)


def test_letterbox_matches_what_ultralytics_documents():
    """1280x720 into 640x640: 640x360, 140 px above and below."""
    place = placement(contract(640, 640), 1280, 720)
    assert (place.width, place.height, place.offset_x, place.offset_y) == (640, 360, 0, 140)


def test_a_strided_view_is_taken_as_it_is():
    rules = contract()
    wide = np.random.default_rng(1).integers(0, 256, (80, 150, 3), np.uint8)
    view = wide[:, 10:110]
    first = Preprocessor(rules)(view)[0]
    np.testing.assert_array_equal(first, Preprocessor(rules)(view.copy())[0])


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(ModelError, match=r"uint8 of shape \(H, W, 3\), BGR, not"):
        Preprocessor(contract())(image)
