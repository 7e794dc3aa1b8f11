import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from uav_perception.deployment.errors import DeploymentError
from uav_perception.deployment.export import checkpoint_format, export
from uav_perception.deployment.export_detector import export_detector, input_size
from uav_perception.deployment.torch_to_onnx import check_equal, write_onnx
from uav_perception.inference.contract import read_contract
from uav_perception.inference.detector import Detector as RuntimeDetector
from uav_perception.networks.detector import Detector, DetectorConfig
from uav_perception.training.checkpoints import DetectorCheckpoint, write_detector


def checkpoint_of(path, head, test_size=(128, 96), **options):
    torch.manual_seed(0)
    config = DetectorConfig(
        2, head, "resnet18", neck_channels=32, head_channels=32, stacked_convs=1, groups=8, **options
    )
    detector = Detector(config)
    with torch.no_grad():
        for parameter in detector.head.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    write_detector(path, DetectorCheckpoint(detector, ("a", "b"), test_size))
    return detector.eval()


@pytest.mark.parametrize(
    ("head", "options", "outputs"),
    [
        ("gfl", {"fusion": "light_ml"}, ["class_scores", "distributions"]),
        ("gfl", {"fusion": "reg_to_cls"}, ["class_scores", "distributions"]),
        ("atss", {}, ["class_scores", "centerness", "deltas"]),
        ("atss", {"distribution": True}, ["class_scores", "centerness", "distributions"]),
        ("fcos", {}, ["class_scores", "centerness", "distances"]),
        ("fcos", {"distribution": True, "fusion": "shuffle"}, ["class_scores", "centerness", "distributions"]),
    ],
)
def test_every_detector_exports_and_equals_torch(tmp_path, head, options, outputs):
    detector = checkpoint_of(tmp_path / "detector.pt", head, **options)
    contract = export_detector(tmp_path / "detector.pt", tmp_path / "model.onnx")
    assert (contract.input_width, contract.input_height, contract.name) == (128, 96, "model")
    assert read_contract(tmp_path / "model.onnx") == contract
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    assert [node.name for node in session.get_outputs()] == outputs
    image = torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = detector.head.export_tensors(detector(image).head)
    for name, found in zip(outputs, session.run(None, {"images": image.numpy()}), strict=True):
        np.testing.assert_allclose(found, expected[name].numpy(), atol=1e-3)
    runtime = RuntimeDetector(tmp_path / "model.onnx", score_threshold=0.001)
    picture = np.random.default_rng(0).integers(0, 255, (90, 160, 3), dtype=np.uint8)
    assert len(runtime.detect(picture)) > 0


def test_the_input_size_is_asked_for_or_known(tmp_path):
    checkpoint_of(tmp_path / "own.pt", "gfl", test_size=(0, 0))
    with pytest.raises(DeploymentError, match="say the camera's with --size"):
        export_detector(tmp_path / "own.pt", tmp_path / "model.onnx")
    with pytest.raises(DeploymentError, match="multiples of 32, not 100x96"):
        export_detector(tmp_path / "own.pt", tmp_path / "model.onnx", size=(100, 96))
    assert not (tmp_path / "model.onnx").exists()
    detector = Detector(DetectorConfig(2))
    assert input_size(DetectorCheckpoint(detector, ("a", "b"), (1333, 800)), None) == (1344, 800)


def test_what_cannot_be_exported_is_named(tmp_path):
    checkpoint_of(tmp_path / "detector.pt", "gfl")
    assert checkpoint_format(tmp_path / "detector.pt") == "uav_perception.detector"
    with pytest.raises(DeploymentError, match="no option --form"):
        export(tmp_path / "detector.pt", tmp_path / "model.onnx", form="clip")
    torch.save({"format": "something/2"}, tmp_path / "other.pt")
    with pytest.raises(DeploymentError, match="no checkpoint that can be exported"):
        export(tmp_path / "other.pt", tmp_path / "model.onnx")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        export(tmp_path / "gone.pt", tmp_path / "model.onnx")


def test_a_graph_that_computes_something_else_is_refused(tmp_path):
    image = torch.ones(1, 3, 4, 4)
    write_onnx(nn.Conv2d(3, 2, 1), (image,), tmp_path / "a.onnx", ["images"], ["out"])
    with pytest.raises(DeploymentError, match="ONNX Runtime's out differs from torch by"):
        check_equal(nn.Conv2d(3, 2, 1), (image,), tmp_path / "a.onnx")
