"""Cutting large images into overlapping tiles, so that small objects keep their pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from uav_perception.datasets.detection_set import AnnotatedImage, DetectionSet, ProblemLog, decode_image
from uav_perception.datasets.detection_transforms import MIN_VISIBLE
from uav_perception.datasets.errors import DatasetError
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.files import replacing


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles start along one axis [px]: evenly spread, covering everything, overlapping by ``overlap`` or more.

    An axis not longer than a tile has one tile, at 0.

    Raises:
        DatasetError: the overlap is not smaller than the tile.
    """
    if not 0 <= overlap < tile:
        raise DatasetError(f"Tiles of {tile} px cannot overlap by {overlap} px; the overlap must be smaller.")
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def tile_truth(truth: ImageTruth, left: int, top: int, width: int, height: int) -> ImageTruth:
    """What is in one tile.

    Boxes are clipped; of a box that shows less than ``MIN_VISIBLE`` of its area an ignored object is left, since
    something of it is still to be seen.
    """
    window = np.array([left, top, left + width, top + height], np.float64)
    boxes, visible = _clip(truth.boxes, window)
    inside = visible > 0
    regions, seen = _clip(truth.ignore_regions, window)
    shift = np.array([left, top, left, top])
    return ImageTruth(
        (boxes - shift)[inside],
        truth.class_ids[inside],
        (truth.ignored | (visible < MIN_VISIBLE))[inside],
        (regions - shift)[seen > 0],
        width=width,
        height=height,
        track_ids=truth.track_ids[inside],
    )


def _clip(boxes: np.ndarray, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    clipped = np.clip(boxes, np.tile(window[:2], 2), np.tile(window[2:], 2))
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return clipped, np.prod(clipped[:, 2:] - clipped[:, :2], axis=1) / np.maximum(area, 1e-9)


def tile_dataset(dataset: DetectionSet, output: str | Path, tile: int = 800, overlap: int = 160) -> DetectionSet:
    """Cut every image of a data set into tiles and write them as PNG files.

    Args:
        dataset: the images; those that cannot be decoded are skipped and named.
        output: folder for the tiles.
        tile: side of a tile [px]; images smaller than a tile give one smaller tile.
        overlap: least overlap of neighbours [px].

    Returns:
        The tiles as a data set, named ``<stem>_<left>_<top>.png``.
    """
    output, log, images = Path(output), ProblemLog(list(dataset.problems)), []
    for item in tqdm(dataset.images, desc="tiles", unit="image"):
        try:
            image = decode_image(item)
        except DatasetError as error:
            log.skip(item.name, str(error))
            continue
        rows, columns = image.shape[:2]
        for top in tile_starts(rows, tile, overlap):
            for left in tile_starts(columns, tile, overlap):
                part = image[top : top + tile, left : left + tile]
                name = f"{Path(item.name).with_suffix('').as_posix().replace('/', '_')}_{left}_{top}.png"
                with replacing(output / name) as temporary:
                    cv2.imwrite(str(temporary), part)
                truth = tile_truth(item.truth, left, top, part.shape[1], part.shape[0])
                images.append(AnnotatedImage(output / name, name, truth))
    return DetectionSet(tuple(images), dataset.class_names, log.report(output))
