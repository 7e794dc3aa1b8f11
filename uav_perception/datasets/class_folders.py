"""Videos in one folder a class, and the UAV sets that come so.

Either ``<root>/train/<class>/*`` and ``<root>/test/<class>/*``, or ``<root>/<class>/*`` alone; then a share of each
class is set aside for the test, the same one on every machine, and clips of one recording stay on one side.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from uav_perception.datasets.errors import DatasetError
from uav_perception.datasets.hmdb51 import read_hmdb51
from uav_perception.datasets.video_list import LabelledVideo, VideoList, existing, videos_in

_REMEDY = "Put the videos into one folder a class."
_CLIP_NUMBER = re.compile(r"[_\-. ]*(?:c|clip|part|seg)?\d+$", re.IGNORECASE)


def recording_of(path: Path) -> str:
    """What the clips of one recording have in common: the file name without its last number (``boxing_03``: ``boxing``
    would be the whole class, so a name that is nothing but class and number keeps its number)."""
    base = _CLIP_NUMBER.sub("", path.stem)
    return path.stem if base.lower() in {"", path.parent.name.lower()} else base


def _ranks(recording: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}\0{recording}".encode()).hexdigest()


def split_by_recording(paths: list[Path], test_share: float, seed: int) -> set[Path]:
    """The test part of one class: whole recordings, in a fixed random order, until the share is reached.

    One recording is always left for training. Where all names differ in their last number only (``DJI_0001``,
    ``DJI_0002`` ...), that number counts recordings, not clips of one.
    """
    groups: dict[str, list[Path]] = {}
    for path in paths:
        groups.setdefault(recording_of(path), []).append(path)
    if len(groups) == 1:
        groups = {path.stem: [path] for path in paths}
    chosen: set[Path] = set()
    for recording in sorted(groups, key=lambda name: _ranks(name, seed))[:-1]:
        if len(chosen) >= test_share * len(paths):
            break
        chosen.update(groups[recording])
    return chosen


def _folders_with_videos(base: Path) -> list[Path]:
    return sorted(folder for folder in base.iterdir() if folder.is_dir() and videos_in(folder))


def read_class_folders(
    root: str | Path, part: str, test_share: float = 0.3, seed: int = 0, title: str = "Class folders"
) -> VideoList:
    """Read a folder-per-class set.

    Raises:
        DatasetError: no class folders, or train and test name different classes.
    """
    root = existing(root, title, _REMEDY)
    divided = (root / "train").is_dir() and (root / "test").is_dir()
    base = root / part if divided else root
    folders = _folders_with_videos(base)
    if divided:
        both = [{folder.name for folder in _folders_with_videos(root / side)} for side in ("train", "test")]
        if both[0] != both[1]:
            raise DatasetError(
                f"{title}: only one of train and test has videos of {', '.join(sorted(both[0] ^ both[1]))}."
            )
    if len(folders) < 2:
        raise DatasetError(f"{title}: {base} holds {len(folders)} folders with videos; at least 2 classes are needed.")
    videos = []
    for label, folder in enumerate(folders):
        paths = videos_in(folder)
        if not divided:
            test = split_by_recording(paths, test_share, seed)
            paths = [path for path in paths if (path in test) == (part == "test")]
        videos += [LabelledVideo(f"{folder.name}/{path.name}", path, label) for path in paths]
    return VideoList(f"{title} {part}", tuple(folder.name for folder in folders), tuple(videos))


def _lists_or_share(root: str | Path, part: str, split: int, test_share: float, seed: int, title: str) -> VideoList:
    for folder in ("splits", "testTrainMulti_7030_splits"):
        if (Path(root).expanduser() / folder).is_dir():
            return read_hmdb51(root, part, split, folder, title)
    return read_class_folders(root, part, test_share, seed, title)


def read_drone_action(root: str | Path, part: str, split: int = 1, test_share: float = 0.3, seed: int = 0) -> VideoList:
    """Drone-Action (Perera et al. 2019): 13 class folders. With a folder ``splits`` of HMDB51-style lists
    (``<class>_test_split1.txt``) those count, else whole recordings are set aside (168 / 72 videos: a share of 0.3)."""
    return _lists_or_share(root, part, split, test_share, seed, "Drone-Action")


def read_mod20(root: str | Path, part: str, split: int = 1, test_share: float = 0.3, seed: int = 0) -> VideoList:
    """MOD20 (Perera et al. 2020): 20 class folders of 720x720 clips. Lists in ``splits`` as for Drone-Action."""
    return _lists_or_share(root, part, split, test_share, seed, "MOD20")
