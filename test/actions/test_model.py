import numpy as np
import onnxruntime
import pytest

from uav_perception.actions.errors import ActionError
from uav_perception.actions.model import ActionModel, softmax
from uav_perception.inference.contract import ModelContract, write_contract


def test_both_halves_equal_the_whole_graph(model_path):
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(5, 3, 32, 32)).astype(np.float32)
    window = rng.normal(size=(2, 3, 16)).astype(np.float32)
    whole = onnxruntime.InferenceSession(model_path, providers=["CPUExecutionProvider"])
    features, logits = whole.run(["features", "logits"], {"frames": frames, "window": window})
    model = ActionModel(model_path)
    np.testing.assert_allclose(model.features(frames), features, atol=1e-6)
    np.testing.assert_allclose(model.logits(window), logits, atol=1e-6)


def test_more_actors_than_an_engine_takes_are_run_in_parts(model_path):
    model = ActionModel(model_path)
    rng = np.random.default_rng(0)
    contract = model.contract
    frames = rng.random((5, 3, contract.input_height, contract.input_width), np.float32)
    whole = model.features(frames)
    windows = np.stack([np.roll(np.resize(whole, (model.segments, whole.shape[1])), i, axis=0) for i in range(5)])
    logits = model.logits(windows)
    model._largest_batch = 2
    np.testing.assert_allclose(model.features(frames), whole, rtol=1e-5)
    np.testing.assert_allclose(model.logits(windows), logits, rtol=1e-5)


def test_a_clip_model_gives_the_same_logits(model_path, clip_path, images):
    cached, clip = ActionModel(model_path), ActionModel(clip_path)
    logits = []
    for model in (cached, clip):
        features = model.features(model.preprocess_frames(images[:3]))
        logits.append(model.logits(features[None]))
    np.testing.assert_allclose(*logits, atol=1e-4)


def test_frames_are_cropped_and_crops_are_not(model_path):
    """A white border of 4 px: the centre crop of whole frames cuts it off, actors' crops keep all."""
    image = np.full((72, 72, 3), 255, np.uint8)
    image[4:-4, 4:-4] = 0
    model = ActionModel(model_path)
    assert model.preprocess_frames([image]).max() < 0
    assert model.preprocess_crops([image, image]).shape == (2, 3, 32, 32)
    assert model.preprocess_crops([image]).max() > 2


def test_softmax_of_large_logits():
    np.testing.assert_allclose(softmax(np.array([[1000.0, 1000.0], [0.0, np.log(3)]])), [[0.5, 0.5], [0.25, 0.75]])


def test_an_entangled_graph_is_refused(entangled_path):
    with pytest.raises(ActionError, match="logits of the action model depends on frames besides window"):
        ActionModel(entangled_path)


def test_a_detector_is_refused(tmp_path):
    import onnx
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Identity", ["images"], ["output"])],
        "detector",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 6, 6])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [])],
    )
    path = tmp_path / "detector.onnx"
    onnx.save(helper.make_model(graph), path)
    write_contract(path, ModelContract("detection", "d", 6, 6, ("a",), "yolo_end_to_end"))
    with pytest.raises(ActionError, match=r"task 'detection'.*detector instead"):
        ActionModel(path)
