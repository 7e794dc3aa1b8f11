"""Images that lie as files on disk: a list of pictures, or a video."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from uav_perception.evaluation.errors import RecordingError
from uav_perception.evaluation.source import EncodedImage, Source
from uav_perception.frames.errors import FrameError
from uav_perception.frames.frame import Frame
from uav_perception.frames.video import read_video, video_info

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
_DEFAULT_RATE = 30.0


class Pictures(Source):
    """A list of picture files.

    Args:
        name: what reports call it.
        files: the pictures, in order.
        rate: pictures a second where they are a sequence; None where they do not follow each other.

    Raises:
        RecordingError: there are no files.
    """

    def __init__(self, name: str, files: Sequence[Path], rate: float | None = None) -> None:
        if not files:
            raise RecordingError(f"{name} holds no pictures ({', '.join(PICTURE_SUFFIXES)}).")
        self.name = name
        self.files = tuple(files)
        self.in_time_order = rate is not None
        self._interval_ns = round(1e9 / (rate or _DEFAULT_RATE))

    def __len__(self) -> int:
        return len(self.files)

    def images(self) -> Iterator[EncodedImage]:
        """See :meth:`Source.images`."""
        for index, path in enumerate(self.files):
            stamp = index * self._interval_ns
            yield EncodedImage(index, path.stem, stamp, partial(_read_picture, path, stamp))


def picture_files(folder: Path) -> list[Path]:
    """The pictures in a folder, by name, numbers in it by their value: ``frame_9`` comes before ``frame_10``."""
    found = [p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and not p.name.startswith(".")]
    return sorted(found, key=lambda p: (_in_parts(p.name), p.name))


def _in_parts(name: str) -> list[tuple[int, str]]:
    """Its numbers and the texts between them."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _read_picture(path: Path, stamp_ns: int) -> Frame:
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise FrameError(f"{path.name} cannot be read: {error.strerror}.") from error
    image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION) if len(data) else None
    if image is None:
        raise FrameError(f"{path.name} is no picture, or damaged.")
    return Frame(image, stamp_ns)


class Video(Source):
    """A video file. What cannot be decoded ends it, as containers do not say what is missing.

    Raises:
        RecordingError: it cannot be opened.
    """

    in_time_order = True

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = self.path.stem
        try:
            self._count = video_info(self.path).frames
        except FrameError as error:
            raise RecordingError(str(error)) from error

    def __len__(self) -> int:
        return self._count

    def images(self) -> Iterator[EncodedImage]:
        """See :meth:`Source.images`."""
        try:
            for index, (stamp, image) in enumerate(read_video(self.path)):
                yield EncodedImage(index, "", stamp, partial(Frame, image, stamp))
        except FrameError as error:
            raise RecordingError(str(error)) from error
