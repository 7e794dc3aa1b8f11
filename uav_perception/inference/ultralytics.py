"""The metadata that Ultralytics writes into its ONNX exports, as fields of a contract.

Keys (values are Python literals as text): ``names`` {id: name}, ``imgsz`` [height, width], ``task``, ``stride``,
``description``, ``head``, ``args`` (export options, among them ``nms``) and ``end2end``. Older exports lack the last
ones.
"""

from __future__ import annotations

import ast
from pathlib import Path

from uav_perception.inference.errors import ModelError
from uav_perception.inference.model_file import Shape


def is_ultralytics(metadata: dict[str, str]) -> bool:
    """Whether an ONNX file's metadata looks like that of an Ultralytics export."""
    return "names" in metadata and ("imgsz" in metadata or metadata.get("author") == "Ultralytics")


def ultralytics_fields(
    path: Path, metadata: dict[str, str], inputs: dict[str, Shape], outputs: dict[str, Shape]
) -> dict[str, object]:
    """The contract's fields that follow from an Ultralytics export.

    Raises:
        ModelError: it is no detector, or its metadata cannot be read or fits no known output layout.
    """
    task = metadata.get("task", "detect")
    if task != "detect":
        raise ModelError(f"{path} is an Ultralytics model for task {task!r}; only 'detect' can be run here.")
    names = _class_names(path, metadata["names"])
    height, width = _input_size(path, metadata, inputs)
    decoder = _decoder(path, metadata, outputs, len(names))
    return {
        "task": "detection",
        "name": path.stem,
        "input_width": width,
        "input_height": height,
        "class_names": names,
        "decoder": decoder,
        "color": "rgb",
        "mean": (0.0, 0.0, 0.0),
        "std": (255.0, 255.0, 255.0),
        # Ultralytics feeds its RT-DETR a stretched picture, everything else a centred letterbox.
        "resize": "stretch" if decoder == "rtdetr" else "letterbox",
        "provenance": {key: metadata[key] for key in ("description", "version", "date") if key in metadata},
    }


def _literal(path: Path, key: str, text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise ModelError(f"The Ultralytics metadata {key!r} of {path} cannot be read: {text[:80]!r}.") from error


def _class_names(path: Path, text: str) -> list[str]:
    value = _literal(path, "names", text)
    if isinstance(value, dict):
        if sorted(value) != list(range(len(value))):
            raise ModelError(f"The Ultralytics class ids of {path} must run from 0 without a gap, not {sorted(value)}.")
        value = [value[index] for index in range(len(value))]
    if not isinstance(value, list):
        raise ModelError(f"The Ultralytics metadata 'names' of {path} must be a dict or list, not {text[:80]!r}.")
    return [str(name) for name in value]


def _input_size(path: Path, metadata: dict[str, str], inputs: dict[str, Shape]) -> tuple[int, int]:
    if "imgsz" in metadata:
        value = _literal(path, "imgsz", metadata["imgsz"])
        sides = [value, value] if isinstance(value, int) else value
        if isinstance(sides, (list, tuple)) and len(sides) == 2 and all(isinstance(side, int) for side in sides):
            return sides[0], sides[1]
        raise ModelError(
            f"The Ultralytics metadata 'imgsz' of {path} must be [height, width], not {metadata['imgsz']!r}."
        )
    shape = next(iter(inputs.values()), ())
    if len(shape) == 4 and shape[2] and shape[3]:
        return shape[2], shape[3]
    raise ModelError(
        f"{path} says its input size neither in its metadata nor in its graph ({shape}). Write a YAML contract."
    )


def _decoder(path: Path, metadata: dict[str, str], outputs: dict[str, Shape], classes: int) -> str:
    """Tell the layouts apart: raw (1, 4+C, N), end-to-end (1, N, 6), RT-DETR (1, N, 4+C)."""
    shape = next(iter(outputs.values()), ())
    if len(shape) != 3:
        raise ModelError(
            f"The first output of {path} has shape {shape}; a detector of Ultralytics gives three dimensions."
        )
    arguments = _literal(path, "args", metadata.get("args", "{}"))
    nms_inside = isinstance(arguments, dict) and bool(arguments.get("nms"))
    is_rtdetr = "rtdetr" in (metadata.get("head", "") + metadata.get("description", "")).lower().replace("-", "")
    _, rows, columns = shape
    if is_rtdetr and columns == 4 + classes:
        return "rtdetr"
    if (metadata.get("end2end", "False") == "True" or nms_inside) and columns == 6:
        return "yolo_end_to_end"
    if rows == 4 + classes:
        return "yolo"
    if columns == 6:
        return "yolo_end_to_end"
    if columns == 4 + classes:
        return "rtdetr"
    raise ModelError(
        f"The output of {path} has shape {shape}, but its metadata names {classes} classes: expected "
        f"(1, {4 + classes}, N), (1, N, 6) or (1, N, {4 + classes}). Export it again, or write a YAML contract."
    )
