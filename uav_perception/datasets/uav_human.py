"""UAV-Human (Li et al. 2021): the label and the actor are in the file name, the split is a list of training actors.

``P070S01G10B00H10UC102000LC092000A031R0_09131758.avi``: P is the subject, A the action (from 0), R the repetition.
"""

from __future__ import annotations

import re
from pathlib import Path

from uav_perception.datasets.errors import DatasetError
from uav_perception.datasets.video_list import VIDEO_SUFFIXES, LabelledVideo, VideoList, existing

ACTIONS = 155
_NAME = re.compile(r"P(?P<subject>\d+)S\d+G\d+B\d+H\d+UC\d+LC\d+A(?P<action>\d+)R\d+_\d+")
_REMEDY = "Ask for the RGB videos at https://sutdcv.github.io/uav-human-web/."


def parse_name(stem: str) -> tuple[int, int]:
    """Subject and action of a file name.

    Raises:
        DatasetError: the name does not follow the pattern, or the action is not 0 to 154.
    """
    match = _NAME.fullmatch(stem)
    if match is None:
        raise DatasetError(f"{stem!r} is not a UAV-Human name such as P070S01G10B00H10UC102000LC092000A031R0_09131758.")
    subject, action = int(match["subject"]), int(match["action"])
    if action >= ACTIONS:
        raise DatasetError(f"{stem!r} has action {action}; UAV-Human has 0 to {ACTIONS - 1}.")
    return subject, action


def _subjects(path: Path) -> set[int]:
    if not path.is_file():
        raise DatasetError(
            f"UAV-Human: the list of training subjects {path} does not exist. Write the subject ids of the protocol "
            "(CSv1 or CSv2, from the data set's page) into it, separated by spaces, commas or lines."
        )
    words = re.split(r"[\s,]+", path.read_text(encoding="utf-8").strip())
    wrong = [word for word in words if not word.lstrip("P").isdigit()]
    if wrong:
        raise DatasetError(f"{path}: {wrong[0]!r} is not a subject id.")
    return {int(word.lstrip("P")) for word in words}


def read_uav_human(root: str | Path, part: str, train_subjects: str = "csv1_train_subjects.txt") -> VideoList:
    """Read the videos under ``root`` (any depth).

    Args:
        root: folder of the videos.
        part: "train" or "test"; test is everybody who is not in the list.
        train_subjects: file of the training subjects' ids, relative to ``root`` or absolute.

    Raises:
        DatasetError: the list is missing, or a file name does not parse.
    """
    root = existing(root, "UAV-Human", _REMEDY)
    training = _subjects(root / train_subjects)
    videos = []
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in VIDEO_SUFFIXES:
            continue
        subject, action = parse_name(path.stem)
        if (subject in training) == (part == "train"):
            videos.append(LabelledVideo(str(path.relative_to(root)), path, action))
    names = tuple(f"A{action:03d}" for action in range(ACTIONS))
    return VideoList(f"UAV-Human {part}", names, tuple(videos))
