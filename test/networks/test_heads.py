"""The heads' losses, recomputed cell by cell in float64 from the published formulas."""

import math
from itertools import pairwise

import pytest
import torch

from uav_perception.networks.assigners import ImageTargets
from uav_perception.networks.detector import Detector, DetectorConfig
from uav_perception.networks.errors import NetworkError

SIZE = (96, 128)


def small(head, **options):
    torch.manual_seed(0)
    config = DetectorConfig(
        3, head, "resnet18", neck_channels=32, head_channels=32, stacked_convs=1, groups=8, **options
    )
    detector = Detector(config).eval()
    with torch.no_grad():  # away from the initial state, where everything is nearly zero
        for parameter in detector.head.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return detector.double()


def a_batch():
    images = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    targets = [
        ImageTargets(torch.tensor([[10.0, 12, 70, 60], [60, 20, 120, 90]]), torch.tensor([0, 2]), *SIZE),
        ImageTargets(torch.tensor([[30.0, 30, 45, 50]]), torch.tensor([1]), 64, 96),
    ]
    return images, targets


def slow_giou(a, b):
    w, h = max(0.0, min(a[2], b[2]) - max(a[0], b[0])), max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = max(a[2] - a[0], 0) * max(a[3] - a[1], 0) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return w * h / union, w * h / union - (hull - union) / hull


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def bce(p, y):
    return -(y * math.log(p) if y else 0.0) - ((1 - y) * math.log(1 - p) if y < 1 else 0.0)


def focal(p, positive):
    return -0.25 * (1 - p) ** 2 * math.log(p) if positive else -0.75 * p**2 * math.log(1 - p)


def slow_centerness(x, y, box):
    left, top, right, bottom = x - box[0], y - box[1], box[2] - x, box[3] - y
    return math.sqrt(min(left, right) / max(left, right) * min(top, bottom) / max(top, bottom))


def slow_losses(detector, output, assignment):
    head, grid = detector.head, output.head.grid
    logits, regression = output.head.flat_class_logits().double(), output.head.flat_regressions().double()
    boxes = head.decode(output.head).tolist()
    gfl = detector.config.head == "gfl"
    total_class, positives = 0.0, []
    for image in range(len(logits)):
        for cell in range(logits.shape[1]):
            if not assignment.valid[image, cell]:
                continue
            index = assignment.gt_index[image, cell].item()
            target = assignment.targets[image].boxes[index].tolist() if index >= 0 else None
            label = assignment.targets[image].labels[index].item() if index >= 0 else None
            if index >= 0:
                positives.append((image, cell, target))
            for c, logit in enumerate(logits[image, cell].tolist()):
                p = sigmoid(logit)
                if gfl:
                    y = slow_giou(boxes[image][cell], target)[0] if label == c else 0.0
                    total_class += abs(y - p) ** 2 * bce(p, y)
                else:
                    total_class += focal(p, label == c)
    counts = [sum(image == i for image, _, _ in positives) for i in range(len(logits))]
    samples = sum(counts) if detector.config.head == "fcos" else sum(max(count, 1) for count in counts)
    samples = max(samples, 1)
    result = {"loss_class": total_class / samples}
    if gfl:
        weights = [max(sigmoid(v) for v in logits[image, cell].tolist()) for image, cell, _ in positives]
        divisor = max(sum(weights), 1.0)
        box = dfl = 0.0
        for weight, (image, cell, target) in zip(weights, positives, strict=True):
            box += weight * (1 - slow_giou(boxes[image][cell], target)[1])
            stride = grid.strides[cell].item()
            x, y = grid.centres[cell].tolist()
            sides = (x - target[0], y - target[1], target[2] - x, target[3] - y)
            for side, distance in enumerate(sides):
                bins = regression[image, cell].reshape(4, -1)[side].log_softmax(0)
                t = min(max(distance / stride, 0.0), 15.9)
                left = math.floor(t)
                dfl -= weight * ((left + 1 - t) * bins[left].item() + (t - left) * bins[left + 1].item())
        return result | {"loss_box": 2 * box / divisor, "loss_distribution": 0.25 * dfl / 4 / divisor}
    logit = output.head.flat_centerness().double()
    box = centre = total = 0.0
    for image, cell, target in positives:
        c = slow_centerness(*grid.centres[cell].tolist(), target)
        iou, giou = slow_giou(boxes[image][cell], target)
        is_log = detector.config.head == "fcos" and not detector.config.fcos_improved
        box += c * (-math.log(max(iou, 1e-6)) if is_log else 1 - giou)
        centre += bce(sigmoid(logit[image, cell].item()), c)
        total += c
    floor, weight = (1.0, 2.0) if detector.config.head == "atss" else (1e-6, 1.0)
    return result | {"loss_box": weight * box / max(total, floor), "loss_centerness": centre / samples}


CASES = [
    ("gfl", {}),
    ("atss", {}),
    ("atss", {"distribution": True}),
    ("fcos", {}),
    ("fcos", {"fcos_improved": False}),
    ("fcos", {"distribution": True}),
]


@pytest.mark.parametrize(("head", "options"), CASES)
def test_losses_equal_the_slow_ones(head, options):
    detector = small(head, **options)
    images, targets = a_batch()
    with torch.no_grad():
        output = detector(images)
        assignment = detector.head.assign(output.head.grid, targets)
        found = detector.head.losses(output.head, assignment)
        expected = slow_losses(detector, output, assignment)
    assert assignment.positive.sum(1).min() > 0
    assert {name: value.item() for name, value in found.items()} == pytest.approx(expected, rel=2e-4)


@pytest.mark.parametrize(("head", "options"), CASES)
def test_without_any_object_every_parameter_still_gets_a_gradient(head, options):
    detector = small(head, **options).float().train()
    empty = ImageTargets(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), *SIZE)
    output = detector(torch.randn(2, 3, *SIZE))
    losses = detector.head.losses(output.head, detector.head.assign(output.head.grid, [empty, empty]))
    assert all(loss.isfinite() for loss in losses.values())
    assert [losses[name].item() for name in losses if name != "loss_class"] == [0] * (len(losses) - 1)
    sum(losses.values()).backward()
    for name, parameter in detector.named_parameters():
        assert not parameter.requires_grad or parameter.grad is not None, name


@pytest.mark.parametrize(("head", "options"), CASES)
def test_boxes_outside_or_without_area_do_no_harm(head, options):
    detector = small(head, **options).float()
    strange = torch.tensor([[-50.0, -50, -10, -10], [20, 20, 20, 60], [500, 500, 900, 900], [10, 10, 60, 60]])
    targets = [ImageTargets(strange, torch.tensor([0, 1, 2, 1]), *SIZE)]
    output = detector(torch.randn(1, 3, *SIZE))
    assignment = detector.head.assign(output.head.grid, targets)
    assert set(assignment.gt_index.unique().tolist()) <= {-1, 3}
    assert all(loss.isfinite() for loss in detector.head.losses(output.head, assignment).values())


def test_padding_takes_no_part():
    detector = small("gfl").float()
    images, targets = a_batch()
    images = images.float()
    other = images.clone()
    output = detector(images)
    assignment = detector.head.assign(output.head.grid, targets)
    before = detector.head.losses(output.head, assignment)
    # Change the logits of the invalid cells only: nothing may change.
    shifted = [level.clone() for level in output.head.class_logits]
    masks = assignment.valid.split(output.head.grid.level_sizes, 1)
    for level, mask in zip(shifted, masks, strict=True):
        level += 7 * (~mask).reshape(2, 1, *level.shape[2:])
    output.head.class_logits[:] = shifted
    after = detector.head.losses(output.head, assignment)
    assert before["loss_class"].item() == pytest.approx(after["loss_class"].item())
    assert torch.equal(images, other)


def test_finish_continues_a_tower_where_it_was_left():
    config = DetectorConfig(3, "gfl", neck_channels=32, head_channels=32, stacked_convs=3, groups=8, fusion="light_ml")
    detector = Detector(config).eval()
    with torch.no_grad():
        output = detector(torch.randn(1, 3, 64, 128), keep_stages=True)
        for start in (1, 3):
            classes, boxes, _ = detector.head.finish(
                2,
                output.head.class_stages[2][start - 1].relu(),
                output.head.regression_stages[2][start - 1].relu(),
                start,
            )
            torch.testing.assert_close(classes, output.head.class_logits[2])
            torch.testing.assert_close(boxes, output.head.regressions[2])
    torch.testing.assert_close(output.head.class_towers[0], output.head.class_stages[0][-1].relu())


@pytest.mark.parametrize("fusion", ["none", "light_ml", "shuffle", "cls_to_reg", "reg_to_cls"])
def test_every_fusion_trains(fusion):
    detector = small("gfl", fusion=fusion).float().train()
    images, targets = a_batch()
    output = detector(images.float())
    losses = detector.head.losses(output.head, detector.head.assign(output.head.grid, targets))
    sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in detector.parameters() if p.requires_grad)


def test_initial_scores_are_one_percent_and_towers_follow_the_paper():
    head = Detector(DetectorConfig(10)).head
    assert head.class_output.bias.detach().sigmoid().tolist() == pytest.approx([0.01] * 10)
    assert [conv.conv.bias for conv in head.class_convs] == [None] * 4
    assert head.regression_output.out_channels == 68
    assert len(head.scales) == 5
    assert all(a.norm.num_groups == b.norm.num_groups == 32 for a, b in pairwise(head.class_convs))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "yolo"}, "no head 'yolo'; choose one of gfl, atss, fcos"),
        ({"fusion": "both"}, "no fusion 'both'"),
        ({"head": "fcos", "levels": 4}, "FCOS is defined on 5 levels"),
        ({"levels": 2}, "fewer than the backbone's own"),
        ({"groups": 7}, "256 head channels cannot be divided into 7 groups"),
        ({"finest_stride": 2, "levels": 6}, "stride 4 or 8, not 2"),
        ({"reg_max": 0}, "reg_max must be at least 1, not 0"),
    ],
)
def test_impossible_detectors_are_refused(options, message):
    with pytest.raises(NetworkError, match=message):
        Detector(DetectorConfig(3, **options))


def test_settings_survive_a_round_trip_and_unknown_ones_are_named():
    config = DetectorConfig(6, "atss", "resnet50", fusion="light_ml", light_ml_k=0.5)
    assert DetectorConfig.from_dict(config.to_dict()) == config
    with pytest.raises(NetworkError, match="Unknown detector settings depth"):
        DetectorConfig.from_dict({"num_classes": 3, "depth": 18})
    with pytest.raises(NetworkError, match="needs num_classes"):
        DetectorConfig.from_dict({"head": "gfl"})
