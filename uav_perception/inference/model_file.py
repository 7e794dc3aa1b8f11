"""Opening an ONNX file with errors that say what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from uav_perception.inference.errors import ModelError

Shape = tuple[int | None, ...]  # None stands for a dimension that is free


def load_model(path: str | Path, allow_external_data: bool = False) -> onnx.ModelProto:
    """Read an ONNX file.

    Weights outside the file stay where they are; only their names are read. They are refused by default, because a path
    inside a model that somebody else made decides which files are opened.

    Args:
        path: the ONNX file.
        allow_external_data: accept a model that keeps weights in other files of its folder.

    Raises:
        ModelError: the file is missing, truncated, no ONNX, or keeps weights in other files.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(
            f"The model file {path} does not exist. Check the path of the parameter or option that names it."
        )
    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise ModelError(
            f"{path} ({path.stat().st_size} bytes) is not a whole ONNX file: {error}. Copy or download it again."
        ) from error
    if not model.ir_version or not model.graph.node:
        raise ModelError(
            f"{path} ({path.stat().st_size} bytes) holds no network: ONNX version {model.ir_version}, "
            f"{len(model.graph.node)} nodes. Copy or export it again."
        )
    outside = [tensor.name for tensor in _tensors(model.graph) if tensor.data_location == onnx.TensorProto.EXTERNAL]
    if outside and not allow_external_data:
        raise ModelError(
            f"{path} keeps {len(outside)} weights in other files (first: {outside[0]!r}), which is refused by default. "
            "Save it as one file with `onnx.save(onnx.load(path), path)`, or allow external data if you trust it."
        )
    return model


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            elif attribute.type == onnx.AttributeProto.GRAPH:
                yield from _tensors(attribute.g)


def input_shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    """Name and shape of every input that is not a weight."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return {value.name: _shape(value) for value in model.graph.input if value.name not in weights}


def output_shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    """Name and shape of every output. An output without a declared shape gives an empty tuple."""
    return {value.name: _shape(value) for value in model.graph.output}


def _shape(value: onnx.ValueInfoProto) -> Shape:
    dimensions = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in dimensions)
