"""Clips for training and testing: a frame source, a sampling rule and transforms joined to tensors.

Every random draw of a clip comes from (seed, epoch, index) alone. So the order of the work, the number of loader
processes, of training processes and of interruptions does not change what a network sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from uav_perception.datasets import frame_sampling
from uav_perception.datasets.clip_transforms import Augmentation, augment, centre_crop, resize, ten_crops, to_short_side
from uav_perception.datasets.errors import DatasetError
from uav_perception.datasets.frame_source import FrameSource
from uav_perception.networks.action_zoo import Feed


class Key(NamedTuple):
    """What a loader asks a training set for. ``weight`` 0 marks filler that must not count."""

    epoch: int
    index: int
    weight: float = 1.0


@dataclass(frozen=True)
class Window:
    """Random sub-windows for models that will run on a stream.

    Attributes:
        seconds: nominal length.
        stretch: training windows are ``seconds`` times a factor from [1 - stretch, 1 + stretch].
    """

    seconds: float
    stretch: float = 0.1

    def __post_init__(self) -> None:
        if self.seconds <= 0 or not 0 <= self.stretch < 1:
            raise DatasetError(f"A window needs seconds > 0 and stretch in [0, 1), got {self.seconds}, {self.stretch}.")


def _with_neighbours(starts: np.ndarray, feed: Feed, frames: int) -> np.ndarray:
    """Frame numbers of a clip: ``frames_per_sample`` in a row from each start, the samples one after the other."""
    following = starts[:, None] + np.arange(feed.frames_per_sample)
    return np.minimum(following, frames - 1).ravel()


def to_tensor(clip: np.ndarray, feed: Feed) -> Tensor:
    """(n * frames_per_sample, S, S, channels) uint8 BGR or flow to (n, channels * frames_per_sample, S, S) uint8."""
    if feed.modality == "rgb" and feed.color == "rgb":
        clip = clip[..., ::-1]
    samples = np.ascontiguousarray(clip.transpose(0, 3, 1, 2))
    return torch.from_numpy(samples).unflatten(0, (-1, feed.frames_per_sample)).flatten(1, 2)


class TrainingClips(Dataset):
    """Random clips: ``dataset[Key(epoch, index)]`` gives ``clip`` (T, C, S, S) uint8, ``label``, ``index``, ``weight``.

    Args:
        source: the frames.
        feed: what the network wants.
        augmentation: how the pictures are varied.
        seed: of the whole run.
        window: sub-windows, or None for whole videos.
    """

    def __init__(
        self, source: FrameSource, feed: Feed, augmentation: Augmentation, seed: int, window: Window | None = None
    ) -> None:
        self.source, self.feed, self.augmentation = source, feed, augmentation
        self.seed, self.window = seed, window

    def __len__(self) -> int:
        return len(self.source)

    def _indices(self, index: int, rng: np.random.Generator) -> np.ndarray:
        total, first = self.source.frames(index), 0
        frames = total
        if self.window is not None:
            low, high = 1 - self.window.stretch, 1 + self.window.stretch
            seconds = self.window.seconds * rng.uniform(low, high)
            first, frames = frame_sampling.random_window(total, self.source.fps(index), seconds, rng)
        if self.feed.sampling == "dense":
            starts = frame_sampling.dense_clip(frames, self.feed.frames, self.feed.stride, rng.random())
        else:
            starts = frame_sampling.train_segments(frames, self.feed.frames, rng, self.feed.frames_per_sample)
        return _with_neighbours(first + starts, self.feed, total)

    def __getitem__(self, key: Key) -> dict[str, object]:
        rng = np.random.default_rng((self.seed, key.epoch, key.index))
        flow = self.feed.modality == "flow"
        clip = self.source.read(key.index, self._indices(key.index, rng))
        clip = augment(clip, self.feed.size, self.augmentation, rng, flow)
        return {
            "clip": to_tensor(clip, self.feed),
            "label": self.source.video(key.index).label,
            "index": key.index,
            "weight": key.weight,
        }


@dataclass(frozen=True)
class Protocol:
    """How a video is tested. The views' logits are averaged.

    Attributes:
        clips: interleaved K-frame clips (for dense networks: clips spread over the video); 1 takes the segment centres.
        crops: 1 (centre) or 10 (corners and centre, mirrored too).
        segments: K at test time; 0 is the network's own. The classic TSN test is 25 segments x 10 crops.
        frame_size: (height, width) to bring frames to first; None scales the short side to the feed's.
    """

    clips: int = 1
    crops: int = 1
    segments: int = 0
    frame_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.clips < 1 or self.crops not in (1, 10) or self.segments < 0:
            raise DatasetError(
                f"A test protocol needs clips >= 1, crops 1 or 10, segments >= 0, got {self.clips}, {self.crops}, "
                f"{self.segments}."
            )


PROTOCOLS = {
    "centre": Protocol(),
    "ten-crop": Protocol(crops=10),
    "interleaved": Protocol(clips=5),
    "classic": Protocol(crops=10, segments=25),
}


class TestClips(Dataset):
    """Fixed views of every video: ``dataset[i]`` gives ``views`` (V, T, C, S, S) uint8, ``label``, ``index``."""

    __test__ = False  # not a test case, whatever pytest thinks of its name

    def __init__(
        self, source: FrameSource, feed: Feed, protocol: Protocol | None = None, window: Window | None = None
    ) -> None:
        self.source, self.feed, self.window = source, feed, window
        self.protocol = protocol or Protocol()
        if self.protocol.segments and feed.sampling == "dense":
            raise DatasetError("A number of test segments is for networks on segments, not on dense clips.")

    def __len__(self) -> int:
        return len(self.source)

    def _clips(self, index: int) -> list[np.ndarray]:
        total, first = self.source.frames(index), 0
        frames, sets = total, self.protocol.clips
        if self.window is not None:
            first, frames = frame_sampling.centre_window(total, self.source.fps(index), self.window.seconds)
        if self.feed.sampling == "dense":
            places = (np.arange(sets) + 0.5) / sets
            starts = [frame_sampling.dense_clip(frames, self.feed.frames, self.feed.stride, at) for at in places]
        else:
            segments = self.protocol.segments or self.feed.frames
            starts = list(frame_sampling.interleaved_segments(frames, segments, sets, self.feed.frames_per_sample))
        return [_with_neighbours(first + chosen, self.feed, total) for chosen in starts]

    def _views(self, clip: np.ndarray) -> list[np.ndarray]:
        size = self.feed.size
        if self.protocol.frame_size is not None:
            clip = resize(clip, *self.protocol.frame_size)
        else:
            clip = to_short_side(clip, self.feed.short_side)
        if self.protocol.crops == 1:
            return [centre_crop(clip, size)]
        return list(ten_crops(clip, size, self.feed.modality == "flow"))

    def __getitem__(self, index: int) -> dict[str, object]:
        clips = self._clips(index)
        frames = self.source.read(index, np.concatenate(clips))
        views = [view for clip in np.split(frames, len(clips)) for view in self._views(clip)]
        return {
            "views": torch.stack([to_tensor(view, self.feed) for view in views]),
            "label": self.source.video(index).label,
            "index": index,
        }


class ShardedBatches:
    """Batches of one epoch, dealt out to the processes of a run: every clip once, whatever their number.

    The order is drawn from (seed, epoch). A batch is cut across the processes; where it does not divide, some get
    filler of weight 0, so that all take part in every step.

    Args:
        count: clips.
        batch: clips a step, over all processes.
        seed: of the run.
        rank, world: this process and their number.
    """

    def __init__(self, count: int, batch: int, seed: int, rank: int = 0, world: int = 1) -> None:
        if batch < world:
            raise DatasetError(f"A batch of {batch} cannot be shared by {world} processes.")
        self.count, self.batch, self.seed, self.rank, self.world = count, batch, seed, rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration draws."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.count // self.batch)

    def __iter__(self) -> Iterator[list[Key]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.count)
        for start in range(0, self.count, self.batch):
            chosen = order[start : start + self.batch]
            share = -(-len(chosen) // self.world)
            mine = [Key(self.epoch, int(index)) for index in chosen[self.rank :: self.world]]
            filler = [Key(self.epoch, int(chosen[0]), 0.0)] * (share - len(mine))
            yield mine + filler
