"""Engines ahead of the flight, for a detector and for the two networks of an action model."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from uav_perception.cli.main import main
from uav_perception.deployment.engine import build_engines, verify_engine
from uav_perception.deployment.errors import DeploymentError
from uav_perception.inference.contract import ModelContract, write_contract


@pytest.fixture(autouse=True)
def _library():
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed (pip install tensorrt-rtx, x86-64 only)")


@pytest.fixture
def action(tmp_path):
    """Two independent parts in one graph: a picture averaged to 3 features, and a linear layer over 2 of them."""
    weight = numpy_helper.from_array(np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32), "w")
    shape = numpy_helper.from_array(np.array([-1, 6], np.int64), "shape")
    nodes = [
        helper.make_node("GlobalAveragePool", ["frames"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Reshape", ["window", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["logits"]),
    ]

    def value(name, dims):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)

    inputs = [value("frames", ("b", 3, 16, 16)), value("window", ("b", 2, 3))]
    outputs = [value("features", ("b", 3)), value("logits", ("b", 4))]
    graph = helper.make_graph(nodes, "action", inputs, outputs, [weight, shape])
    path = tmp_path / "action.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    options = {"segments": 2, "feature_size": 3, "window_seconds": 2.0, "tick_hz": 5.0}
    write_contract(path, ModelContract("action", "a", 16, 16, ("w", "x", "y", "z"), "larmuv", options))
    return path


def test_an_action_model_has_two_engines(action, capsys):
    engines = build_engines(action, "tensorrt_rtx", "fp32")
    assert [engine.path.name.split("-")[0] for engine in engines] == ["features", "logits"]
    assert all(engine.built and engine.path.parent == action.parent / "engines" for engine in engines)
    assert main(["engine", str(action), "--library", "tensorrt_rtx"]) == 0
    assert capsys.readouterr().out.count("up to date") == 2


def test_only_detectors_are_verified(action):
    with pytest.raises(DeploymentError, match="is for task 'action'; only detectors"):
        verify_engine(action, "tensorrt_rtx", "fp32")
