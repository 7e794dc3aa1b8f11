"""ONNX Runtime, and what each engine says when it cannot."""

import sys

import numpy as np
import onnx
import pytest

from uav_perception.inference.backends import BACKENDS, BackendOptions, make_backend
from uav_perception.inference.errors import BackendError, ModelError


def picture(shape=(1, 3, 32, 64)):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_onnx_runtime_computes_the_graph(conv_net):
    """Against torch-free arithmetic: the reference evaluator of the onnx package."""
    from onnx.reference import ReferenceEvaluator

    backend = make_backend("onnxruntime", conv_net)
    assert backend.inputs == {"images": (1, 3, 32, 64)}
    assert backend.outputs == {"output": (1, 5, 128)}
    assert backend.description.startswith("ONNX Runtime ")
    [expected] = ReferenceEvaluator(str(conv_net)).run(None, {"images": picture()})
    np.testing.assert_allclose(backend.run({"images": picture()})["output"], expected, atol=1e-5)


def test_a_model_in_memory_and_every_option_give_the_same(conv_net):
    expected = make_backend("onnxruntime", conv_net).run({"images": picture()})["output"]
    options = BackendOptions(threads=1, allow_spinning=False)
    result = make_backend("onnxruntime", onnx.load(str(conv_net)), options).run({"images": picture()})["output"]
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_inputs_that_do_not_fit_are_named(conv_net):
    backend = make_backend("onnxruntime", conv_net)
    with pytest.raises(BackendError, match=r"could not run the network on images float32 \(1, 3, 9, 9\)"):
        backend.run({"images": picture((1, 3, 9, 9))})


def test_a_graph_that_contradicts_itself_is_refused(conv_net):
    model = onnx.load(str(conv_net))
    model.graph.node[0].input[1] = "nowhere"
    onnx.save(model, str(conv_net))
    with pytest.raises(BackendError, match=r"ONNX Runtime .* refuses .*small.onnx: .*nowhere"):
        make_backend("onnxruntime", conv_net)


def test_external_data_is_read_only_when_it_is_allowed(conv_net):
    expected = make_backend("onnxruntime", conv_net).run({"images": picture()})["output"]
    onnx.save(onnx.load(str(conv_net)), str(conv_net), save_as_external_data=True, location="w.bin", size_threshold=64)
    with pytest.raises(ModelError, match="refused by default"):
        make_backend("onnxruntime", conv_net)
    allowed = make_backend("onnxruntime", conv_net, BackendOptions(allow_external_data=True))
    np.testing.assert_array_equal(allowed.run({"images": picture()})["output"], expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": -1}, "`threads` must be 0 .* not -1"),
        ({"precision": "int8"}, "Unknown precision 'int8'. Known are: fp32, fp16"),
        ({"max_batch": 0}, "`max_batch` must be 1 or more, not 0"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(BackendError, match=message):
        BackendOptions(**options)


def test_an_unknown_engine_and_an_unknown_provider(conv_net):
    with pytest.raises(BackendError, match=r"Unknown backend 'tflite'. Known are: onnxruntime, tensorrt"):
        make_backend("tflite", conv_net)
    with pytest.raises(BackendError, match=r"has no provider NpuExecutionProvider; it has .*CPUExecutionProvider"):
        make_backend("onnxruntime", conv_net, BackendOptions(providers=("NpuExecutionProvider",)))


@pytest.mark.parametrize(
    ("backend", "module"), [("tensorrt", "tensorrt"), ("tensorrt_rtx", "tensorrt_rtx"), ("openvino", "openvino")]
)
def test_an_engine_that_is_not_installed_says_how_to_get_it(monkeypatch, conv_net, backend, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BackendError, match=rf"'{backend}' needs the module '{module}' .*`pip install"):
        make_backend(backend, conv_net)


def test_openvino_agrees(conv_net):
    pytest.importorskip("openvino", reason="openvino is not installed (an optional engine)")
    expected = make_backend("onnxruntime", conv_net).run({"images": picture()})["output"]
    result = make_backend("openvino", conv_net, BackendOptions(threads=1)).run({"images": picture()})["output"]
    np.testing.assert_allclose(result, expected, atol=1e-4)
    assert "openvino" in BACKENDS
