"""COCO's detection format, read and written (https://cocodataset.org/#format-data)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from uav_perception.datasets.detection_set import AnnotatedImage, DetectionSet, ProblemLog, image_size, usable_box
from uav_perception.datasets.errors import DatasetError
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.files import write_json


def read_coco(
    annotations: str | Path, images: str | Path, class_names: Sequence[str] | None = None, check_files: bool = True
) -> DetectionSet:
    """Read a COCO JSON.

    ``iscrowd`` and ``ignore`` both make an object ignored (the evaluators overwrite ``ignore`` by ``iscrowd``, so a
    data set that uses only the former would be evaluated wrongly). Class ids follow the order of the categories' ids
    or of ``class_names``; objects of other classes are dropped. Boxes without area, outside the image or not finite,
    and images whose file is missing, are skipped and named. A size that the JSON lacks is read from the image.

    Args:
        annotations: the JSON file.
        images: folder that ``file_name`` is relative to.
        class_names: the classes to keep and their order; all when None.
        check_files: skip images whose file does not exist.

    Raises:
        DatasetError: the file is not COCO, or a class name is not in it.
    """
    annotations, images = Path(annotations), Path(images)
    try:
        data = json.loads(annotations.read_text(encoding="utf-8"))
        categories = sorted(data["categories"], key=lambda category: category["id"])
        entries, objects = data["images"], data["annotations"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{annotations} is no COCO detection file ({type(error).__name__}: {error}); it needs images, annotations "
            "and categories."
        ) from error
    names = tuple(class_names) if class_names is not None else tuple(category["name"] for category in categories)
    missing = sorted(set(names) - {category["name"] for category in categories})
    if missing:
        raise DatasetError(f"{annotations} has no classes {', '.join(missing)}.")
    class_of = {category["id"]: names.index(category["name"]) for category in categories if category["name"] in names}
    log, by_image = ProblemLog(), defaultdict(list)
    for entry in objects:
        by_image[entry.get("image_id")].append(entry)
    found = []
    for entry in entries:
        path = images / entry["file_name"]
        if check_files and not path.is_file():
            log.skip(entry["file_name"], "the image file does not exist")
            continue
        try:
            size = _size(entry, path)
        except DatasetError as error:
            log.skip(entry["file_name"], f"the annotations lack its size, and {error}")
            continue
        truth = _truth(entry, size, by_image.pop(entry["id"], []), class_of, log)
        found.append(AnnotatedImage(path, entry["file_name"], truth))
    known = {entry["id"] for entry in entries}
    for image_id in by_image.keys() - known:
        log.skip(f"image_id {image_id}", f"{len(by_image[image_id])} annotations of an image that is not listed")
    return DetectionSet(tuple(found), names, log.report(annotations))


def _size(entry: dict, path: Path) -> tuple[int, int]:
    width, height = int(entry.get("width") or 0), int(entry.get("height") or 0)
    return (width, height) if width > 0 and height > 0 else image_size(path)


def _box(bbox: object, width: int, height: int) -> tuple[np.ndarray | None, str]:
    try:
        x, y, w, h = (float(value) for value in bbox)
    except (TypeError, ValueError):
        return None, f"its bbox is {bbox!r}, not x, y, width and height"
    return usable_box((x, y, x + w, y + h), width, height)


def _truth(
    image: dict, size: tuple[int, int], objects: list[dict], class_of: dict[int, int], log: ProblemLog
) -> ImageTruth:
    (width, height), boxes, classes, ignored, areas, tracks = size, [], [], [], [], []
    for entry in objects:
        if entry.get("category_id") not in class_of:
            continue
        box, why = _box(entry.get("bbox"), width, height)
        if box is None:
            log.skip(f"{image['file_name']}, annotation {entry.get('id')}", why)
            continue
        boxes.append(box)
        classes.append(class_of[entry["category_id"]])
        ignored.append(bool(entry.get("iscrowd", 0)) or bool(entry.get("ignore", 0)))
        areas.append(float(entry.get("area") or (box[2] - box[0]) * (box[3] - box[1])))
        tracks.append(int(entry.get("track_id", -1)))
    regions = []
    for number, region in enumerate(image.get("ignore_regions", [])):
        box, why = _box(region, width, height)
        if box is None:
            log.skip(f"{image['file_name']}, ignore region {number}", why)
        else:
            regions.append(box)
    return ImageTruth(
        np.array(boxes),
        np.array(classes, int),
        np.array(ignored, bool),
        np.array(regions),
        width=width,
        height=height,
        track_ids=np.array(tracks, int),
        areas=np.array(areas, float),
    )


def coco_dict(dataset: DetectionSet) -> dict[str, list[dict]]:
    """A data set as COCO JSON content.

    Ignored objects get ``iscrowd`` 1. Ignore regions have no place in the format: they are written as one more key of
    their image, ``ignore_regions`` (x, y, width, height each), which this package reads again and others pass over.
    """
    images, annotations = [], []
    for number, image in enumerate(dataset.images, 1):
        truth = image.truth
        images.append({"id": number, "file_name": image.name, "width": truth.width, "height": truth.height})
        if len(truth.ignore_regions):
            images[-1]["ignore_regions"] = [
                [x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in truth.ignore_regions.tolist()
            ]
        for i, (x1, y1, x2, y2) in enumerate(truth.boxes.tolist()):
            entry = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": int(truth.class_ids[i]) + 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": float(truth.areas[i]),
                "iscrowd": int(truth.ignored[i]),
            }
            if truth.track_ids[i] >= 0:
                entry["track_id"] = int(truth.track_ids[i])
            annotations.append(entry)
    categories = [{"id": i, "name": name} for i, name in enumerate(dataset.class_names, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(dataset: DetectionSet, path: str | Path) -> None:
    """Write a data set's annotations as COCO JSON."""
    write_json(path, coco_dict(dataset))
