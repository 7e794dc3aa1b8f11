"""The heads in torch and the decoders in NumPy give the same boxes, for every head and form of box."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'uav_perception[train]')")

from uav_perception.datasets.detection_loading import MEAN, STD, collate  # noqa: E402
from uav_perception.datasets.detection_transforms import Sample, resize_keep_ratio  # noqa: E402
from uav_perception.inference.contract import ModelContract  # noqa: E402
from uav_perception.inference.decoders import make_decoder  # noqa: E402
from uav_perception.inference.preprocess import Preprocessor  # noqa: E402
from uav_perception.networks.detector import Detector, DetectorConfig  # noqa: E402

WIDTH, HEIGHT = 160, 96


@pytest.mark.parametrize("distribution", [False, True])
@pytest.mark.parametrize("head", ["gfl", "atss", "fcos"])
def test_the_same_boxes(head, distribution):
    torch.manual_seed(0)
    config = DetectorConfig(
        num_classes=3, head=head, neck_channels=32, head_channels=32, stacked_convs=1, groups=8, reg_max=7,
        distribution=distribution, frozen_stages=0, norm_eval=False,
    )  # fmt: skip
    detector = Detector(config).eval()
    with torch.no_grad():
        for parameter in detector.head.parameters():
            parameter.mul_(3)
        output = detector(torch.randn(1, 3, HEIGHT, WIDTH)).head
        boxes, scores = detector.head.decode(output)[0].numpy(), detector.head.scores(output)[0].numpy()
        exported = {name: value.numpy() for name, value in detector.head.export_tensors(output).items()}
    threshold = float(np.quantile(scores, 0.9))
    cells, class_ids = np.nonzero(scores >= threshold)
    options = {"strides": list(config.strides), "reg_max": config.reg_max, "anchor_scale": config.anchor_scale}
    contract = ModelContract("detection", "test", WIDTH, HEIGHT, ("a", "b", "c"), head, options)
    found = make_decoder(contract)(exported, threshold)
    assert len(found.boxes) == len(cells) > 20
    np.testing.assert_array_equal(found.class_ids, class_ids)
    np.testing.assert_allclose(found.scores, scores[cells, class_ids], rtol=1e-5)
    np.testing.assert_allclose(found.boxes, boxes[cells], rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize("size", [(400, 210), (64, 48)])
def test_the_same_pixels(size):
    """What a detector is evaluated on is what the runtime feeds it, shrunk or enlarged."""
    image = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    sample = resize_keep_ratio(Sample(image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64)), WIDTH, HEIGHT)
    evaluated = collate([(sample, 0)]).images.numpy()
    options = {"strides": [8], "reg_max": 7}
    contract = ModelContract(
        "detection", "test", WIDTH, HEIGHT, ("a",), "gfl", options, mean=MEAN, std=STD, resize="keep_ratio"
    )
    fed, place = Preprocessor(contract)(image)
    assert sample.image.shape[:2] == (place.height, place.width)
    rows, columns = evaluated.shape[2:]
    np.testing.assert_allclose(fed[:, :, :rows, :columns], evaluated, atol=1e-5)
