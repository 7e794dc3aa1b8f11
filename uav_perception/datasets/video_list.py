"""What every action data set comes down to: labelled videos, in a fixed order."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from uav_perception.datasets.errors import DatasetError

VIDEO_SUFFIXES = frozenset({".avi", ".mp4", ".mkv", ".mov", ".webm", ".mpg", ".mpeg", ".m4v"})


@dataclass(frozen=True)
class LabelledVideo:
    """One sample.

    Attributes:
        name: unique in its list; what caches and messages call it.
        path: the video file.
        label: index into the list's class names.
        start, end: the part of the file that counts [s]; ``end`` None is the file's end.
    """

    name: str
    path: Path
    label: int
    start: float = 0.0
    end: float | None = None

    def __post_init__(self) -> None:
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise DatasetError(f"{self.name}: the part from {self.start} s to {self.end} s is empty or negative.")


@dataclass(frozen=True)
class VideoList:
    """A split of a data set, train or test.

    Attributes:
        title: data set, split and part, for messages.
        class_names: in label order.
        videos: the samples.
    """

    title: str
    class_names: tuple[str, ...]
    videos: tuple[LabelledVideo, ...]

    def __post_init__(self) -> None:
        if not self.videos:
            raise DatasetError(f"{self.title} holds no video.")
        names = [video.name for video in self.videos]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DatasetError(f"{self.title} names {twice} twice.")
        wrong = next((video for video in self.videos if not 0 <= video.label < len(self.class_names)), None)
        if wrong is not None:
            raise DatasetError(
                f"{self.title}: {wrong.name} has label {wrong.label} of {len(self.class_names)} classes."
            )

    def fingerprint(self) -> str:
        """A hash of names, labels, parts and file sizes. Caches made for another fingerprint are refused."""
        digest = hashlib.sha256("\n".join(self.class_names).encode())
        for video in self.videos:
            size = video.path.stat().st_size if video.path.is_file() else -1
            digest.update(f"\0{video.name}\0{video.label}\0{video.start}\0{video.end}\0{size}".encode())
        return digest.hexdigest()


def videos_in(folder: Path) -> list[Path]:
    """The video files of a folder, sorted by name. Other files are passed over."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())


def existing(root: str | Path, title: str, remedy: str) -> Path:
    """The folder of a data set.

    Raises:
        DatasetError: it does not exist; the message ends with ``remedy``.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise DatasetError(f"{title}: the folder {root} does not exist. {remedy}")
    return root
