"""INT8: close to float32 in ONNX Runtime, and the TensorRT form really builds."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from uav_perception.cli.main import main
from uav_perception.deployment.errors import DeploymentError
from uav_perception.deployment.quantise import output_nodes, quantise, read_pictures
from uav_perception.inference.backends import BackendOptions, make_backend
from uav_perception.inference.contract import ModelContract, read_contract, write_contract
from uav_perception.inference.preprocess import Preprocessor
from uav_perception.inference.verify import verify


def convolutional(path: Path, opset: int = 13) -> Path:
    """Three convolutions, a sigmoid and a reshape; the batch is free."""
    rng = np.random.default_rng(0)
    shapes, nodes, weights, value = [(16, 3, 3, 3), (16, 16, 3, 3), (6, 16, 1, 1)], [], [], "images"
    for index, shape in enumerate(shapes):
        scale = (2 / np.prod(shape[1:])) ** 0.5
        weights.append(numpy_helper.from_array((scale * rng.standard_normal(shape)).astype(np.float32), f"w{index}"))
        weights.append(numpy_helper.from_array(rng.standard_normal(shape[0]).astype(np.float32) / 10, f"b{index}"))
        settings = {"pads": [shape[2] // 2] * 4, "strides": [2, 2] if index < 2 else [1, 1]}
        nodes.append(helper.make_node("Conv", [value, f"w{index}", f"b{index}"], [f"c{index}"], **settings))
        value = f"c{index}"
        if index < 2:
            nodes.append(helper.make_node("Relu", [value], [f"r{index}"]))
            value = f"r{index}"
    weights.append(numpy_helper.from_array(np.array([1, 6, 128], np.int64), "shape"))
    nodes += [helper.make_node("Sigmoid", [value], ["s"]), helper.make_node("Reshape", ["s", "shape"], ["output"])]
    pictures = helper.make_tensor_value_info("images", TensorProto.FLOAT, ("batch", 3, 32, 64))
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, (1, 6, 128))
    graph = helper.make_graph(nodes, "small", [pictures], [output], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, str(path))
    contract = ModelContract("detection", "small", 64, 32, ("a", "b"), "yolo", mean=(120.0,) * 3, std=(60.0,) * 3)
    write_contract(path, contract)
    return path


@pytest.fixture
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    coarse = [rng.integers(0, 256, (8, 16, 3), np.uint8) for _ in range(12)]
    return [cv2.resize(image, (128, 64), interpolation=cv2.INTER_CUBIC) for image in coarse]


def feeds(pictures, contract):
    preprocess = Preprocessor(contract)
    return [{"images": preprocess(picture)[0].copy()} for picture in pictures]


@pytest.mark.parametrize("form", ["onnxruntime", "tensorrt"])
@pytest.mark.parametrize("opset", [11, 13])
def test_int8_stays_close_to_float32(tmp_path, pictures, form, opset):
    model, out = convolutional(tmp_path / "m.onnx", opset), tmp_path / "q.onnx"
    contract = quantise(model, out, pictures[:8], form)
    assert read_contract(out) == contract
    assert contract.provenance["quantised"]["form"] == form
    assert contract.provenance["quantised"]["calibration_pictures"] == 8
    unseen = feeds(pictures[8:], contract)
    result = verify(model, make_backend("onnxruntime", out, BackendOptions(threads=1)), unseen)
    assert 0 < result.relative_error < 0.02


def test_what_each_engine_wants_is_in_the_file(tmp_path, pictures):
    model = convolutional(tmp_path / "m.onnx")
    for form, kinds, quantised_bias in [
        ("onnxruntime", {TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32}, True),
        ("tensorrt", {TensorProto.INT8}, False),
    ]:
        out = tmp_path / f"{form}.onnx"
        quantise(model, out, pictures, form)
        graph = onnx.load(str(out)).graph
        assert {node.op_type for node in graph.node} >= {"QuantizeLinear", "DequantizeLinear", "Conv"}
        zeros = [weight for weight in graph.initializer if weight.name.endswith("zero_point")]
        assert {weight.data_type for weight in zeros} == kinds
        assert any(
            "bias_quantized" in weight.name or weight.name == "b0_quantized" for weight in graph.initializer
        ) == (quantised_bias)
        if form == "tensorrt":
            assert all(not numpy_helper.to_array(weight).any() for weight in zeros)


def test_what_lies_behind_the_last_convolution_stays_float(tmp_path, pictures):
    model, out = convolutional(tmp_path / "m.onnx"), tmp_path / "q.onnx"
    graph = onnx.load(str(model))
    for index, node in enumerate(graph.graph.node):
        node.name = f"n{index}"
    assert sorted(output_nodes(graph)) == ["n5", "n6"]
    quantise(model, out, pictures)
    nodes = onnx.load(str(out)).graph.node
    [sigmoid] = [node for node in nodes if node.op_type == "Sigmoid"]
    assert [node.op_type for node in nodes if sigmoid.output[0] in node.input] == ["Reshape"]
    [reshape] = [node for node in nodes if node.op_type == "Reshape"]
    assert reshape.output[0] == "output"


def test_tensorrt_builds_its_form(tmp_path, pictures):
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed (pip install tensorrt-rtx, x86-64 only)")
    from uav_perception.inference.backends.tensorrt import prepare_engine
    from uav_perception.inference.errors import BackendError

    model, out = convolutional(tmp_path / "m.onnx"), tmp_path / "q.onnx"
    quantise(model, out, pictures, "tensorrt")
    assert prepare_engine(out, BackendOptions(), "tensorrt_rtx", progress=False).built
    with pytest.raises(BackendError, match=r"quantised \(INT8\) model cannot be converted to FP16"):
        prepare_engine(out, BackendOptions(precision="fp16"), "tensorrt_rtx", progress=False)


def test_nodes_can_be_left_out(tmp_path, pictures):
    model, out = convolutional(tmp_path / "m.onnx"), tmp_path / "q.onnx"
    graph = onnx.load(str(model))
    for index, node in enumerate(graph.graph.node):
        node.name = f"n{index}"
    onnx.save(graph, str(model))
    quantise(model, out, pictures, "tensorrt", exclude=["n0"])
    weights = {weight.name: weight.data_type for weight in onnx.load(str(out)).graph.initializer}
    assert weights["w0"] == TensorProto.FLOAT
    assert weights["w1_quantized"] == TensorProto.INT8
    with pytest.raises(DeploymentError, match="has no nodes n99 to exclude"):
        quantise(model, out, pictures, exclude=["n99"])


def test_wrong_input_is_named(tmp_path, pictures):
    model, out = convolutional(tmp_path / "m.onnx"), tmp_path / "q.onnx"
    with pytest.raises(DeploymentError, match=r"Unknown form 'int4'. Known are: onnxruntime, tensorrt"):
        quantise(model, out, pictures, "int4")
    with pytest.raises(DeploymentError, match="needs pictures to calibrate on"):
        quantise(model, out, [])
    quantise(model, out, pictures)
    with pytest.raises(DeploymentError, match=r"q\.onnx is quantised already"):
        quantise(out, tmp_path / "again.onnx", pictures)
    with pytest.raises(DeploymentError, match="holds no pictures"):
        read_pictures(tmp_path, 3)
    (tmp_path / "broken.png").write_bytes(b"nothing")
    with pytest.raises(DeploymentError, match=r"broken\.png cannot be read"):
        read_pictures(tmp_path, 3)
    assert not (tmp_path / "again.onnx").exists()


def test_the_command(tmp_path, pictures, capsys):
    folder = tmp_path / "calibration"
    folder.mkdir()
    for index, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"{index:02}.png"), picture)
    np.testing.assert_array_equal(read_pictures(folder, 3)[0], pictures[0])
    assert [int(p.mean()) for p in read_pictures(folder, 3)] == [int(pictures[i].mean()) for i in (0, 6, 11)]
    model, out = convolutional(tmp_path / "m.onnx"), tmp_path / "q.onnx"
    assert main(["quantise", str(model), str(out), "--pictures", str(folder), "--count", "6"]) == 0
    said = capsys.readouterr().out
    assert "calibrated on 6 pictures" in said
    assert "relative error of the outputs 0.0" in said
