"""From annotated images to batches of tensors: loading, augmentation, order and padding."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from uav_perception.datasets.detection_set import AnnotatedImage, DetectionSet, decode_image
from uav_perception.datasets.detection_transforms import Augmentation, Sample, augment, resize_keep_ratio
from uav_perception.datasets.errors import DatasetError
from uav_perception.networks.assigners import ImageTargets

_log = logging.getLogger(__name__)

# ImageNet's, RGB, in 0..255 units: what every public backbone was trained with.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
PAD_TO = 32


@dataclass(frozen=True)
class Batch:
    """A padded batch.

    Attributes:
        images: (B, 3, H, W) float32, normalised RGB, zeros beyond each image.
        targets: one an image; sizes are without padding.
        indices: of the images in their data set.
    """

    images: torch.Tensor
    targets: tuple[ImageTargets, ...]
    indices: tuple[int, ...]

    def to(self, device: torch.device | str) -> Batch:
        """The same on another device."""
        return Batch(
            self.images.to(device, non_blocking=True),
            tuple(target.to(device) for target in self.targets),
            self.indices,
        )


class ImageStore:
    """Decodes the images of a data set, optionally keeping the encoded files in memory.

    Args:
        dataset: the images.
        in_memory: read every file once and keep its bytes.
    """

    def __init__(self, dataset: DetectionSet, in_memory: bool = False):
        self.dataset = dataset
        self._in_memory = in_memory
        self._bytes: dict[int, np.ndarray] = {}
        self.broken: dict[str, str] = {}

    def image(self, index: int) -> np.ndarray | None:
        """The image (H, W, 3) uint8 BGR, or None when :func:`decode_image` refuses it; each such file is named once.

        ``broken`` keeps the reasons by the images' names.
        """
        item = self.dataset.images[index]
        try:
            if not self._in_memory:
                return decode_image(item)
            if index not in self._bytes:
                self._bytes[index] = np.fromfile(item.path, np.uint8)
            return decode_image(item, self._bytes[index])
        except (DatasetError, OSError) as error:
            if item.name not in self.broken:
                self.broken[item.name] = str(error)
                _log.warning("Skipped (%d so far): %s.", len(self.broken), error)
            return None

    def sample(self, index: int) -> Sample | None:
        """The image with its objects, ignored ones left out, as mmdet trains; None when it cannot be decoded."""
        image = self.image(index)
        return None if image is None else Sample(image, *objects(self.dataset.images[index]))


def objects(item: AnnotatedImage) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (G, 4) float32 and labels (G,) int64 of the objects that are not to be ignored."""
    keep = ~item.truth.ignored
    return item.truth.boxes[keep].astype(np.float32), item.truth.class_ids[keep].astype(np.int64)


class TrainingImages(Dataset):
    """Augmented samples. An index is (epoch, number): the pair and the seed determine the sample completely.

    Args:
        store: the images.
        augmentation: what to do with them.
        seed: of the augmentations.
    """

    def __init__(self, store: ImageStore, augmentation: Augmentation, seed: int = 0):
        if not len(store.dataset):
            raise DatasetError("The training set holds no image.")
        self.store, self.augmentation, self.seed = store, augmentation, seed

    def __len__(self) -> int:
        return len(self.store.dataset)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Sample, int]:
        epoch, number = key
        rng = np.random.default_rng((self.seed, epoch, number))
        index = number % len(self)

        def other() -> Sample:
            return self._load(int(rng.integers(len(self))))

        return augment(lambda: self._load(index), other, self.augmentation, rng), index

    def _load(self, index: int) -> Sample:
        """This image, or the next one that can be decoded."""
        for step in range(len(self)):
            sample = self.store.sample((index + step) % len(self))
            if sample is not None:
                return sample
        raise DatasetError("None of the training set's images can be decoded.")


class TestImages(Dataset):
    """Images resized for evaluation, in order; None for those that cannot be decoded.

    Args:
        store: the images.
        long_side, short_side: limits of the keep-ratio resize [px]; 0 keeps the size.
    """

    __test__ = False  # not a pytest class

    def __init__(self, store: ImageStore, long_side: int = 1333, short_side: int = 800):
        self.store, self.long_side, self.short_side = store, long_side, short_side

    def __len__(self) -> int:
        return len(self.store.dataset)

    def __getitem__(self, index: int) -> tuple[Sample | None, int]:
        sample = self.store.sample(index)
        if sample is not None and self.long_side:
            sample = resize_keep_ratio(sample, self.long_side, self.short_side)
        return sample, index


def to_tensor(image: np.ndarray, mean=MEAN, std=STD) -> torch.Tensor:
    """(H, W, 3) uint8 BGR to (3, H, W) float32 normalised RGB."""
    rgb = torch.from_numpy(np.ascontiguousarray(image[..., ::-1])).permute(2, 0, 1).float()
    return (rgb - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def collate(samples: list[tuple[Sample | None, int]]) -> Batch:
    """Pad to the largest image, rounded up to multiples of 32; images that could not be decoded are left out.

    Padding is zero after normalisation, at the right and the bottom, as in mmdet.
    """
    kept = [(sample, index) for sample, index in samples if sample is not None]
    height = max((sample.image.shape[0] for sample, _ in kept), default=PAD_TO)
    width = max((sample.image.shape[1] for sample, _ in kept), default=PAD_TO)
    images = torch.zeros(len(kept), 3, -(-height // PAD_TO) * PAD_TO, -(-width // PAD_TO) * PAD_TO)
    targets = []
    for number, (sample, _) in enumerate(kept):
        rows, columns = sample.image.shape[:2]
        images[number, :, :rows, :columns] = to_tensor(sample.image)
        boxes = torch.from_numpy(np.ascontiguousarray(sample.boxes, np.float32)).reshape(-1, 4)
        labels = torch.from_numpy(np.ascontiguousarray(sample.labels, np.int64))
        targets.append(ImageTargets(boxes, labels, rows, columns))
    return Batch(images, tuple(targets), tuple(index for _, index in kept))


class EpochBatches(Sampler):
    """Batches of (epoch, number) keys, drawn anew each epoch from the seed; the same on every process and resume.

    Landscape and portrait images do not share a batch, which saves padding. A last batch that is not full is filled
    up from its group, so that every process makes the same number of steps.

    Args:
        portrait: (N,) bool, images higher than wide.
        batch_size: of one process.
        seed: of the order.
        repeats: how often an epoch visits each image.
        rank, world: this process and their number.
    """

    def __init__(
        self, portrait: np.ndarray, batch_size: int, seed: int = 0, repeats: int = 1, rank: int = 0, world: int = 1
    ):
        self.portrait, self.batch_size, self.seed = np.asarray(portrait, bool), batch_size, seed
        self.repeats, self.rank, self.world, self.epoch = repeats, rank, world, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration draws."""
        self.epoch = epoch

    def __len__(self) -> int:
        step = self.batch_size * self.world
        sizes = (int((self.portrait == side).sum()) * self.repeats for side in (False, True))
        return sum(-(-size // step) for size in sizes)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        step, batches, total = self.batch_size * self.world, [], len(self.portrait)
        for side in (False, True):
            images = np.flatnonzero(self.portrait == side)
            if not len(images):
                continue
            numbers = (np.arange(self.repeats)[:, None] * total + images).ravel()
            rng.shuffle(numbers)
            numbers = np.resize(numbers, -(-len(numbers) // step) * step)
            batches += list(numbers.reshape(-1, self.world, self.batch_size))
        for i in rng.permutation(len(batches)):
            yield [(self.epoch, int(number)) for number in batches[i][self.rank]]
