"""Drawings: new images, colours where boxes are, labels inside the picture and apart."""

import numpy as np
import pytest

from uav_perception.inference.detections import Detections
from uav_perception.inference.draw import PALETTE, class_color, draw_detections, draw_panel

GREY = np.full((120, 200, 3), 128, np.uint8)


def detections(boxes, tracks=None):
    count = len(boxes)
    return Detections(np.array(boxes), np.full(count, 0.5), np.arange(count), tracks)


def test_the_picture_is_not_changed_and_boxes_have_the_colour_of_their_class():
    boxes = [[20, 50, 80, 100], [120, 50, 180, 110]]
    before = GREY.copy()
    drawn = draw_detections(GREY, detections(boxes), ["person", "car"], labels=False)
    np.testing.assert_array_equal(GREY, before)
    for index, (x_min, y_min, _, y_max) in enumerate(boxes):
        edge = drawn[(y_min + y_max) // 2, x_min]
        np.testing.assert_allclose(edge, class_color(index), atol=40)
    np.testing.assert_array_equal(drawn[75, 50], GREY[75, 50])


def test_labels_stay_inside_even_at_the_corners_and_change_the_picture():
    corners = [[0, 0, 10, 10], [190, 0, 200, 10], [0, 110, 10, 120], [190, 110, 200, 120]]
    plain = draw_detections(GREY, detections(corners), ["a very long name"] * 4, labels=False)
    drawn = draw_detections(GREY, detections(corners), ["a very long name"] * 4)
    assert drawn.shape == GREY.shape
    assert (drawn != plain).any(axis=2).sum() > 1000


def test_the_labels_of_boxes_in_one_place_do_not_hide_each_other():
    box = [80, 50, 120, 70]
    one = draw_detections(GREY, detections([box]), ["person"] * 3)
    three = draw_detections(GREY, detections([box, box, box]), ["person"] * 3)
    assert (three != GREY).any(axis=2).sum() > 2 * (one != GREY).any(axis=2).sum() * 0.8


def test_the_action_and_the_id_of_a_track_are_written():
    tracked = detections([[20, 50, 80, 100]], tracks=[7])
    plain = draw_detections(GREY, tracked, ["person"])
    assert (draw_detections(GREY, tracked, ["person"], {7: "walk"}) != plain).any()
    np.testing.assert_array_equal(draw_detections(GREY, tracked, ["person"], {8: "walk"}), plain)


def test_scale_enlarges_picture_and_boxes():
    drawn = draw_detections(GREY, detections([[20, 50, 80, 100]]), ["person"], scale=2.0, labels=False)
    assert drawn.shape == (240, 400, 3)
    np.testing.assert_allclose(drawn[150, 40], class_color(0), atol=40)


def test_an_unknown_class_and_boxes_outside_are_drawn_without_a_failure():
    odd = Detections(np.array([[-50, -50, 500, 500], [300, 300, 400, 400]]), [0.9, 0.9], [99, 0])
    assert draw_detections(GREY, odd, ["person"]).shape == GREY.shape
    assert draw_detections(GREY, Detections.empty(), []).tolist() == GREY.tolist()
    assert draw_detections(np.zeros((1, 1, 3), np.uint8), detections([[0, 0, 1, 1]]), ["a"]).shape == (1, 1, 3)


@pytest.mark.parametrize("corner", ["top_left", "top_right", "bottom_left", "bottom_right"])
def test_a_panel_lies_in_its_corner(corner):
    drawn = draw_panel(GREY, ["12.5 fps", ("walk", 0.8)], corner)
    rows, columns = np.nonzero((drawn != GREY).any(axis=2))
    assert (rows.mean() < 60) == corner.startswith("top")
    assert (columns.mean() < 100) == corner.endswith("left")
    np.testing.assert_array_equal(draw_panel(GREY, []), GREY)


def test_a_bar_is_as_long_as_its_share():
    def coloured(share):
        drawn = draw_panel(GREY, [("x", share)]).astype(int)
        return (np.abs(drawn - drawn.mean(axis=2, keepdims=True)).max(axis=2) > 20).sum()

    assert coloured(0.0) == 0
    assert coloured(0.9) > 1.5 * coloured(0.45)
    assert coloured(7.0) == pytest.approx(coloured(1.0), rel=0.05)


def test_colours_are_well_apart():
    colors = np.array(PALETTE, float)
    distances = np.linalg.norm(colors[:, None] - colors[None], axis=2) + 1000 * np.eye(len(colors))
    assert distances.min() > 50
