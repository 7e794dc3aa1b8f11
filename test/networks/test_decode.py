import numpy as np
import pytest
import torch

from uav_perception.inference.contract import ModelContract
from uav_perception.inference.decoders import make_decoder
from uav_perception.inference.nms import nms as numpy_nms
from uav_perception.networks.decode import DecodeConfig, class_wise_nms, decode_batch, nms
from uav_perception.networks.detector import Detector, DetectorConfig


def slow_nms(boxes, scores, threshold):
    kept = []
    for i in np.argsort(-scores, kind="stable"):
        x1, y1, x2, y2 = boxes[i]
        clear = True
        for j in kept:
            w = max(0, min(x2, boxes[j][2]) - max(x1, boxes[j][0]))
            h = max(0, min(y2, boxes[j][3]) - max(y1, boxes[j][1]))
            areas = (x2 - x1) * (y2 - y1) + (boxes[j][2] - boxes[j][0]) * (boxes[j][3] - boxes[j][1])
            clear &= w * h / (areas - w * h) <= threshold
        if clear:
            kept.append(int(i))
    return kept


def random_detections(seed, count=80):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 40, (count, 2))], 1)
    return boxes, rng.permutation(count) / count, rng.integers(0, 3, count)


@pytest.mark.parametrize("seed", range(3))
def test_nms_equals_the_slow_one(seed):
    boxes, scores, _ = random_detections(seed)
    found = nms(torch.from_numpy(boxes), torch.from_numpy(scores), 0.5)
    assert found.tolist() == slow_nms(boxes, scores, 0.5)


def test_classes_do_not_suppress_each_other():
    boxes, scores, labels = random_detections(5)
    found = class_wise_nms(*map(torch.from_numpy, (boxes, scores, labels)), 0.5).tolist()
    expected = []
    for label in range(3):
        rows = np.flatnonzero(labels == label)
        expected += rows[slow_nms(boxes[rows], scores[rows], 0.5)].tolist()
    assert found == sorted(expected, key=lambda row: -scores[row])
    assert len(class_wise_nms(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64), 0.5)) == 0


@pytest.mark.parametrize(
    ("head", "options"),
    [("gfl", {}), ("atss", {}), ("atss", {"distribution": True}), ("fcos", {}), ("fcos", {"distribution": True})],
)
def test_torch_and_the_runtime_decode_alike(head, options):
    """The exported tensors, decoded by the node's NumPy code, give the detections of torch's decoder."""
    torch.manual_seed(0)
    config = DetectorConfig(
        3, head, "resnet18", neck_channels=32, head_channels=32, stacked_convs=1, groups=8, **options
    )
    detector = Detector(config).eval()
    with torch.no_grad():
        for parameter in detector.head.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        output = detector(torch.randn(1, 3, 96, 128))
        threshold = detector.head.scores(output.head).flatten().topk(60).values[-1].item()
        constants = DecodeConfig(score_threshold=0.0, per_level=10_000, nms_iou=0.6, maximum=10_000)
        [found] = decode_batch(detector, output, [(96, 128)], constants)
        tensors = detector.head.export_tensors(output.head)
    contract = ModelContract(
        task="detection",
        name="test",
        input_width=128,
        input_height=96,
        class_names=("a", "b", "c"),
        decoder=detector.head.decoder,
        decoder_options=detector.head.decoder_options(),
    )
    candidates = make_decoder(contract)({name: tensor.numpy() for name, tensor in tensors.items()}, threshold)
    boxes = np.clip(candidates.boxes, 0, [128, 96, 128, 96])
    kept = numpy_nms(boxes, candidates.scores, candidates.class_ids, 0.6, 10_000)
    strong = found.scores >= threshold
    np.testing.assert_allclose(found.scores[strong], candidates.scores[kept], rtol=1e-4)
    np.testing.assert_allclose(found.boxes[strong], boxes[kept], atol=2e-2)
    assert found.class_ids[strong].tolist() == candidates.class_ids[kept].tolist()


def test_limits_of_levels_and_images_are_kept():
    detector = Detector(DetectorConfig(2, neck_channels=32, head_channels=32, stacked_convs=1, groups=8)).eval()
    with torch.no_grad():
        output = detector(torch.randn(2, 3, 64, 64))
        none = decode_batch(detector, output, [(64, 64)] * 2, DecodeConfig(score_threshold=0.99))
        some = decode_batch(detector, output, [(64, 40)] * 2, DecodeConfig(0.0, per_level=3, nms_iou=1.0, maximum=4))
    assert [len(detections) for detections in none] == [0, 0]
    assert [len(detections) for detections in some] == [4, 4]
    assert all((detections.boxes[:, [0, 2]] <= 40).all() for detections in some)
