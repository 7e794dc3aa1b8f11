"""Data sets of short labelled videos (HMDB51, UCF101): one judgement for each clip."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from uav_perception.actions.model import ActionModel, softmax
from uav_perception.evaluation.errors import RecordingError
from uav_perception.evaluation.prefetch import prefetch
from uav_perception.evaluation.record import Accounting, ClipResults, FlightRecord
from uav_perception.evaluation.settings import Settings

_REASONS = 10


@dataclass(frozen=True)
class Clip:
    """A labelled video.

    Attributes:
        name: of the clip.
        path: of the video file.
        label: true class id.
    """

    name: str
    path: Path
    label: int


def read_clips(root: Path, settings: Settings) -> tuple[list[Clip], tuple[str, ...]]:
    """The clips of a data set's split, and its class names.

    Raises:
        DatasetError: the data set is incomplete.
    """
    if (root / "ucfTrainTestlist").is_dir():
        from uav_perception.datasets.ucf101 import read_ucf101 as read
    else:
        from uav_perception.datasets.hmdb51 import read_hmdb51 as read
    videos = read(root, settings.part, settings.split)
    return [Clip(v.name, v.path, v.label) for v in videos.videos], tuple(videos.class_names)


def segment_centres(frames: int, segments: int) -> list[int]:
    """Index of the middle frame of each of ``segments`` equal parts (Wang et al., Temporal Segment Networks, 2016)."""
    return [min(frames - 1, int((k + 0.5) * frames / segments)) for k in range(segments)]


def clip_frames(path: Path, segments: int) -> list[np.ndarray]:
    """The middle frames of a video's segments, BGR.

    Raises:
        RecordingError: the video cannot be opened, or holds no frames.
    """
    capture = cv2.VideoCapture(str(path))
    try:
        # The container's count is not to be relied on; decoding twice is cheap beside the network.
        count = 0
        while capture.grab():
            count += 1
        if not count:
            raise RecordingError(f"The clip {path.name} holds no frame that can be read.")
        capture.release()
        capture.open(str(path))
        wanted = segment_centres(count, segments)
        found: dict[int, np.ndarray] = {}
        for index in range(max(wanted) + 1):
            if not capture.grab():
                break
            if index in wanted:
                decoded, image = capture.retrieve()
                if decoded:
                    found[index] = image
        if not found:
            raise RecordingError(f"Not one of the frames {wanted} of the clip {path.name} can be decoded.")
        return [found[min(found, key=lambda i: abs(i - w))] for w in wanted]
    finally:
        capture.release()


def evaluate_clips(
    name: str,
    clips: Sequence[Clip],
    data_names: Sequence[str],
    model: ActionModel,
    progress: Callable[[int], None] = lambda count: None,
    every: int = 1,
    limit: int | None = None,
) -> FlightRecord:
    """Judge clips once from the middle frames of their K segments, one centre crop each.

    Args:
        name: of the data set.
        clips: all of them.
        data_names: its class names.
        model: to judge with.
        progress: told of each clip that is done.
        every: judge each n-th clip only.
        limit: judge at most so many clips, or None.

    Raises:
        RecordingError: the model does not have the data set's classes.
    """
    ours = {n.lower(): i for i, n in enumerate(model.class_names)}
    missing = [n for n in data_names if n.lower() not in ours]
    if missing:
        raise RecordingError(
            f"The action model has no class for {len(missing)} of the {len(data_names)} classes of {name}, such as "
            f"{', '.join(missing[:3])}. It was trained on other classes ({', '.join(model.class_names[:3])}, ...)."
        )
    began = time.perf_counter()
    names, scores, labels, decode_ms, inference_ms, reasons = [], [], [], [], [], []
    chosen = clips[::every][:limit]
    for clip, frames, problem, spent in prefetch(_decoded(chosen, model.segments), depth=4):
        if problem is not None:
            reasons.append(f"{clip.name}: {problem}")
        else:
            started = time.perf_counter()
            features = model.features(model.preprocess_frames(frames))
            scores.append(softmax(model.logits(features[None]))[0])
            inference_ms.append(1000 * (time.perf_counter() - started))
            decode_ms.append(spent)
            names.append(clip.name)
            labels.append(ours[data_names[clip.label].lower()])
        progress(1)
    table = np.array(scores).reshape(len(scores), len(model.class_names))
    return FlightRecord(
        name,
        Accounting(len(clips), len(names), len(clips) - len(chosen), len(reasons), tuple(reasons[:_REASONS])),
        (),
        clips=ClipResults(tuple(names), table, np.array(labels, np.int64)),
        warnings=(f"{len(reasons)} of {len(chosen)} clips are unreadable",) if reasons else (),
        timings_ms={"decode": np.array(decode_ms), "inference": np.array(inference_ms)},
        wall_s=time.perf_counter() - began,
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def _decoded(clips: Sequence[Clip], segments: int) -> Iterator[tuple[Clip, list[np.ndarray], str | None, float]]:
    for clip in clips:
        began = time.perf_counter()
        try:
            frames, problem = clip_frames(clip.path, segments), None
        except RecordingError as error:
            frames, problem = [], str(error)
        yield clip, frames, problem, 1000 * (time.perf_counter() - began)


def clip_metrics(results: Sequence[ClipResults], class_names: Sequence[str]) -> dict[str, object]:
    """``top1``, ``top5``, ``mean_class_accuracy``, ``clips``, and accuracy and count for each class."""
    scores = np.concatenate([np.zeros((0, len(class_names))), *(r.scores for r in results)])
    labels = np.concatenate([np.zeros(0, np.int64), *(r.labels for r in results)])
    if not len(labels):
        return {"clips": 0, "top1": None, "top5": None, "mean_class_accuracy": None, "per_class": {}}
    order = np.argsort(-scores, axis=1, kind="stable")
    right = order[:, 0] == labels
    per_class = {
        name: {"accuracy": float(right[labels == i].mean()), "clips": int((labels == i).sum())}
        for i, name in enumerate(class_names)
        if (labels == i).any()
    }
    return {
        "clips": len(labels),
        "top1": float(right.mean()),
        "top5": float((order[:, :5] == labels[:, None]).any(axis=1).mean()),
        "mean_class_accuracy": float(np.mean([c["accuracy"] for c in per_class.values()])),
        "per_class": per_class,
    }
