import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from uav_perception.actions.model import ActionModel as RuntimeModel
from uav_perception.deployment.errors import DeploymentError
from uav_perception.deployment.export import export
from uav_perception.deployment.export_action import export_action, fold_batch_norms
from uav_perception.deployment.half_storage import store_as_half
from uav_perception.inference.contract import read_contract
from uav_perception.networks.action_zoo import build
from uav_perception.training.action_model import FORMAT, META_KEY, model_of
from uav_perception.training.action_recipe import NetworkRecipe


def write_checkpoint(path, **network):
    """An untrained network whose batch norms know the scale of its inputs, as a training checkpoint."""
    recipe = NetworkRecipe(size=64, short_side=73, **network)
    model = model_of(recipe, ("bend", "kick", "walk"), 1.5)
    torch.manual_seed(0)
    module = build(model.name, 3, model.feed.frames, **recipe.options)
    channels = 3 * model.feed.frames_per_sample
    with torch.no_grad():
        module.train()(torch.randn(4, model.feed.frames, channels, 64, 64))
    state = {f"network.{name}": value for name, value in module.state_dict().items()}
    torch.save({"format": FORMAT, META_KEY: model.to_plain(), "state_dict": state}, path)
    return module.eval(), model


@pytest.fixture(scope="module")
def larmuv(tmp_path_factory):
    folder = tmp_path_factory.mktemp("larmuv")
    module, model = write_checkpoint(folder / "last.ckpt", options={"norm_momentum": 1.0})
    return folder, module, model


@pytest.fixture
def clip():
    return torch.randn(2, 3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_two_parts_run_in_the_action_nodes_runtime(larmuv, clip):
    folder, module, _ = larmuv
    contract = export(folder / "last.ckpt", folder / "parts.onnx", name="test")
    assert (folder / "parts.onnx").stat().st_size < 22e6
    assert contract.decoder_options == {"segments": 3, "feature_size": 960, "window_seconds": 1.5, "tick_hz": 5.0}
    assert (contract.resize, contract.resize_short_side, contract.color) == ("short_side_crop", 73, "rgb")
    assert read_contract(folder / "parts.onnx") == contract
    runtime = RuntimeModel(folder / "parts.onnx")
    features = np.stack([runtime.features(clip[:, at].numpy()) for at in range(3)], 1)
    with torch.no_grad():
        window = module.window(clip)
        # Weights rounded to float16 move features of size 1 by some thousandths.
        assert np.abs(features - window.numpy()).max() < 0.02 * window.abs().max().item()
        assert np.abs(runtime.logits(window.numpy()) - module.head(window).numpy()).max() < 5e-3


@pytest.mark.parametrize("form", ["parts", "clip"])
def test_in_single_precision_the_file_is_torch_to_a_thousandth(larmuv, clip, form):
    folder, module, _ = larmuv
    path = folder / f"{form}.single.onnx"
    export_action(folder / "last.ckpt", path, form=form, half=False)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        window, logits = module.window(clip), module(clip)
    if form == "clip":
        assert np.abs(session.run(["logits"], {"clip": clip.numpy()})[0] - logits.numpy()).max() < 1e-3
    else:
        outputs = session.run(None, {"frames": clip.flatten(0, 1).numpy(), "window": window.numpy()})
        assert np.abs(outputs[0] - window.flatten(0, 1).numpy()).max() < 1e-3
        assert np.abs(outputs[1] - logits.numpy()).max() < 1e-3


def test_networks_that_cannot_be_cut_go_as_clips(tmp_path, clip):
    module, _ = write_checkpoint(tmp_path / "last.ckpt", name="resnet18")
    with pytest.raises(DeploymentError, match=r"not LARMUV\. Export it with form clip"):
        export_action(tmp_path / "last.ckpt", tmp_path / "out.onnx")
    export_action(tmp_path / "last.ckpt", tmp_path / "out.onnx", form="clip", half=False)
    session = onnxruntime.InferenceSession(str(tmp_path / "out.onnx"), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        assert np.abs(session.run(None, {"clip": clip.numpy()})[0] - module(clip).numpy()).max() < 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temporal_shift": True}, "trained with temporal_shift"),
        ({"input": "rgb_difference"}, "frame differences|frames"),
    ],
)
def test_what_a_stream_cannot_feed_is_refused(tmp_path, options, message):
    write_checkpoint(tmp_path / "last.ckpt", options=options)
    with pytest.raises(DeploymentError, match=message):
        export_action(tmp_path / "last.ckpt", tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


def test_an_unknown_form_is_refused(larmuv):
    with pytest.raises(DeploymentError, match="choose one of parts, clip"):
        export_action(larmuv[0] / "last.ckpt", larmuv[0] / "out.onnx", form="stream")


def test_folding_changes_nothing(larmuv, clip):
    _, module, _ = larmuv
    folded = fold_batch_norms(module)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in folded.modules())
    with torch.no_grad():
        assert torch.allclose(folded(clip), module(clip), atol=1e-4)


def test_half_storage_halves_the_file_and_computes_in_single():
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((64, 64)).astype(np.float16).astype(np.float32)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 64])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 64])],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    half = store_as_half(model)
    assert half.ByteSize() < 0.6 * model.ByteSize()
    x = rng.standard_normal((1, 64)).astype(np.float32)
    outputs = [
        onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})[
            0
        ]
        for graph in (model, half)
    ]
    assert (outputs[0] == outputs[1]).all()
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weight * 1e6, "w"))
    with pytest.raises(OverflowError, match="more than float16"):
        store_as_half(model)
