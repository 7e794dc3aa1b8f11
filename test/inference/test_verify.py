"""A right engine passes, a wrong one does not, and the error is what it says."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from uav_perception.inference.backends import make_backend
from uav_perception.inference.backends.tensorrt_build import to_half
from uav_perception.inference.errors import BackendError
from uav_perception.inference.verify import verify


@pytest.fixture
def feeds():
    rng = np.random.default_rng(0)
    return [{"images": rng.standard_normal((1, 3, 32, 64)).astype(np.float32)} for _ in range(3)]


def test_the_same_model_passes_with_no_error(conv_net, feeds):
    result = verify(conv_net, make_backend("onnxruntime", conv_net), feeds)
    assert result.passed
    assert result.relative_error < 1e-6
    assert result.milliseconds > 0


def test_half_precision_passes(conv_net, feeds):
    result = verify(conv_net, make_backend("onnxruntime", to_half(onnx.load(str(conv_net)))), feeds)
    assert result.passed
    assert 1e-7 < result.relative_error < 0.01


def test_other_weights_fail_and_the_error_is_the_root_mean_square(conv_net, feeds):
    model = onnx.load(str(conv_net))
    for weight in model.graph.initializer:
        if weight.name == "w2":
            weight.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weight), "w2"))
    backend = make_backend("onnxruntime", model)
    result = verify(conv_net, backend, feeds)
    expected = []
    for values in feeds:
        right = make_backend("onnxruntime", conv_net).run(values)["output"].astype(float)
        wrong = backend.run(values)["output"]
        expected.append(np.sqrt(((wrong - right) ** 2).mean() / (right**2).mean()))
    assert result.relative_error == pytest.approx(max(expected), rel=1e-5)
    assert not result.passed


def test_other_outputs_are_named(conv_net, save, feeds):
    other = make_backend("onnxruntime", save("other", {"boxes": np.zeros((1, 2), np.float32)}))
    with pytest.raises(BackendError, match=r"has the outputs \['boxes'\], the model \['output'\]"):
        verify(conv_net, other, feeds)
