"""The worst misses, cut out of their images with what was found and what is really there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from tqdm import tqdm

from uav_perception.evaluation.confusion import Miss, misses
from uav_perception.evaluation.record import FlightRecord, ImageRecord
from uav_perception.evaluation.recordings import Recording
from uav_perception.evaluation.settings import Settings
from uav_perception.frames.errors import FrameError

KINDS = ("missed", "confused", "false")
PER_IMAGE = 1
"""Misses of one kind shown from one image: neighbouring images often show the same one."""

_SPACING = 5
_SIDE = 320
_CONTEXT = 3.0
_LEAST_CONTEXT_PX = 96
_TRUE, _FOUND, _OTHER = (96, 220, 96), (60, 90, 250), (210, 210, 210)  # BGR


@dataclass(frozen=True)
class Picture:
    """A miss to look at.

    Attributes:
        flight: name of the recording.
        index: of the image in it.
        stamp_s: time after the first image [s].
        kind: "missed", "confused" or "false".
        text: what happened, in words.
        jpeg: the cut-out.
    """

    flight: str
    index: int
    stamp_s: float
    kind: str
    text: str
    jpeg: bytes


def worst_misses(record: FlightRecord, score: float, count: int) -> list[Miss]:
    """The worst misses of a recording, kinds in turn, spread over its images."""
    by_kind: dict[str, list[Miss]] = {kind: [] for kind in KINDS}
    for place, image in enumerate(record.images):
        if image.truth is not None:
            for miss in misses(place, image.truth, image.detections, score):
                by_kind[miss.kind].append(miss)
    return [miss for kind in KINDS for miss in _spread(by_kind[kind], -(-count // len(KINDS)))]


def _spread(found: list[Miss], count: int) -> list[Miss]:
    chosen: list[Miss] = []
    for miss in sorted(found, key=lambda m: (-m.weight, m.frame, m.box)):
        near = sum(abs(miss.frame - other.frame) < _SPACING for other in chosen)
        if near < PER_IMAGE:
            chosen.append(miss)
        if len(chosen) == count:
            break
    return chosen


def pictures_of_misses(
    done: Sequence[tuple[Recording, FlightRecord]],
    settings: Settings,
    class_names: Sequence[str],
    score: float,
    count: int,
) -> list[Picture]:
    """Read the images of the worst misses again and cut these out.

    Args:
        done: recordings with their records.
        settings: of the run.
        class_names: of the detector.
        score: the operating score.
        count: how many at most.

    Returns:
        The pictures by kind, the worst first.
    """
    chosen = [(w, recording, record) for recording, record in done for w in worst_misses(record, score, count)]
    kept: list[tuple[Miss, Recording, FlightRecord]] = []
    for kind in KINDS:
        of_kind = sorted((c for c in chosen if c[0].kind == kind), key=lambda c: -c[0].weight)
        kept += of_kind[: -(-count // len(KINDS))]
    kept = kept[:count]
    pictures: dict[int, Picture] = {}
    for recording, record in done:
        wanted: dict[int, list[tuple[int, Miss]]] = {}
        for place, (miss, own, _) in enumerate(kept):
            if own == recording:
                wanted.setdefault(record.images[miss.frame].index, []).append((place, miss))
        pictures.update(_cut_out(recording, record, wanted, settings, class_names, score))
    return [pictures[place] for place in sorted(pictures)]


def _cut_out(
    recording: Recording,
    record: FlightRecord,
    wanted: dict[int, list[tuple[int, Miss]]],
    settings: Settings,
    class_names: Sequence[str],
    score: float,
) -> dict[int, Picture]:
    found: dict[int, Picture] = {}
    if not wanted:
        return found
    source, _ = recording.open(settings)
    last = max(wanted)
    for image in tqdm(source.images(), f"{record.name}, worst misses", last + 1, unit="image", disable=None):
        for place, miss in wanted.get(image.index, ()):
            judged = record.images[miss.frame]
            after = (judged.stamp_ns - record.images[0].stamp_ns) / 1e9
            try:
                pixels = image.decode().image
            except FrameError:
                continue  # it was readable a moment ago; the numbers stand, only this picture is lost
            jpeg = cut_out(pixels, judged, miss, score)
            text = _in_words(miss, class_names)
            found[place] = Picture(record.name, image.index, after, miss.kind, text, jpeg)
        if image.index >= last:
            break
    return found


def _in_words(miss: Miss, names: Sequence[str]) -> str:
    if miss.kind == "missed":
        width, height = miss.box[2] - miss.box[0], miss.box[3] - miss.box[1]
        return f"{names[miss.true_class]} not found, {width:.0f}x{height:.0f} px"
    if miss.kind == "false":
        return f"nothing taken for a {names[miss.found_class]}, score {miss.weight:.2f}"
    return f"{names[miss.true_class]} taken for a {names[miss.found_class]}, score {miss.weight:.2f}"


def cut_out(pixels: np.ndarray, image: ImageRecord, miss: Miss, score: float) -> bytes:
    """A square around the miss as JPEG: truth green, detections red, the miss itself with a thick line."""
    left, top, side = _square(miss.box, pixels.shape[1], pixels.shape[0])
    part = np.ascontiguousarray(pixels[top : top + side, left : left + side])
    zoom = _SIDE / max(part.shape[:2])
    part = cv2.resize(part, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC if zoom > 1 else cv2.INTER_AREA)

    def outline(box: Sequence[float], color: tuple[int, int, int], thickness: int) -> None:
        corners = (np.asarray(box) - [left, top, left, top]) * zoom
        x_min, y_min, x_max, y_max = np.rint(corners).astype(int).tolist()
        cv2.rectangle(part, (x_min, y_min), (x_max, y_max), (20, 20, 20), thickness + 2)
        cv2.rectangle(part, (x_min, y_min), (x_max, y_max), color, thickness)

    for box, ignored in zip(image.truth.boxes, image.truth.ignored, strict=True):
        outline(box, _OTHER if ignored else _TRUE, 1)
    for box in image.detections.boxes[image.detections.scores >= score]:
        outline(box, _FOUND, 1)
    outline(miss.box, _TRUE if miss.kind == "missed" else _FOUND, 3)
    return cv2.imencode(".jpg", part, [cv2.IMWRITE_JPEG_QUALITY, 82])[1].tobytes()


def _square(box: Sequence[float], width: int, height: int) -> tuple[int, int, int]:
    wide, high = box[2] - box[0], box[3] - box[1]
    side = int(min(max(_CONTEXT * max(wide, high), _LEAST_CONTEXT_PX), width, height))
    left = int(np.clip((box[0] + box[2] - side) / 2, 0, width - side))
    top = int(np.clip((box[1] + box[3] - side) / 2, 0, height - side))
    return left, top, side
