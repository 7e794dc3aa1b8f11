"""A small action model with LARMUV's structure: convolution and pooling, then self-attention over K positions."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from uav_perception.inference.contract import ModelContract, write_contract

SIZE, SEGMENTS, FEATURES = 32, 3, 16
CLASSES = ("walk", "run", "clap", "push")
FLOAT = TensorProto.FLOAT


def weights(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {
        "kernel": (FEATURES, 3, 5, 5),
        "positions": (1, SEGMENTS, FEATURES),
        "query": (FEATURES, FEATURES),
        "key": (FEATURES, FEATURES),
        "value": (FEATURES, FEATURES),
        "classifier": (FEATURES, len(CLASSES)),
    }
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def attention_nodes() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Add", ["window", "positions"], ["placed"]),
        helper.make_node("MatMul", ["placed", "query"], ["q"]),
        helper.make_node("MatMul", ["placed", "key"], ["k"]),
        helper.make_node("MatMul", ["placed", "value"], ["v"]),
        helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "kt"], ["affinity"]),
        helper.make_node("Softmax", ["affinity"], ["attention"], axis=-1),
        helper.make_node("MatMul", ["attention", "v"], ["mixed"]),
        helper.make_node("Add", ["placed", "mixed"], ["encoded"]),
        helper.make_node("ReduceMean", ["encoded", "over_segments"], ["pooled"], keepdims=0),
        helper.make_node("MatMul", ["pooled", "classifier"], ["logits"]),
    ]


def backbone_nodes() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Conv", ["frames", "kernel"], ["maps"], strides=[2, 2]),
        helper.make_node("Relu", ["maps"], ["active"]),
        helper.make_node("GlobalAveragePool", ["active"], ["average"]),
        helper.make_node("Flatten", ["average"], ["features"]),
    ]


def write_model(path, nodes, inputs, outputs, seed: int, **changes) -> str:
    tensors = [numpy_helper.from_array(array, name) for name, array in weights(seed).items()]
    tensors.append(numpy_helper.from_array(np.array([1], np.int64), "over_segments"))
    tensors.append(numpy_helper.from_array(np.array([-1, 3, SIZE, SIZE], np.int64), "as_frames"))
    tensors.append(numpy_helper.from_array(np.array([-1, SEGMENTS, FEATURES], np.int64), "as_window"))
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "action",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs.items()],
        [tensor for tensor in tensors if tensor.name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    fields = {
        "task": "action",
        "name": "small",
        "input_width": SIZE,
        "input_height": SIZE,
        "class_names": CLASSES,
        "decoder": "larmuv",
        "decoder_options": {
            "segments": SEGMENTS, "feature_size": FEATURES, "window_seconds": 1.5, "tick_hz": 10.0,
        },
        "mean": (123.675, 116.28, 103.53),
        "std": (58.395, 57.12, 57.375),
        "resize": "short_side_crop",
        "resize_short_side": 36,
    }  # fmt: skip
    write_contract(path, ModelContract(**{**fields, **changes}))
    return str(path)


@pytest.fixture
def model_path(tmp_path) -> str:
    return write_model(
        tmp_path / "small.onnx",
        backbone_nodes() + attention_nodes(),
        {"frames": ["batch", 3, SIZE, SIZE], "window": ["windows", SEGMENTS, FEATURES]},
        {"features": ["batch", FEATURES], "logits": ["windows", len(CLASSES)]},
        seed=1,
    )


@pytest.fixture
def clip_path(tmp_path) -> str:
    """The same weights as one network over whole clips."""
    nodes = [
        helper.make_node("Reshape", ["clip", "as_frames"], ["frames"]),
        *backbone_nodes(),
        helper.make_node("Reshape", ["features", "as_window"], ["window"]),
        *attention_nodes(),
    ]
    return write_model(
        tmp_path / "clip.onnx",
        nodes,
        {"clip": ["batch", SEGMENTS, 3, SIZE, SIZE]},
        {"logits": ["batch", len(CLASSES)]},
        seed=1,
    )


@pytest.fixture
def entangled_path(tmp_path) -> str:
    """A graph whose logits read the frames as well, so that it cannot be cut."""
    nodes = backbone_nodes() + attention_nodes()
    nodes[-1] = helper.make_node("MatMul", ["shifted", "classifier"], ["logits"])
    nodes.insert(-1, helper.make_node("Add", ["pooled", "features"], ["shifted"]))
    return write_model(
        tmp_path / "entangled.onnx",
        nodes,
        {"frames": ["batch", 3, SIZE, SIZE], "window": ["batch", SEGMENTS, FEATURES]},
        {"features": ["batch", FEATURES], "logits": ["batch", len(CLASSES)]},
        seed=1,
    )


@pytest.fixture
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(40)]
