"""The teacher's logits, computed once a video and kept on disk."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from uav_perception.datasets.action_clips import Protocol, TestClips
from uav_perception.datasets.frame_source import FrameSource
from uav_perception.datasets.video_list import VideoList
from uav_perception.files import replacing
from uav_perception.training.action_data import open_source
from uav_perception.training.action_model import load_action_checkpoint
from uav_perception.training.action_recipe import DataRecipe, StreamRecipe
from uav_perception.training.action_testing import predict
from uav_perception.training.errors import CheckpointError

_log = logging.getLogger(__name__)


def _identity(streams: Sequence[StreamRecipe], data: DataRecipe) -> str:
    """A hash of the teacher and what it is shown: its checkpoints' bytes, their weights, the frames of a video."""
    shown = (data.window and data.window.seconds, data.store, data.store_short_side, data.store_every)
    digest = hashlib.sha256(repr(shown).encode())
    for stream in streams:
        path = Path(stream.checkpoint)
        if not path.is_file():
            raise CheckpointError(
                f"The teacher's checkpoint {path} does not exist. Train it first, or correct the path."
            )
        digest.update(hashlib.sha256(path.read_bytes()).digest())
        digest.update(f"{stream.weight}".encode())
    return digest.hexdigest()


def _stream_logits(stream: StreamRecipe, videos: VideoList, data: DataRecipe, workers: int) -> dict[int, Tensor]:
    network, model = load_action_checkpoint(stream.checkpoint)
    if model.class_names != videos.class_names:
        raise CheckpointError(
            f"The teacher {stream.checkpoint} knows {len(model.class_names)} classes "
            f"({', '.join(model.class_names[:3])} ...), the data {len(videos.class_names)} "
            f"({', '.join(videos.class_names[:3])} ...); they must be the same."
        )
    source = open_source(videos, data, model.feed)
    clips = TestClips(source, model.feed, Protocol(clips=1), data.window)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    logits, _ = predict(network.to(device), clips, 4, workers, f"Teacher {model.name}")
    return dict(zip(source.usable, logits, strict=True))


def teacher_logits(streams: Sequence[StreamRecipe], source: FrameSource, data: DataRecipe, workers: int = 0) -> Tensor:
    """The fused logits of the teacher for the usable videos of ``source``: the weighted sum of its streams.

    They are kept under ``data.cache`` and used again only for the same checkpoints, videos, window and store.

    Args:
        streams: one network, or two for a two-stream fusion.
        source: the student's frames.
        data: the student's data section; each stream opens its own frames from it (colour or flow).
        workers: loader processes.

    Returns:
        (len(source), C) float32.

    Raises:
        CheckpointError: a checkpoint is missing, was made for other classes, or a stream cannot read a video.
    """
    videos = source.videos
    fingerprint, identity = videos.fingerprint(), _identity(streams, data)
    path = Path(data.cache) / f"teacher-{identity[:16]}-{fingerprint[:16]}.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as kept:
            if str(kept["fingerprint"]) == fingerprint and str(kept["teacher"]) == identity:
                return _of_usable(
                    dict(zip(kept["positions"].tolist(), torch.from_numpy(kept["logits"]), strict=True)), source
                )
        _log.warning("%s was made for other data or another teacher; it is made anew.", path)
    fused: dict[int, Tensor] = {}
    for number, stream in enumerate(streams):
        own = _stream_logits(stream, videos, data, workers)
        kept_positions = own.keys() if number == 0 else fused.keys() & own.keys()
        fused = {at: own[at] * stream.weight + (fused[at] if number else 0) for at in sorted(kept_positions)}
    with replacing(path) as temporary:
        np.savez(
            temporary,
            logits=torch.stack(list(fused.values())).numpy(),
            positions=np.array(list(fused)),
            fingerprint=fingerprint,
            teacher=identity,
        )
    return _of_usable(fused, source)


def _of_usable(logits: dict[int, Tensor], source: FrameSource) -> Tensor:
    lacking = [position for position in source.usable if position not in logits]
    if lacking:
        name = source.videos.videos[lacking[0]].name
        raise CheckpointError(
            f"The teacher has no logits for {len(lacking)} videos that the student reads, first {name}."
        )
    return torch.stack([logits[position] for position in source.usable])
