"""Small ONNX files, made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, settings
from onnx import TensorProto, helper, numpy_helper

# A busy machine is no failure of a property.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

SHARED = Path(__file__).parents[2].parent / "shared" / "media"


@pytest.fixture
def media() -> Path:
    """The folder of real pictures and models."""
    if not SHARED.is_dir():
        pytest.skip("../shared/media is not here")
    return SHARED


def answering_model(
    outputs: dict[str, np.ndarray],
    inputs: dict[str, tuple] | None = None,
    metadata: dict[str, str] | None = None,
    free: dict[str, tuple] | None = None,
) -> onnx.ModelProto:
    """A network that gives the same outputs whatever it is shown: output = constant + 0 * mean(first input).

    Args:
        outputs: what to give.
        inputs: name and shape of each; a text or None is a free dimension.
        metadata: the file's metadata.
        free: shapes to declare for outputs instead of the true ones.
    """
    inputs = inputs or {"images": (1, 3, 32, 64)}
    kinds = {name: TensorProto.INT64 if name == "orig_target_sizes" else TensorProto.FLOAT for name in inputs}
    first = next(iter(inputs))
    nodes = [
        helper.make_node("ReduceMean", [first], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    weights = [numpy_helper.from_array(np.zeros((), np.float32), "zero")]
    declared = []
    for name, value in outputs.items():
        weights.append(numpy_helper.from_array(value, f"{name}_value"))
        if value.dtype == np.float32:
            nodes.append(helper.make_node("Add", [f"{name}_value", "nothing"], [name]))
        else:
            nodes.append(helper.make_node("Identity", [f"{name}_value"], [name]))
        shape = (free or {}).get(name, value.shape)
        declared.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), shape))
    graph = helper.make_graph(
        nodes,
        "answers",
        [helper.make_tensor_value_info(name, kinds[name], shape) for name, shape in inputs.items()],
        declared,
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    return model


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write an answering model: ``save("name", outputs, ...)`` gives its path."""

    def write(name: str, *args: object, **kwargs: object) -> Path:
        path = tmp_path / f"{name}.onnx"
        onnx.save(answering_model(*args, **kwargs), str(path))
        return path

    return write


@pytest.fixture
def conv_net(tmp_path: Path) -> Path:
    """A small convolutional network with one picture input (1, 3, 32, 64) and one output (1, 5, 128)."""
    rng = np.random.default_rng(0)
    shapes = [(8, 3, 3, 3), (8, 8, 3, 3), (5, 8, 1, 1)]
    weights, nodes, value = [], [], "images"
    for index, shape in enumerate(shapes):
        scale = (2 / np.prod(shape[1:])) ** 0.5
        weights.append(numpy_helper.from_array((scale * rng.standard_normal(shape)).astype(np.float32), f"w{index}"))
        weights.append(numpy_helper.from_array((0.1 * rng.standard_normal(shape[0])).astype(np.float32), f"b{index}"))
        pad = shape[2] // 2
        stride = 2 if index < 2 else 1
        nodes.append(
            helper.make_node(
                "Conv", [value, f"w{index}", f"b{index}"], [f"c{index}"], name=f"conv{index}",
                pads=[pad] * 4, strides=[stride, stride], kernel_shape=shape[2:],
            )
        )  # fmt: skip
        value = f"c{index}"
        if index < 2:
            nodes.append(helper.make_node("Relu", [value], [f"r{index}"], name=f"relu{index}"))
            value = f"r{index}"
    weights.append(numpy_helper.from_array(np.array([1, 5, 128], np.int64), "shape"))
    nodes.append(helper.make_node("Sigmoid", [value], ["probabilities"], name="sigmoid"))
    nodes.append(helper.make_node("Reshape", ["probabilities", "shape"], ["output"], name="reshape"))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, 32, 64))],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, (1, 5, 128))],
        weights,
    )
    path = tmp_path / "small.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
