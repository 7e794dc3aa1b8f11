"""VisDrone-DET, read and written in its published form.

A split is a folder with ``images/*.jpg`` and ``annotations/*.txt`` of the same names. Each line of a text file is
``left,top,width,height,score,category,truncation,occlusion``; score 0 marks an object that is not evaluated.
Categories: 0 ignored region, 1 pedestrian ... 10 motor, 11 others.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from uav_perception.datasets.detection_set import AnnotatedImage, DetectionSet, ProblemLog, image_size, usable_box
from uav_perception.datasets.errors import DatasetError
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.files import write_text

VISDRONE_CLASSES = (
    "pedestrian", "people", "bicycle", "car", "van", "truck", "tricycle", "awning-tricycle", "bus", "motor",
)  # fmt: skip
_IGNORED_REGION, _OTHERS = 0, 11
_SUFFIXES = (".jpg", ".jpeg", ".png")


def read_visdrone(root: str | Path) -> DetectionSet:
    """Read a split.

    Category 0 becomes an ignore region, 1 to 10 become classes 0 to 9, 11 ("others") is dropped: nothing may match
    it. Score 0 makes an object ignored. Boxes without area (the training split has one), outside the image or
    unreadable, and images whose header cannot be read or whose annotation is missing, are skipped and named.

    Args:
        root: folder with ``images`` and ``annotations``.

    Raises:
        DatasetError: the folders are missing or there is no image.
    """
    root = Path(root)
    if not (root / "images").is_dir() or not (root / "annotations").is_dir():
        raise DatasetError(f"{root} is no VisDrone-DET split: it must hold the folders images/ and annotations/.")
    paths = sorted(path for path in (root / "images").iterdir() if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise DatasetError(f"{root / 'images'} holds no image ({', '.join(_SUFFIXES)}).")
    log, images = ProblemLog(), []
    for path in paths:
        text = root / "annotations" / f"{path.stem}.txt"
        try:
            width, height = image_size(path)
        except DatasetError as error:
            log.skip(path.name, str(error))
            continue
        if not text.is_file():
            log.skip(path.name, f"the annotation {text.name} does not exist")
            continue
        images.append(AnnotatedImage(path, path.name, read_visdrone_file(text, width, height, log)))
    return DetectionSet(tuple(images), VISDRONE_CLASSES, log.report(root))


def read_visdrone_file(path: Path, width: int, height: int, log: ProblemLog | None = None) -> ImageTruth:
    """Read one annotation file.

    Args:
        path: the text file.
        width, height: of the image [px].
        log: takes the lines that had to be skipped; they are dropped silently without one.
    """
    log = ProblemLog() if log is None else log
    boxes, classes, ignored, regions = [], [], [], []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        parts = [part for part in line.strip().split(",") if part.strip()]
        if not parts:
            continue
        where = f"{path.name}, line {number}"
        try:
            left, top, w, h = map(float, parts[:4])
            score, category = int(parts[4]), int(parts[5])
        except (ValueError, IndexError):
            log.skip(where, f"{line.strip()!r} is not left,top,width,height,score,category,...")
            continue
        if category == _OTHERS:
            continue
        if not _IGNORED_REGION <= category < _OTHERS:
            log.skip(where, f"there is no category {category}")
            continue
        box, why = usable_box((left, top, left + w, top + h), width, height)
        if box is None:
            log.skip(where, why)
        elif category == _IGNORED_REGION:
            regions.append(box)
        else:
            boxes.append(box)
            classes.append(category - 1)
            ignored.append(score == 0)
    return ImageTruth(
        np.array(boxes), np.array(classes, int), np.array(ignored, bool), np.array(regions), width=width, height=height
    )


def write_visdrone(dataset: DetectionSet, root: str | Path) -> None:
    """Write a data set's annotations as VisDrone text files, ``root/annotations/<stem>.txt``.

    The images stay where they are. VisDrone has one folder of images: of an image in a subfolder,
    ``M0203/img000001.jpg``, the stem is ``M0203_img000001``, so copy it to ``images/`` under that name. Coordinates are
    rounded to whole pixels, as the format has them. Class c becomes category c + 1.

    Raises:
        DatasetError: the data set has more classes than VisDrone has categories, or two images of one stem.
    """
    if len(dataset.class_names) > len(VISDRONE_CLASSES):
        raise DatasetError(
            f"VisDrone's format has {len(VISDRONE_CLASSES)} categories, this data set has {len(dataset.class_names)}."
        )
    stems = [Path(image.name).with_suffix("").as_posix().replace("/", "_") for image in dataset.images]
    twice = next((stem for stem, count in Counter(stems).items() if count > 1), None)
    if twice is not None:
        raise DatasetError(f"Two images would be annotated in {twice}.txt; give them different names.")
    for image, stem in zip(dataset.images, stems, strict=True):
        truth = image.truth
        lines = [_line(region, 0, _IGNORED_REGION) for region in truth.ignore_regions]
        for box, class_id, ignored in zip(truth.boxes, truth.class_ids, truth.ignored, strict=True):
            lines.append(_line(box, int(not ignored), int(class_id) + 1))
        write_text(Path(root) / "annotations" / f"{stem}.txt", "".join(lines))


def _line(box: np.ndarray, score: int, category: int) -> str:
    x1, y1, x2, y2 = (round(float(value)) for value in box)
    return f"{x1},{y1},{max(x2 - x1, 1)},{max(y2 - y1, 1)},{score},{category},0,0\n"
