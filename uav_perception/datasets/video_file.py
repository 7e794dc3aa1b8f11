"""Reading video files with OpenCV, exactly: frames are counted by decoding, never by what the container claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from uav_perception.datasets.errors import DatasetError

_FALLBACK_FPS = 25.0


@dataclass(frozen=True)
class VideoInfo:
    """What a video holds: ``frames`` that decode, ``fps``, size [px]."""

    frames: int
    fps: float
    width: int
    height: int


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    if not path.is_file():
        raise DatasetError(f"The video {path} does not exist.")
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise DatasetError(f"The video {path} cannot be opened ({path.stat().st_size} bytes): broken or no video.")
        yield capture
    finally:
        capture.release()


def probe(path: str | Path) -> VideoInfo:
    """Decode a video once and say what it holds.

    Raises:
        DatasetError: it does not exist, cannot be opened, or holds no frame.
    """
    path = Path(path)
    with _opened(path) as capture:
        readable, first = capture.read()
        if not readable:
            raise DatasetError(f"The video {path} holds no frame that can be decoded.")
        frames = 1
        while capture.grab():
            frames += 1
        fps = capture.get(cv2.CAP_PROP_FPS)
    height, width = first.shape[:2]
    return VideoInfo(frames, fps if 0 < fps < 1000 else _FALLBACK_FPS, width, height)


def frame_times(path: str | Path) -> np.ndarray:
    """Presentation time of every frame [s], float64, increasing.

    A decoder that holds frames back gives the last ones no time of their own; they follow at the nominal rate.
    """
    times: list[float] = []
    with _opened(Path(path)) as capture:
        step = 1 / (capture.get(cv2.CAP_PROP_FPS) or _FALLBACK_FPS)
        while capture.grab():
            time = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            times.append(time if not times or time > times[-1] else times[-1] + step)
    return np.array(times, float)


def read_frames(path: str | Path, indices: Sequence[int]) -> np.ndarray:
    """Frames by index, in the order asked for (repeats allowed).

    Frames before and between are passed over without colour conversion. Seeking is not used: it lands on key frames.

    Returns:
        (n, height, width, 3) uint8, BGR.

    Raises:
        DatasetError: the video ends before an index.
    """
    wanted = sorted({int(index) for index in indices})
    if wanted and wanted[0] < 0:
        raise DatasetError(f"Frame {wanted[0]} of {path} was asked for; frames count from 0.")
    found: dict[int, np.ndarray] = {}
    position = 0
    with _opened(Path(path)) as capture:
        for index in wanted:
            while position < index and capture.grab():
                position += 1
            readable, frame = capture.read()
            if position < index or not readable:
                raise DatasetError(f"The video {path} ends before frame {index}.")
            found[index] = frame
            position += 1
    return np.stack([found[int(index)] for index in indices])


def iterate_frames(path: str | Path, every: int = 1) -> Iterator[np.ndarray]:
    """Every ``every``-th frame from the first on: (height, width, 3) uint8, BGR."""
    with _opened(Path(path)) as capture:
        position = 0
        while capture.grab():
            if position % every == 0:
                readable, frame = capture.retrieve()
                if not readable:
                    return
                yield frame
            position += 1
