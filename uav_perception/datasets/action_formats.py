"""The action data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from uav_perception.datasets.class_folders import read_class_folders, read_drone_action, read_mod20
from uav_perception.datasets.csv_videos import read_csv_videos
from uav_perception.datasets.errors import DatasetError
from uav_perception.datasets.hmdb51 import read_hmdb51
from uav_perception.datasets.uav_human import read_uav_human
from uav_perception.datasets.ucf101 import read_ucf101
from uav_perception.datasets.video_list import LabelledVideo, VideoList, existing, videos_in

FORMATS: dict[str, Callable[..., VideoList]] = {
    "hmdb51": read_hmdb51,
    "ucf101": read_ucf101,
    "uav_human": read_uav_human,
    "drone_action": read_drone_action,
    "mod20": read_mod20,
    "folders": read_class_folders,
    "csv": read_csv_videos,
}
BACKGROUND = "background"


def read_videos(format: str, root: str | Path, part: str, background: str | Path | None = None, **options) -> VideoList:
    """Read one part of a data set.

    Args:
        format: one of ``FORMATS``.
        root: the data set's folder (for "csv": the file).
        part: "train" or "test".
        background: a folder with ``train`` and ``test`` folders of videos in which nothing of interest happens. They
            become one more class, ``background``, for models that will run on a stream.
        options: of the format, for example ``split``.

    Raises:
        DatasetError: an unknown format or option, or what the format's reader finds wrong.
    """
    if format not in FORMATS:
        raise DatasetError(f"There is no data set format {format!r}; choose one of {', '.join(FORMATS)}.")
    try:
        videos = FORMATS[format](root, part, **options)
    except TypeError as error:
        raise DatasetError(f"Options for the data set format {format}: {error}.") from error
    if background is None:
        return videos
    folder = existing(Path(background).expanduser() / part, "Background videos", "Put videos into it.")
    label = len(videos.class_names)
    idle = tuple(LabelledVideo(f"{BACKGROUND}/{path.name}", path, label) for path in videos_in(folder))
    return VideoList(f"{videos.title} with background", (*videos.class_names, BACKGROUND), (*videos.videos, *idle))
