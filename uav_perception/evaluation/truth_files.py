"""Truth in files: COCO json, VisDrone, UAVDT and MOT text, action segments as CSV or ActivityNet json."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path

import numpy as np

from uav_perception.datasets.uavdt import UAVDT_CLASSES
from uav_perception.datasets.visdrone import VISDRONE_CLASSES
from uav_perception.evaluation.errors import TruthError
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.evaluation.truth_table import LabelledSpan, TruthTable

MOT_CLASSES = ("pedestrian",)
FORMATS = ("coco", "visdrone", "uavdt", "mot", "csv", "activitynet")


def read_truth(path: str | Path, flight: str, format_name: str | None = None) -> TruthTable:
    """Read truth from a file or a folder; the format is told from the content unless it is named.

    Args:
        path: a COCO or ActivityNet .json, a .csv of action segments, a VisDrone-DET folder of .txt files, or a .txt of
            VisDrone-VID/MOT, UAVDT or MOT.
        flight: name of the recording, by which ActivityNet files are looked up.
        format_name: one of :data:`FORMATS`, or None.

    Raises:
        TruthError: the file is missing, damaged, of no known format, or holds nothing.
    """
    path = Path(path)
    if not path.exists():
        raise TruthError(f"There is no truth file {path}.")
    kind = format_name or _guess(path)
    readers: dict[str, Callable[[], TruthTable]] = {
        "coco": lambda: read_coco(path),
        "visdrone": lambda: read_visdrone_folder(path) if path.is_dir() else read_visdrone_video(path),
        "uavdt": lambda: read_uavdt(path),
        "mot": lambda: read_mot(path),
        "csv": lambda: read_action_csv(path),
        "activitynet": lambda: read_activitynet(path, flight),
    }
    if kind not in readers:
        raise TruthError(f"Unknown truth format {kind!r}; known are {', '.join(FORMATS)}.")
    table = readers[kind]()
    if not table.images and not table.spans:
        raise TruthError(
            f"The truth {path} is empty: it holds no image and no action. Leave it out to judge against what the "
            "recording itself holds."
        )
    return table


def _guess(path: Path) -> str:
    if path.is_dir():
        return "visdrone"
    if path.suffix == ".csv":
        return "csv"
    if path.suffix == ".json":
        return "activitynet" if "database" in _json(path) else "coco"
    if path.suffix == ".txt":
        return _guess_text(path)
    raise TruthError(
        f"The format of {path} cannot be told from its suffix; give .json, .csv, .txt or a folder of .txt files, or "
        f"name it with --truth-format ({', '.join(FORMATS)})."
    )


def _guess_text(path: Path) -> str:
    if any(part in path.name for part in ("gt_whole", "gt_ignore")):
        return "uavdt"
    columns = {len(row) for _, row in _rows(path)}
    if columns == {10}:
        # VisDrone writes whole numbers in all ten columns, MOT its three unused world coordinates as -1.
        return "mot" if all(row[7:] == [-1, -1, -1] for _, row in _rows(path)) else "visdrone"
    if columns <= {7, 8, 9}:
        return "mot"
    raise TruthError(
        f"{path} has rows of {', '.join(map(str, sorted(columns)))} columns; VisDrone video truth has 10, MOT 7 to 10. "
        "Name the format with --truth-format."
    )


def _json(path: Path) -> dict:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TruthError(f"{path} is no readable JSON: {error}.") from error
    if not isinstance(value, dict):
        raise TruthError(f"{path} must hold a JSON object, not a {type(value).__name__}.")
    return value


def _rows(path: Path) -> list[tuple[int, list[float]]]:
    """Numbered rows of comma-separated numbers; empty lines and a trailing comma are allowed, as in the data sets."""
    rows = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TruthError(f"{path} cannot be read: {error}.") from error
    for number, line in enumerate(lines, start=1):
        cells = line.strip().rstrip(",")
        if cells:
            try:
                rows.append((number, [float(cell) for cell in cells.split(",")]))
            except ValueError as error:
                raise TruthError(f"{path}, line {number}: {line.strip()!r} is no row of numbers.") from error
    return rows


def _column_rows(path: Path, least: int) -> list[list[float]]:
    rows = _rows(path)
    for number, row in rows:
        if len(row) < least:
            raise TruthError(f"{path}, line {number} has {len(row)} columns; at least {least} are needed.")
    return [row for _, row in rows]


def _xyxy(boxes: Iterable[Iterable[float]]) -> np.ndarray:
    boxes = np.array([list(box) for box in boxes], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def read_coco(path: Path) -> TruthTable:
    """COCO json; images are known by file name. ``iscrowd`` objects are ignored ones.

    ``ignore_regions`` of an image are this package's own addition, see ``datasets.coco``.

    Raises:
        TruthError: a part is missing.
    """
    data = _json(path)
    try:
        order = sorted(data["categories"], key=lambda c: c["id"])
        names = Counter(Path(image["file_name"]).stem for image in data["images"])
        class_ids = {c["id"]: i for i, c in enumerate(order)}
        by_image: dict[int, list[dict]] = {image["id"]: [] for image in data["images"]}
        for annotation in data["annotations"]:
            if annotation["bbox"][2] > 0 and annotation["bbox"][3] > 0:
                by_image[annotation["image_id"]].append(annotation)
        images = {
            Path(image["file_name"]).stem: ImageTruth(
                _xyxy(a["bbox"] for a in by_image[image["id"]]),
                [class_ids[a["category_id"]] for a in by_image[image["id"]]],
                ignored=[bool(a.get("iscrowd", 0)) for a in by_image[image["id"]]],
                ignore_regions=_xyxy(image.get("ignore_regions", [])),
                width=int(image.get("width", 0)),
                height=int(image.get("height", 0)),
                track_ids=[int(a.get("track_id", -1)) for a in by_image[image["id"]]],
                areas=[a.get("area", a["bbox"][2] * a["bbox"][3]) for a in by_image[image["id"]]],
            )
            for image in data["images"]
        }
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise TruthError(
            f"{path} is no complete COCO file ({type(error).__name__}: {error}); it needs images (id, file_name), "
            "annotations (image_id, category_id, bbox) and categories (id, name)."
        ) from error
    repeated = [name for name, count in names.items() if count > 1]
    if repeated:
        raise TruthError(
            f"{path} holds {len(repeated)} names of pictures more than once, such as {repeated[0]!r}, in several "
            "folders; give one file for each recording, or evaluate the file itself as a data set."
        )
    return TruthTable(path.name, tuple(c["name"] for c in order), "name", images)


def _visdrone_image(rows: list[list[float]]) -> ImageTruth:
    """Rows ``left, top, width, height, score, category``; category 0 is an ignored region, 11 is others."""
    regions = [row[:4] for row in rows if row[5] == 0]
    objects = [row for row in rows if 1 <= row[5] <= len(VISDRONE_CLASSES) and row[2] > 0 and row[3] > 0]
    return ImageTruth(
        _xyxy(row[:4] for row in objects),
        [int(row[5]) - 1 for row in objects],
        ignored=[row[4] == 0 for row in objects],
        ignore_regions=_xyxy(regions),
        track_ids=[int(row[6]) if len(row) > 6 else -1 for row in objects],
    )


def read_visdrone_folder(folder: Path) -> TruthTable:
    """VisDrone-DET: one text file an image, ``left, top, width, height, score, category, truncation, occlusion``.

    Raises:
        TruthError: there are no files, or a row is short.
    """
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise TruthError(f"The folder {folder} holds no .txt files; VisDrone-DET truth has one for each image.")
    images = {path.stem: _visdrone_image([row[:6] for row in _column_rows(path, 6)]) for path in files}
    return TruthTable(folder.name, VISDRONE_CLASSES, "name", images)


def _by_frame(rows: Iterable[list[float]]) -> dict[int, list[list[float]]]:
    frames: dict[int, list[list[float]]] = {}
    for row in rows:
        frames.setdefault(int(row[0]) - 1, []).append(row)
    return frames


def read_visdrone_video(path: Path) -> TruthTable:
    """VisDrone-VID/MOT: ``frame, target, left, top, width, height, score, category, ...``, frames from 1."""
    frames = _by_frame(_column_rows(path, 8))
    images = {i: _visdrone_image([[*r[2:8], r[1]] for r in rows]) for i, rows in frames.items()}
    return TruthTable(path.name, VISDRONE_CLASSES, "index", images)


def read_uavdt(path: Path) -> TruthTable:
    """UAVDT: ``frame, target, left, top, width, height, out_of_view, occlusion, category``, frames from 1.

    Ignore areas are read from the ``*gt_ignore.txt`` beside a ``*gt_whole.txt``.
    """
    frames = _by_frame(_column_rows(path, 9))
    ignore = path.with_name(path.name.replace("gt_whole", "gt_ignore"))
    areas = _by_frame(_column_rows(ignore, 6)) if ignore != path and ignore.is_file() else {}
    images = {}
    for index in sorted(set(frames) | set(areas)):
        rows = [r for r in frames.get(index, []) if 1 <= r[8] <= len(UAVDT_CLASSES) and r[4] > 0 and r[5] > 0]
        images[index] = ImageTruth(
            _xyxy(r[2:6] for r in rows),
            [int(r[8]) - 1 for r in rows],
            ignore_regions=_xyxy(r[2:6] for r in areas.get(index, [])),
            track_ids=[int(r[1]) for r in rows],
        )
    return TruthTable(path.name, UAVDT_CLASSES, "index", images)


def read_mot(path: Path) -> TruthTable:
    """MOTChallenge ``gt.txt``: ``frame, id, left, top, width, height, conf[, class, visibility]``, frames from 1.

    Rows of conf 0 do not count and are ignored, as are classes other than 1, pedestrian. Rename with --class-map.
    """
    images = {}
    for index, rows in _by_frame(_column_rows(path, 6)).items():
        rows = [r for r in rows if r[4] > 0 and r[5] > 0]
        images[index] = ImageTruth(
            _xyxy(r[2:6] for r in rows),
            np.zeros(len(rows)),
            ignored=[(len(r) > 6 and r[6] == 0) or (len(r) > 7 and r[7] not in (1, -1)) for r in rows],
            track_ids=[int(r[1]) for r in rows],
        )
    return TruthTable(path.name, MOT_CLASSES, "index", images)


def read_action_csv(path: Path) -> TruthTable:
    """Action segments with the header ``start_s,end_s,label`` and optionally ``track_id``.

    Times count from the first image, or are stamps in seconds with the header ``start_stamp,end_stamp,label``.
    """
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines)
            names = [name.strip() for name in reader.fieldnames or []]
            rows = [{k.strip(): (v or "").strip() for k, v in row.items() if k} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TruthError(f"{path} cannot be read: {error}.") from error
    absolute = "start_stamp" in names
    start, end = ("start_stamp", "end_stamp") if absolute else ("start_s", "end_s")
    if not {start, end, "label"} <= set(names):
        raise TruthError(
            f"{path} has the columns {', '.join(names) or 'none'}; action segments need start_s, end_s and label "
            "(or start_stamp, end_stamp and label)."
        )
    spans = []
    for number, row in enumerate(rows, start=2):
        spans.append(_span(f"{path}, line {number}", row[start], row[end], row["label"], row.get("track_id") or "-1"))
    return TruthTable(path.name, spans=tuple(spans), spans_absolute=absolute)


def _span(place: str, start: object, end: object, label: str, track_id: str = "-1") -> LabelledSpan:
    try:
        # Decimal, because a stamp with its nanoseconds does not fit a float.
        first, last, track = _nanoseconds(str(start)), _nanoseconds(str(end)), int(track_id)
    except ValueError as error:
        raise TruthError(f"{place}: {start!r}, {end!r}, {track_id!r} are no start, end and track id.") from error
    if last <= first or not label:
        raise TruthError(f"{place}: a segment needs a label and an end after its start, not {start}, {end}, {label!r}.")
    return LabelledSpan(first, last, label, track)


def _nanoseconds(seconds: str) -> int:
    try:
        return int((Decimal(seconds) * 1_000_000_000).to_integral_value())
    except (ArithmeticError, ValueError) as error:
        raise ValueError(f"{seconds!r} is no number of seconds") from error


def read_activitynet(path: Path, flight: str) -> TruthTable:
    """ActivityNet json: ``database -> video -> annotations -> segment [s], label``, the video named as the flight.

    Raises:
        TruthError: the flight is not in it.
    """
    database = _json(path).get("database")
    if not isinstance(database, Mapping):
        raise TruthError(f"{path} has no object `database`; is it an ActivityNet file?")
    if flight not in database:
        some = ", ".join(sorted(database)[:5])
        raise TruthError(f"{path} has no video {flight!r}; it has {len(database)}, such as {some}.")
    spans = []
    for number, annotation in enumerate(database[flight].get("annotations", [])):
        place = f"{path}, annotation {number} of {flight}"
        try:
            (start, end), label = annotation["segment"], annotation["label"]
        except (KeyError, TypeError, ValueError) as error:
            raise TruthError(f"{place} needs `segment` of two numbers and `label`.") from error
        spans.append(_span(place, start, end, label))
    return TruthTable(path.name, spans=tuple(spans))
