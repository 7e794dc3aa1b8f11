"""The real parser and builder of TensorRT for RTX, which need no GPU; the cache; and what happens without a GPU."""

import json
import stat
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from uav_perception.cli.main import main
from uav_perception.inference.backends import BackendOptions, make_backend
from uav_perception.inference.backends.cuda import describe_device
from uav_perception.inference.backends.tensorrt import TensorRtBackend, load_engine, prepare_engine
from uav_perception.inference.backends.tensorrt_build import load_library, make_logger, to_half
from uav_perception.inference.backends.tensorrt_cache import cache_directory, cached_engine, fingerprint, stale_reason
from uav_perception.inference.contract import ModelContract, write_contract
from uav_perception.inference.errors import BackendError

RTX = "tensorrt_rtx"
DEVICE = {"name": "Orin", "compute_capability": "8.7", "driver": "12060"}


@pytest.fixture
def trt():
    pytest.importorskip(RTX, reason="tensorrt-rtx is not installed (pip install tensorrt-rtx, x86-64 only)")
    return load_library(RTX)


def prepare(model, **options):
    return prepare_engine(model, BackendOptions(**options), RTX, progress=False)


def test_an_engine_is_built_kept_and_found_again(trt, conv_net, caplog):
    first = prepare(conv_net)
    assert first.built
    assert first.path == conv_net.parent / "engines" / "small.tensorrt_rtx.fp32.engine"
    assert first.plan == first.path.read_bytes()
    assert "there is none yet" in caplog.text
    assert stat.S_IMODE(first.path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(first.path.stat().st_mode) == 0o600
    record = json.loads(first.path.with_suffix(".json").read_text())
    assert record["library"] == f"{RTX} {trt.__version__}"
    assert record["options"]["precision"] == "fp32"
    assert sorted(path.suffix for path in first.path.parent.iterdir()) == [".engine", ".json"]
    again = prepare(conv_net)
    assert not again.built
    assert again.plan == first.plan


def test_a_changed_model_and_a_damaged_engine_are_built_again(trt, conv_net, caplog):
    engine = prepare(conv_net)
    model = onnx.load(str(conv_net))
    model.graph.name = "changed"
    onnx.save(model, str(conv_net))
    assert prepare(conv_net).built
    assert "the model or its options changed" in caplog.text
    engine.path.write_bytes(engine.plan[:-100])
    assert prepare(conv_net).built
    assert "its file was changed or cut off" in caplog.text
    engine.path.with_suffix(".json").write_text("{")
    assert prepare(conv_net).built
    assert not prepare(conv_net).built


def test_half_precision_is_a_file_of_its_own(trt, conv_net):
    engine = prepare(conv_net, precision="fp16")
    assert engine.built
    assert engine.path.name == "small.tensorrt_rtx.fp16.engine"
    assert not prepare(conv_net, precision="fp16").built


def test_the_half_of_a_model_computes_the_same(conv_net):
    model = onnx.load(str(conv_net))
    half = to_half(model)
    assert {w.data_type for w in half.graph.initializer if w.name.startswith("w")} == {TensorProto.FLOAT16}
    assert half.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    feeds = {"images": np.random.default_rng(0).standard_normal((1, 3, 32, 64)).astype(np.float32)}
    expected = make_backend("onnxruntime", conv_net).run(feeds)["output"]
    result = make_backend("onnxruntime", half).run(feeds)["output"]
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=5e-3)


def test_a_free_batch_gets_a_range_and_free_sides_must_be_given(trt, conv_net, tmp_path):
    model = onnx.load(str(conv_net))
    model.graph.node.pop()  # the reshape, which fixes the batch
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, None))
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("images", TensorProto.FLOAT, ("b", 3, 32, 64)))
    batch = tmp_path / "batch.onnx"
    onnx.save(model, str(batch))
    assert prepare(batch, max_batch=4).built
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, "h", "w")))
    free = tmp_path / "free.onnx"
    onnx.save(model, str(free))
    with pytest.raises(BackendError, match=r"'images' has the shape \(1, 3, '\?', '\?'\), but TensorRT must know"):
        prepare(free)
    assert prepare(free, input_shapes={"images": (1, 3, 32, 64)}).built


def test_a_part_of_a_model_is_kept_under_the_name_of_its_content(trt, conv_net, tmp_path):
    model = onnx.load(str(conv_net))
    with pytest.raises(BackendError, match="in memory needs `cache_directory`"):
        prepare(model)
    engine = prepare(model, cache_directory=tmp_path / "kept")
    assert engine.path.name.startswith("output-")
    assert not prepare(model, cache_directory=tmp_path / "kept").built


def test_what_the_parser_refuses_is_quoted(trt, conv_net):
    model = onnx.load(str(conv_net))
    model.graph.node[1].op_type = "NoSuchOperator"
    onnx.save(model, str(conv_net))
    with pytest.raises(BackendError, match=r"TensorRT .* cannot parse the model: .*NoSuchOperator"):
        prepare(conv_net)
    assert not list((conv_net.parent / "engines").glob("*"))


def test_without_a_gpu_loading_says_so(trt, conv_net):
    if describe_device()["name"] != "none":
        pytest.skip("there is a GPU")
    logger = make_logger(trt)
    with pytest.raises(BackendError, match=r"engine .*small.* cannot be loaded .* needs an NVIDIA GPU"):
        load_engine(trt.Runtime(logger), logger, conv_net, BackendOptions(), RTX)


def test_without_the_cuda_bindings_the_backend_says_how_to_get_them(trt, monkeypatch, conv_net):
    monkeypatch.setitem(sys.modules, "cuda", None)
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(BackendError, match=r"needs the module 'cuda.bindings' .*pip install 'cuda-bindings>=12.6'"):
        TensorRtBackend(conv_net, BackendOptions(), RTX)
    assert describe_device() == {"name": "none", "compute_capability": "none", "driver": "none"}


def test_the_command_builds_once(trt, conv_net, capsys):
    contract = ModelContract("detection", "small", 64, 32, ("person",), "yolo")
    write_contract(conv_net, contract)
    assert main(["engine", str(conv_net), "--library", RTX]) == 0
    assert "MB, built" in capsys.readouterr().out
    assert main(["engine", str(conv_net), "--library", RTX]) == 0
    assert "MB, up to date" in capsys.readouterr().out
    assert main(["engine", str(conv_net) + "x", "--library", RTX]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_every_part_of_the_fingerprint_counts(tmp_path):
    path = tmp_path / "m.engine"
    parts = {"model": b"onnx", "options": {"precision": "fp32"}, "library": "tensorrt 10.3", "device": DEVICE}
    built = cached_engine(path, fingerprint(**parts), lambda: b"plan")
    assert built.built
    assert stale_reason(path, fingerprint(**parts)) is None
    for change in (
        {"model": b"other"},
        {"options": {"precision": "fp16"}},
        {"library": "tensorrt 10.4"},
        {"device": {**DEVICE, "name": "Thor"}},
        {"device": {**DEVICE, "driver": "13000"}},
    ):
        assert "changed" in stale_reason(path, fingerprint(**{**parts, **change}))
    reason = stale_reason(path, fingerprint(**{**parts, "library": "tensorrt 10.4"}))
    assert reason == "library changed from tensorrt 10.3 to tensorrt 10.4"


def test_a_build_that_fails_leaves_nothing(tmp_path):
    def fail():
        raise BackendError("no")

    with pytest.raises(BackendError):
        cached_engine(tmp_path / "m.engine", {}, fail)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_others_can_write_is_refused(tmp_path):
    folder = tmp_path / "engines"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(BackendError, match=r"engines \(mode 777\) can be written by other users, .*chmod 700"):
        cache_directory(tmp_path / "m.onnx", None)


def test_a_model_in_a_folder_that_cannot_be_written_uses_the_cache_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert cache_directory(tmp_path / "m.onnx", None) == tmp_path / "cache" / "uav_perception" / "engines"
    assert not (tmp_path / "engines").exists()


def test_an_unknown_library_is_named():
    with pytest.raises(BackendError, match=r"Unknown TensorRT library 'trt'. Known are: tensorrt, tensorrt_rtx"):
        load_library("trt")
