"""Models small enough to be made in a test, with outputs that can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from uav_perception.inference.contract import ModelContract, write_contract

SIZE = 64


def _save(graph: onnx.GraphProto, path: Path, contract: ModelContract) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    write_contract(path, contract)
    return path


def _constant(name: str, value: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(value, name)


def blob_detector(path: Path, work: int = 0) -> Path:
    """A detector that boxes the bright part of an image, score 0.9; score 0 when there is none.

    Args:
        path: the ONNX file to write.
        work: side of a matrix product that only costs time (1500 is about 0.2 s on a slow core).
    """
    edge = np.arange(SIZE, dtype=np.float32)
    far = np.float32(1e6)
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["grey"], axes=[0, 1], keepdims=0),
        helper.make_node("Greater", ["grey", "half"], ["bright_flag"]),
        helper.make_node("Cast", ["bright_flag"], ["bright"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["bright"], ["any"], keepdims=0),
    ]
    for axis, name in ((0, "x"), (1, "y")):
        nodes += [
            helper.make_node("ReduceMax", ["bright"], [f"{name}_on"], axes=[axis], keepdims=0),
            # The last bright column is the largest of index x flag, the first the smallest of index + far x (1 - flag).
            helper.make_node("Mul", [f"{name}_on", "edge"], [f"{name}_index"]),
            helper.make_node("ReduceMax", [f"{name}_index"], [f"{name}_last"], keepdims=0),
            helper.make_node("Add", [f"{name}_last", "one"], [f"{name}_max"]),
            helper.make_node("Sub", ["one", f"{name}_on"], [f"{name}_off"]),
            helper.make_node("Mul", [f"{name}_off", "far"], [f"{name}_pushed"]),
            helper.make_node("Add", [f"{name}_pushed", "edge"], [f"{name}_candidates"]),
            helper.make_node("ReduceMin", [f"{name}_candidates"], [f"{name}_min"], keepdims=0),
        ]
    nodes.append(helper.make_node("Mul", ["any", "sure"], ["score"]))
    score = "score"
    if work:
        nodes += [
            helper.make_node("RandomNormal", [], ["left"], shape=[work, work], seed=1.0),
            helper.make_node("Add", ["left", "any"], ["right"]),
            helper.make_node("MatMul", ["left", "right"], ["product"]),
            helper.make_node("ReduceMean", ["product"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
            helper.make_node("Add", ["score", "nothing"], ["late_score"]),
        ]
        score = "late_score"
    parts = ["x_min", "y_min", "x_max", "y_max", score, "zero"]
    nodes += [helper.make_node("Reshape", [part, "scalar"], [f"{part}_1"]) for part in parts]
    nodes += [
        helper.make_node("Concat", [f"{part}_1" for part in parts], ["row"], axis=0),
        helper.make_node("Reshape", ["row", "row_shape"], ["output0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "blobs",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 1, 6])],
        [
            _constant("half", np.float32(0.5)),
            _constant("one", np.float32(1)),
            _constant("zero", np.float32(0)),
            _constant("sure", np.float32(0.9)),
            _constant("far", far),
            _constant("edge", edge),
            _constant("scalar", np.array([1], np.int64)),
            _constant("row_shape", np.array([1, 1, 6], np.int64)),
        ],
    )
    contract = ModelContract(
        task="detection",
        name="blobs",
        input_width=SIZE,
        input_height=SIZE,
        class_names=("blob",),
        decoder="yolo_end_to_end",
        std=(255.0, 255.0, 255.0),
        resize="stretch",
    )
    return _save(graph, path, contract)


def brightness_recogniser(path: Path) -> Path:
    """An action model that calls a window "dark" or "bright" by the mean of its images."""
    nodes = [
        helper.make_node("ReduceMean", ["frames"], ["features_4d"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Reshape", ["features_4d", "column"], ["features"]),
        helper.make_node("ReduceMean", ["window"], ["level"], axes=[1], keepdims=0),
        helper.make_node("Sub", ["level", "half"], ["side"]),
        helper.make_node("MatMul", ["side", "weights"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "brightness",
        [
            helper.make_tensor_value_info("frames", TensorProto.FLOAT, ["B", 3, SIZE, SIZE]),
            helper.make_tensor_value_info("window", TensorProto.FLOAT, ["B", 3, 1]),
        ],
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["B", 1]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", 2]),
        ],
        [
            _constant("column", np.array([-1, 1], np.int64)),
            _constant("half", np.float32(0.5)),
            _constant("weights", np.array([[-20.0, 20.0]], np.float32)),
        ],
    )
    contract = ModelContract(
        task="action",
        name="brightness",
        input_width=SIZE,
        input_height=SIZE,
        class_names=("dark", "bright"),
        decoder="larmuv",
        decoder_options={"segments": 3, "feature_size": 1, "window_seconds": 0.6, "tick_hz": 10.0},
        std=(255.0, 255.0, 255.0),
        resize="stretch",
    )
    return _save(graph, path, contract)
