"""Own videos listed in a CSV: ``path,label[,part][,start][,end]`` with a header line."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from uav_perception.datasets.errors import DatasetError
from uav_perception.datasets.video_list import LabelledVideo, VideoList


def read_csv_videos(root: str | Path, part: str) -> VideoList:
    """Read a CSV of labelled videos.

    Columns: ``path`` (relative to the CSV's folder, or absolute), ``label`` (a class name), ``part`` ("train" or
    "test"; a CSV without it serves both), ``start`` and ``end`` [s] of the part of the file that counts.

    Args:
        root: the CSV file.
        part: "train" or "test".

    Raises:
        DatasetError: no such file, a missing column, or a field that does not parse; with its line number.
    """
    path = Path(root).expanduser()
    if not path.is_file():
        raise DatasetError(f"The CSV of videos {path} does not exist.")
    with path.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines, skipinitialspace=True)
        missing = {"path", "label"} - set(reader.fieldnames or ())
        if missing:
            raise DatasetError(f"{path}: the header lacks {', '.join(sorted(missing))}.")
        rows = [(reader.line_num, row) for row in reader]
    for number, row in rows:
        empty = [column for column in ("path", "label") if not (row[column] or "").strip()]
        if empty:
            raise DatasetError(f"{path}:{number}: {empty[0]} is empty.")
    class_names = tuple(sorted({row["label"].strip() for _, row in rows}))
    videos = []
    for number, row in rows:
        side = (row.get("part") or part).strip()
        if side not in {"train", "test"}:
            raise DatasetError(f"{path}:{number}: part is {side!r}, neither train nor test.")
        if side != part:
            continue
        start, end = _seconds(path, number, row, "start"), _seconds(path, number, row, "end")
        file = (path.parent / row["path"].strip()).expanduser()
        name = row["path"].strip() if start is None and end is None else f"{row['path'].strip()}@{start or 0:g}-{end}"
        videos.append(LabelledVideo(name, file, class_names.index(row["label"].strip()), start or 0.0, end))
    return VideoList(f"{path.name} {part}", class_names, tuple(videos))


def _seconds(path: Path, number: int, row: dict[str, str], column: str) -> float | None:
    text = (row.get(column) or "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise DatasetError(f"{path}:{number}: {column} is {text!r}, not seconds.")
    return seconds
