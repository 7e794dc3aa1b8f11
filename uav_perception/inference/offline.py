"""A detector over files: pictures, folders of pictures and videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import count
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from uav_perception.files import replacing, write_json
from uav_perception.frames.compressed import encode_jpeg
from uav_perception.frames.video import VideoWriter, is_video, read_video, video_info
from uav_perception.inference.detections import Detections
from uav_perception.inference.detector import Detector
from uav_perception.inference.draw import draw_detections
from uav_perception.inference.errors import ModelError
from uav_perception.provenance import provenance

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def detect_files(detector: Detector, inputs: Sequence[str | Path], out: str | Path, scale: float = 1.0) -> dict:
    """Detect in every input; write an annotated copy of each and one ``detections.json``.

    Args:
        detector: what to run.
        inputs: pictures, videos, or folders whose pictures and videos are taken.
        out: folder to write to.
        scale: enlarges the annotated copies.

    Returns:
        ``pictures``, ``detections`` by class, ``median_ms`` by stage.

    Raises:
        ModelError: an input does not exist, cannot be read as a picture, or would be overwritten; or the results cannot
            be written.
        FrameError: a video cannot be read or written.
    """
    try:
        return _detect_files(detector, inputs, Path(out), scale)
    except OSError as error:
        raise ModelError(f"The results in {out} cannot be written: {error.strerror or error}.") from error


def _detect_files(detector: Detector, inputs: Sequence[str | Path], out: Path, scale: float) -> dict:
    results: list[dict] = []
    milliseconds: list[dict[str, float]] = []
    detector.warm_up()
    for path, target in _targets(_files(inputs), out):
        detect = _detect_video if is_video(path) else _detect_picture
        rows = detect(detector, path, target, scale, milliseconds)
        results.append({"file": str(path), "annotated": target.name, "pictures": rows})
    names = detector.contract.class_names
    counts = Counter(
        item["class_name"] for result in results for row in result["pictures"] for item in row["detections"]
    )
    summary = {
        "pictures": sum(len(result["pictures"]) for result in results),
        "detections": dict(counts.most_common()),
        "median_ms": {stage: float(np.median([row[stage] for row in milliseconds])) for stage in milliseconds[0]},
    }
    record = {"model": detector.contract.name, "backend": detector.backend.description, "class_names": list(names)}
    write_json(out / "detections.json", {**record, **summary, "results": results, "provenance": provenance()})
    return summary


def _files(inputs: Sequence[str | Path]) -> list[Path]:
    found: list[Path] = []
    for path in map(Path, inputs):
        if path.is_dir():
            inside = [p for p in sorted(path.iterdir()) if p.suffix.lower() in PICTURE_SUFFIXES or is_video(p)]
            if not inside:
                raise ModelError(f"The folder {path} holds no pictures ({', '.join(PICTURE_SUFFIXES)}) and no videos.")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise ModelError(f"The input {path} does not exist.")
    return found


def _targets(paths: list[Path], out: Path) -> list[tuple[Path, Path]]:
    """Each input with the name of its annotated copy; inputs of one name get numbers."""
    taken: set[str] = set()
    pairs = []
    for path in paths:
        suffix = ".mp4" if is_video(path) else ".jpg"
        numbers = (f"{path.stem}{'' if number == 1 else f'_{number}'}{suffix}" for number in count(1))
        name = next(name for name in numbers if name not in taken)
        taken.add(name)
        pairs.append((path, out / name))
    inputs = {path.resolve() for path in paths}
    overwritten = [target for _, target in pairs if target.resolve() in inputs]
    if overwritten:
        raise ModelError(
            f"The annotated copy would overwrite the input {overwritten[0]}. Choose another folder for --out."
        )
    return pairs


def _detect_picture(detector: Detector, path: Path, target: Path, scale: float, milliseconds: list) -> list[dict]:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ModelError(f"{path} cannot be read as a picture. Known kinds: {', '.join(PICTURE_SUFFIXES)}, and videos.")
    found = detector.detect(image)
    milliseconds.append(asdict(detector.timings))
    with replacing(target) as temporary:
        temporary.write_bytes(
            encode_jpeg(draw_detections(image, found, detector.contract.class_names, scale=scale), 95)
        )
    return [{"width": image.shape[1], "height": image.shape[0], "detections": list(_rows(detector, found))}]


def _detect_video(detector: Detector, path: Path, target: Path, scale: float, milliseconds: list) -> list[dict]:
    info = video_info(path)
    rows = []
    with replacing(target) as temporary, VideoWriter(temporary, info.fps) as writer:
        for stamp_ns, image in tqdm(read_video(path), total=info.frames, desc=path.name, unit="frame"):
            found = detector.detect(image)
            milliseconds.append(asdict(detector.timings))
            writer.write(draw_detections(image, found, detector.contract.class_names, scale=scale))
            size = {"width": image.shape[1], "height": image.shape[0]}
            rows.append({"stamp_ns": stamp_ns, **size, "detections": list(_rows(detector, found))})
    return rows


def _rows(detector: Detector, found: Detections) -> Iterator[dict]:
    for box, score, class_id in zip(found.boxes, found.scores, found.class_ids, strict=True):
        name = detector.contract.class_names[class_id]
        edges = [round(float(edge), 2) for edge in box]
        yield {"box": edges, "score": round(float(score), 4), "class_id": int(class_id), "class_name": name}
