"""Reading and writing video files with OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from uav_perception.frames.errors import FrameError

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
_DEFAULT_FPS = 30.0  # where a container does not say


@dataclass(frozen=True)
class VideoInfo:
    """What a container says about its video.

    Attributes:
        width: of a frame [px].
        height: of a frame [px].
        fps: nominal rate [frames/s].
        frames: number of frames; 0 when the container does not say.
    """

    width: int
    height: int
    fps: float
    frames: int


def is_video(path: Path) -> bool:
    """Whether a file's name ends like that of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def video_info(path: str | Path) -> VideoInfo:
    """Size, rate and length of a video.

    Raises:
        FrameError: the file is missing or no video that OpenCV can decode.
    """
    capture = _open(path)
    try:
        return _info(capture)
    finally:
        capture.release()


def read_video(path: str | Path) -> Iterator[tuple[int, np.ndarray]]:
    """The frames of a video, turned upright where the container says so.

    Yields:
        Time since the start [ns] from the container's own stamps (a frame whose stamp does not grow, as the last ones
        of some AVI files, gets that of the frame before plus one period), and the frame, uint8 BGR.

    Raises:
        FrameError: the file is missing, no video, or has not one frame.
    """
    capture = _open(path)
    try:
        period = round(1e9 / _info(capture).fps)
        first = last = None
        while True:
            read, image = capture.read()
            if not read:
                break
            stamp = round(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
            if first is None:
                first = stamp
            elif stamp <= last:
                stamp = last + period
            last = stamp
            yield stamp - first, image
        if first is None:
            raise FrameError(f"{path} opens as a video but has no frame that can be decoded. Is it whole?")
    finally:
        capture.release()


class VideoWriter:
    """Writes an MP4 (MPEG-4) of BGR images of one size; a context manager.

    Leaving it reads back how many frames the file holds, as OpenCV does not tell when a frame could not be written.

    Args:
        path: of the file; its folder is made.
        fps: rate [frames/s].

    Raises:
        FrameError: on leaving, frames are missing in the file.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        self._path = Path(path)
        self._fps = fps
        self._writer: cv2.VideoWriter | None = None
        self._frames = 0

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._writer is None:
            return
        self._writer.release()
        if kind is None and not self._is_whole():
            raise FrameError(f"The video {self._path} could not be written to its end. Is the disk full?")

    def _is_whole(self) -> bool:
        try:
            return video_info(self._path).frames == self._frames
        except FrameError:
            return False

    def write(self, image: np.ndarray) -> None:
        """Append one frame; the first decides the size.

        Raises:
            FrameError: OpenCV cannot write the file.
        """
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            size = (image.shape[1], image.shape[0])
            self._writer = cv2.VideoWriter(str(self._path), cv2.VideoWriter_fourcc(*"mp4v"), self._fps, size)
            if not self._writer.isOpened():
                raise FrameError(f"OpenCV cannot write the video {self._path} ({size[0]}x{size[1]}). Is the disk full?")
        self._writer.write(image)
        self._frames += 1


def _open(path: str | Path) -> cv2.VideoCapture:
    if not Path(path).is_file():
        raise FrameError(f"The video {path} does not exist.")
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise FrameError(f"{path} cannot be opened as a video. Is it one, and whole?")
    return capture


def _info(capture: cv2.VideoCapture) -> VideoInfo:
    fps = capture.get(cv2.CAP_PROP_FPS)
    return VideoInfo(
        width=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
        height=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        fps=fps if 0 < fps < 1000 else _DEFAULT_FPS,
        frames=max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0),
    )
