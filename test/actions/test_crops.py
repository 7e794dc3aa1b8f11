import numpy as np
import pytest

from uav_perception.actions.crops import square_crop

IMAGE = np.stack([*np.meshgrid(np.arange(60), np.arange(40)), np.zeros((40, 60))], -1).astype(np.uint8)


def test_crop_is_a_square_around_the_centre_with_context():
    crop = square_crop(IMAGE, np.array([20, 15, 30, 25]), 1.4)
    assert crop.shape == (14, 14, 3)
    assert tuple(crop[0, 0, :2]) == (18, 13)
    assert np.shares_memory(crop, IMAGE)


def test_longer_side_counts():
    assert square_crop(IMAGE, np.array([20, 5, 24, 25]), 1.5).shape == (30, 30, 3)


def test_outside_repeats_the_edge():
    crop = square_crop(IMAGE, np.array([0, 0, 10, 10]), 2.0)
    assert crop.shape == (20, 20, 3)
    np.testing.assert_array_equal(crop[0, :6, 0], [0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(crop[5:, 5:], IMAGE[:15, :15])


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (70, 5, 90, 25), (np.nan, 0, 1, 1), (-30, 0, -10, 20)])
def test_unusable_boxes(box):
    assert square_crop(IMAGE, np.array(box, float), 1.4) is None


def test_tiny_boxes_keep_some_pixels():
    assert square_crop(IMAGE, np.array([20, 20, 21, 21]), 1.4).shape == (8, 8, 3)
