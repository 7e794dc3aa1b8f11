import numpy as np
import pytest

from uav_perception.datasets.detection_transforms import (
    Augmentation,
    Sample,
    augment,
    crop,
    flip,
    jitter_colour,
    mosaic,
    random_crop,
    resize,
    resize_keep_ratio,
)


def marked(width=80, height=60, boxes=((10, 20, 30, 40), (50, 10, 70, 30))):
    """Black, with each box filled in its own channel, so that a transformed box can be compared with the picture."""
    image = np.zeros((height, width, 3), np.uint8)
    for number, (x1, y1, x2, y2) in enumerate(boxes):
        image[y1:y2, x1:x2, number % 3] = 240
    return Sample(image, np.array(boxes, np.float32).reshape(-1, 4), np.arange(len(boxes)))


def filled_box(image, label):
    rows, columns = np.nonzero(image[..., label] > 120)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def assert_boxes_fit(sample, tolerance=1.5):
    for box, label in zip(sample.boxes, sample.labels, strict=True):
        np.testing.assert_allclose(box, filled_box(sample.image, label), atol=tolerance)


def test_flipping_moves_boxes_with_the_picture():
    flipped = flip(marked())
    assert_boxes_fit(flipped, 0)
    assert flipped.boxes.tolist() == [[50, 20, 70, 40], [10, 10, 30, 30]]
    again = flip(flipped)
    assert np.array_equal(again.image, marked().image)
    assert np.array_equal(again.boxes, marked().boxes)


@pytest.mark.parametrize("size", [(160, 120), (40, 30), (100, 40)])
def test_resizing_moves_boxes_with_the_picture(size):
    assert_boxes_fit(resize(marked(), *size))


@pytest.mark.parametrize(
    ("width", "height", "expected"), [(1400, 788, (1333, 750)), (480, 360, (1067, 800)), (360, 480, (800, 1067))]
)
def test_keep_ratio_follows_mmdet(width, height, expected):
    sample = Sample(np.zeros((height, width, 3), np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, int))
    found = resize_keep_ratio(sample, 1333, 800).image.shape
    assert (found[1], found[0]) == expected


def test_crops_clip_keep_and_drop():
    sample = crop(marked(), 15, 5, 40, 40)
    assert sample.image.shape == (40, 40, 3)
    # The first box keeps 15 of 20 columns; of the second 5 of 20 columns would be left, a quarter, so it goes.
    assert sample.labels.tolist() == [0]
    assert sample.boxes.tolist() == [[0, 15, 15, 35]]
    assert_boxes_fit(sample, 0)


def test_crops_beyond_the_picture_are_filled_with_grey():
    sample = crop(marked(), -10, -10, 100, 80)
    assert (sample.image[0, 0] == 114).all() and (sample.image[-1, -1] == 114).all()
    assert sample.boxes.tolist() == [[20, 30, 40, 50], [60, 20, 80, 40]]
    tiny = marked(20, 20, boxes=())
    assert random_crop(tiny, 64, 48, 0.5, np.random.default_rng(0)).image.shape == (48, 64, 3)


def test_a_focused_crop_shows_an_object_and_classes_come_evenly():
    boxes = (*((4 * i, 0, 4 * i + 4, 4) for i in range(10)), (150, 90, 160, 100))
    sample = Sample(np.zeros((120, 200, 3), np.uint8), np.array(boxes, np.float32), np.array([0] * 10 + [1]))
    rng = np.random.default_rng(0)
    shown = [random_crop(sample, 40, 40, 1.0, rng).labels for _ in range(200)]
    assert all(len(labels) for labels in shown)
    assert 60 < sum(1 in labels for labels in shown) < 140


def test_a_mosaic_holds_the_objects_of_all_four():
    samples = [marked(boxes=((20 * i, 10, 20 * i + 15, 25),)) for i in range(4)]
    rng = np.random.default_rng(3)
    found = [mosaic(samples, 80, 60, rng) for _ in range(20)]
    assert all(sample.image.shape == (60, 80, 3) for sample in found)
    for sample in found:
        for x1, y1, x2, y2 in sample.boxes.round().astype(int):
            assert (sample.image[y1:y2, x1:x2, 0] == 240).mean() > 0.9
    assert sum(len(sample.boxes) for sample in found) > 20


def test_colour_jitter_changes_colours_only_and_zero_changes_nothing():
    image = marked().image
    rng = np.random.default_rng(0)
    assert np.array_equal(jitter_colour(image, 0.0, rng), image)
    jittered = jitter_colour(image, 0.4, rng)
    assert jittered.shape == image.shape
    assert not np.array_equal(jittered, image)


def test_a_sample_is_a_function_of_its_generator():
    config = Augmentation(
        long_side=0, scale_range=(0.7, 1.4), crop=(48, 48), mosaic=0.5, flip=0.5, colour=0.3, crop_focus=0.5
    )
    made = [augment(marked, marked, config, np.random.default_rng(seed)) for seed in (5, 5, 6)]
    assert np.array_equal(made[0].image, made[1].image)
    assert np.array_equal(made[0].boxes, made[1].boxes)
    assert not np.array_equal(made[0].image, made[2].image)
    for sample in made:
        assert sample.image.shape == (48, 48, 3)
        assert ((sample.boxes >= 0) & (sample.boxes <= 48)).all()


def test_multiscale_draws_between_its_limits():
    def heights(config):
        base = marked(160, 120)
        rngs = (np.random.default_rng(seed) for seed in range(30))
        return {augment(lambda: base, lambda: base, config, rng).image.shape[0] for rng in rngs}

    ranged = heights(Augmentation(long_side=1333, short_sides=(48, 96), multiscale="range", flip=0.0))
    assert min(ranged) >= 48 and max(ranged) <= 96 and len(ranged) > 10
    assert heights(Augmentation(long_side=1333, short_sides=(48, 96), flip=0.0)) == {48, 96}
