"""UCF101 (Soomro et al. 2012).

``<root>/[UCF-101/]<Class>/v_<Class>_gNN_cNN.avi``, and the lists ``classInd.txt``, ``trainlist0k.txt`` and
``testlist0k.txt`` in ``<root>/ucfTrainTestlist``. Train lines end with a 1-based label; test lines carry none, so the
label is the folder's. The lists spell one class ``HandstandPushups`` in the folder and ``HandStandPushups`` in the file
name, and unpacked archives differ in the folder.
"""

from __future__ import annotations

from pathlib import Path

from uav_perception.datasets.errors import DatasetError
from uav_perception.datasets.video_list import LabelledVideo, VideoList, existing

_REMEDY = "Get UCF101.rar and UCF101TrainTestSplits-RecognitionTask.zip from https://www.crcv.ucf.edu/data/UCF101.php."


def _class_names(path: Path) -> tuple[str, ...]:
    numbered = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or not words[0].isdigit():
            raise DatasetError(f"{path}:{number}: {line!r} is not `<number> <class>`.")
        numbered[int(words[0])] = words[1]
    if sorted(numbered) != list(range(1, len(numbered) + 1)):
        raise DatasetError(f"{path}: the class numbers are not 1 to {len(numbered)}.")
    return tuple(numbered[index] for index in sorted(numbered))


def _folders(root: Path) -> dict[str, Path]:
    """Folder of each class by its name in small letters: the spelling of HandstandPushups varies."""
    base = root / "UCF-101" if (root / "UCF-101").is_dir() else root
    return {folder.name.lower(): folder for folder in base.iterdir() if folder.is_dir()}


def read_ucf101(root: str | Path, part: str, split: int = 1) -> VideoList:
    """Read one part of one of the three official splits.

    Raises:
        DatasetError: a list is missing or malformed, or a label contradicts its folder.
    """
    root = existing(root, "UCF101", _REMEDY)
    lists = root / "ucfTrainTestlist"
    needed = {"classes": lists / "classInd.txt", "videos": lists / f"{part}list{split:02d}.txt"}
    for path in needed.values():
        if not path.is_file():
            raise DatasetError(f"UCF101: {path} does not exist. {_REMEDY}")
    class_names = _class_names(needed["classes"])
    label_of = {name.lower(): label for label, name in enumerate(class_names)}
    folders = _folders(root)
    videos = []
    for number, line in enumerate(needed["videos"].read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        if not words:
            continue
        folder, _, name = words[0].partition("/")
        label = label_of.get(folder.lower())
        if label is None or not name:
            raise DatasetError(
                f"{needed['videos']}:{number}: {words[0]!r} does not begin with a class of classInd.txt."
            )
        if len(words) > 1 and words[1] != str(label + 1):
            raise DatasetError(
                f"{needed['videos']}:{number}: label {words[1]} contradicts {folder}, which is class {label + 1}."
            )
        place = folders.get(folder.lower(), root / folder)
        videos.append(LabelledVideo(words[0], place / name, label))
    return VideoList(f"UCF101 split {split} {part}", class_names, tuple(videos))
