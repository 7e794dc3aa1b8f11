"""HMDB51 (Kuehne et al. 2011), and every set in its layout: the simulated clips and Drone-Action among them.

``<root>/<class>/*.avi`` and ``<root>/testTrainMulti_7030_splits/<class>_test_split<1|2|3>.txt`` with lines
``name.avi 1`` (train), ``2`` (test) or ``0`` (not in this split).
"""

from __future__ import annotations

from pathlib import Path

from uav_perception.datasets.errors import DatasetError
from uav_perception.datasets.video_list import LabelledVideo, VideoList, existing

SPLIT_FOLDER = "testTrainMulti_7030_splits"
_PARTS = {"train": "1", "test": "2"}
_REMEDY = (
    "Get hmdb51_org.rar and test_train_splits.rar from https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-"
    "motion-database/ and unpack every class archive into it."
)


def _split_lines(path: Path) -> list[tuple[str, str]]:
    lines = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        words = line.rsplit(maxsplit=1)
        if len(words) != 2 or words[1] not in {"0", "1", "2"}:
            raise DatasetError(f"{path}:{number}: {line!r} is not `<video> <0|1|2>`.")
        lines.append((words[0].strip(), words[1]))
    return lines


def read_hmdb51(
    root: str | Path, part: str, split: int = 1, split_folder: str = SPLIT_FOLDER, title: str = "HMDB51"
) -> VideoList:
    """Read one part of one split.

    Args:
        root: the folder of the class folders.
        part: "train" or "test".
        split: 1, 2 or 3.
        split_folder: name of the folder of the split files.
        title: for messages.

    Raises:
        DatasetError: a folder, a split file or a listed video is missing, or a line is malformed.
    """
    root = existing(root, title, _REMEDY)
    folder = root / split_folder
    ending = f"_test_split{split}.txt"
    files = sorted(folder.glob(f"*{ending}")) if folder.is_dir() else []
    if not files:
        raise DatasetError(f"{title}: no file *{ending} in {folder}. {_REMEDY}")
    class_names = tuple(path.name[: -len(ending)] for path in files)
    videos = []
    for label, (class_name, path) in enumerate(zip(class_names, files, strict=True)):
        for name, number in _split_lines(path):
            if number == _PARTS[part]:
                videos.append(LabelledVideo(f"{class_name}/{name}", root / class_name / name, label))
    return VideoList(f"{title} split {split} {part}", class_names, tuple(videos))
