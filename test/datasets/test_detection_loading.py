import logging
from itertools import pairwise

import cv2
import numpy as np
import pytest

from uav_perception.datasets.detection_loading import (
    MEAN,
    STD,
    EpochBatches,
    ImageStore,
    TestImages,
    TrainingImages,
    collate,
    to_tensor,
)
from uav_perception.datasets.detection_set import AnnotatedImage, DetectionSet
from uav_perception.datasets.detection_transforms import Augmentation, Sample
from uav_perception.datasets.errors import DatasetError
from uav_perception.datasets.tiles import tile_dataset, tile_starts, tile_truth
from uav_perception.evaluation.truth import ImageTruth


def dataset_of(folder, count=3, broken=()):
    images = []
    for number in range(count):
        path = folder / f"{number}.png"
        if number in broken:
            path.write_bytes(b"broken")
        else:
            cv2.imwrite(str(path), np.full((40, 60, 3), 100 + 10 * number, np.uint8))
        truth = ImageTruth([[5, 5, 25, 25], [30, 5, 50, 30]], [0, 1], np.array([False, True]), width=60, height=40)
        images.append(AnnotatedImage(path, path.name, truth))
    return DetectionSet(tuple(images), ("a", "b"))


def test_tensors_are_normalised_rgb():
    image = np.zeros((2, 2, 3), np.uint8)
    image[..., 2] = 200  # red, last in BGR
    tensor = to_tensor(image)
    assert tensor[0].flatten().tolist() == pytest.approx([(200 - MEAN[0]) / STD[0]] * 4)
    assert tensor[2].flatten().tolist() == pytest.approx([-MEAN[2] / STD[2]] * 4)


def test_batches_are_padded_with_zeros_to_multiples_of_32():
    def sample(height, width):
        return Sample(np.full((height, width, 3), 255, np.uint8), np.array([[1, 2, 3, 4]], np.float32), np.array([1]))

    batch = collate([(sample(40, 60), 5), (None, 6), (sample(20, 70), 7)])
    assert batch.images.shape == (2, 3, 64, 96)
    assert batch.indices == (5, 7)
    assert [(t.height, t.width) for t in batch.targets] == [(40, 60), (20, 70)]
    assert (batch.images[0, :, 40:] == 0).all() and (batch.images[1, :, :, 70:] == 0).all()
    assert (batch.images[1, :, :20, :70] != 0).all()
    assert batch.targets[0].boxes.tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("in_memory", [False, True])
def test_undecodable_images_are_named_once_and_replaced(tmp_path, caplog, in_memory):
    store = ImageStore(dataset_of(tmp_path, broken=(1,)), in_memory)
    images = TrainingImages(store, Augmentation(long_side=0, flip=0.0))
    with caplog.at_level(logging.WARNING):
        samples = [images[0, number][0] for number in (0, 1, 2, 1)]
    assert [int(sample.image[0, 0, 0]) for sample in samples] == [100, 120, 120, 120]
    assert samples[0].labels.tolist() == [0]  # the ignored object is not trained
    assert caplog.text.count("cannot be decoded") == 1
    tests = TestImages(store, 0, 0)
    assert [tests[i][0] is None for i in range(3)] == [False, True, False]
    with pytest.raises(DatasetError, match="None of the training set's images"):
        TrainingImages(ImageStore(dataset_of(tmp_path, broken=(0, 1, 2))), Augmentation(long_side=0))[0, 0]


def test_a_key_determines_its_sample(tmp_path):
    config = Augmentation(long_side=0, crop=(32, 32), colour=0.3)
    images = TrainingImages(ImageStore(dataset_of(tmp_path)), config, seed=3)
    same, again, later = images[1, 2][0], images[1, 2][0], images[2, 2][0]
    assert np.array_equal(same.image, again.image)
    assert not np.array_equal(same.image, later.image)


def test_epochs_visit_everything_on_all_processes_and_differ():
    portrait = np.array([False] * 10 + [True] * 3)
    processes = [EpochBatches(portrait, 2, seed=1, repeats=2, rank=rank, world=2) for rank in range(2)]
    assert [len(sampler) for sampler in processes] == [5 + 2] * 2
    seen = []
    for sampler in processes:
        sampler.set_epoch(4)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert batches == list(sampler)
        for batch in batches:
            assert {epoch for epoch, _ in batch} == {4}
            assert len({bool(portrait[number % 13]) for _, number in batch}) == 1
        seen += [number for batch in batches for _, number in batch]
    assert set(seen) == set(range(26))
    other = EpochBatches(portrait, 2, seed=1, repeats=2, world=2)
    assert [[n for _, n in batch] for batch in other] != [[n for _, n in batch] for batch in processes[0]]


@pytest.mark.parametrize(("length", "tile", "overlap"), [(100, 40, 10), (60, 40, 39), (1000, 333, 50), (40, 40, 0)])
def test_tiles_cover_everything_and_overlap_enough(length, tile, overlap):
    starts = tile_starts(length, tile, overlap)
    assert starts[0] == 0 and starts[-1] + tile == length
    assert all(0 < after - before <= tile - overlap + 0.5 for before, after in pairwise(starts))
    with pytest.raises(DatasetError, match="must be smaller"):
        tile_starts(100, 40, 40)


def test_tiling_keeps_objects_and_marks_fragments(tmp_path):
    truth = ImageTruth([[5, 5, 25, 25], [38, 0, 58, 20]], [0, 1], ignore_regions=np.array([[0, 0, 4, 4]]))
    part = tile_truth(truth, 0, 0, 40, 40)
    assert part.boxes.tolist() == [[5, 5, 25, 25], [38, 0, 40, 20]]
    assert part.ignored.tolist() == [False, True]  # a tenth of the second is left
    assert part.ignore_regions.tolist() == [[0, 0, 4, 4]]
    moved = tile_truth(truth, 20, 0, 40, 40)
    assert moved.boxes.tolist() == [[0, 5, 5, 25], [18, 0, 38, 20]]
    assert len(moved.ignore_regions) == 0
    tiles = tile_dataset(dataset_of(tmp_path, broken=(2,)), tmp_path / "tiles", tile=40, overlap=20)
    assert [tile.name for tile in tiles.images] == ["0_0_0.png", "0_20_0.png", "1_0_0.png", "1_20_0.png"]
    assert any(line.startswith("2.png") and line.endswith("cannot be decoded") for line in tiles.problems)
    assert cv2.imread(str(tiles.images[1].path)).shape == (40, 40, 3)
