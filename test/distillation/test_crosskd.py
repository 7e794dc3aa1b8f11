import math

import pytest
import torch
from slow_reference import bce, giou, iou, kl, sigmoid

from uav_perception.distillation import crosskd
from uav_perception.distillation.errors import DistillationError


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2


def boxes(count, seed=0):
    g = torch.Generator().manual_seed(seed)
    low = torch.rand(count, 2, generator=g, dtype=torch.float64) * 20
    return torch.cat([low, low + torch.rand(count, 2, generator=g, dtype=torch.float64) * 40 + 1], -1)


def test_published_constants():
    gfl, atss, fcos = (crosskd.CrossKdConstants.published(name) for name in ("gfl", "atss", "fcos"))
    assert (gfl.from_layer, gfl.class_weight, gfl.box_weight, gfl.temperature, gfl.box_loss) == (3, 1.0, 4.0, 1.0, "kl")
    assert (atss.from_layer, atss.class_weight, atss.box_weight, atss.centerness_weight) == (3, 1.0, 1.0, 1.0)
    assert (atss.box_loss, fcos.box_loss) == ("giou", "iou")
    assert (fcos.from_layer, fcos.class_weight, fcos.box_weight, fcos.centerness_weight) == (2, 0.4, 0.75, 0.0)


def test_aligned_map_has_the_teachers_statistics():
    student, teacher = draw(2, 3, 4, 5) * 4 + 1, draw(2, 3, 4, 5, seed=1)
    aligned = crosskd.align_statistics(student, teacher)
    for channel in range(3):
        values = aligned[:, channel]
        assert values.mean().item() == pytest.approx(teacher[:, channel].mean().item())
        assert values.std().item() == pytest.approx(teacher[:, channel].std().item(), rel=1e-5)
    torch.testing.assert_close(crosskd.align_statistics(student * 3 - 2, teacher), aligned, rtol=1e-5, atol=1e-5)


def test_a_single_cell_takes_the_teachers_value():
    student, teacher = draw(1, 3, 1, 1).requires_grad_(), draw(1, 3, 1, 1, seed=1)
    aligned = crosskd.align_statistics(student, teacher)
    torch.testing.assert_close(aligned, teacher)
    aligned.sum().backward()
    assert student.grad.isfinite().all()


def test_heads_of_different_width_are_refused():
    with pytest.raises(DistillationError, match="64 channels and the teacher's 256"):
        crosskd.align_statistics(torch.zeros(1, 64, 2, 2), torch.zeros(1, 256, 2, 2))


def test_class_and_centerness_terms_against_loops():
    cross, teacher = draw(6, 4), draw(6, 4, seed=1)
    expected = sum(
        abs(sigmoid(t) - sigmoid(s)) * bce(sigmoid(s), sigmoid(t))
        for s, t in zip(cross.flatten().tolist(), teacher.flatten().tolist(), strict=True)
    )
    assert crosskd.class_loss(cross, teacher, 3.0).item() == pytest.approx(expected / 3)
    expected = sum(
        bce(sigmoid(s), sigmoid(t)) for s, t in zip(cross[:, 0].tolist(), teacher[:, 0].tolist(), strict=True)
    )
    assert crosskd.centerness_loss(cross[:, 0], teacher[:, 0], 3.0).item() == pytest.approx(expected / 3)
    assert crosskd.centerness_loss(cross[:0, 0], teacher[:0, 0], 3.0) == 0


def test_distribution_term_is_a_confidence_weighted_mean():
    cross, teacher, classes = draw(5, 4, 9), draw(5, 4, 9, seed=1), draw(5, 3, seed=2)
    confidence = crosskd.teacher_confidence(classes)
    weights = [max(sigmoid(c) for c in row) for row in classes.tolist()]
    assert confidence.tolist() == pytest.approx(weights)
    total = sum(
        weights[i] * kl(cross[i, side].tolist(), teacher[i, side].tolist(), 1.0) for i in range(5) for side in range(4)
    )
    loss = crosskd.distribution_loss(cross, teacher, confidence, 1.0)
    assert loss.item() == pytest.approx(total / 4 / sum(weights))
    assert crosskd.distribution_loss(cross[:0], teacher[:0], confidence[:0], 1.0) == 0


@pytest.mark.parametrize("measure", ["giou", "iou"])
def test_box_term_against_loops(measure):
    own, target = boxes(8), boxes(8, seed=1)
    confidence = torch.rand(8, dtype=torch.float64)
    total = 0.0
    for a, b, weight in zip(own.tolist(), target.tolist(), confidence.tolist(), strict=True):
        total += weight * (1 - giou(a, b) if measure == "giou" else -math.log(max(iou(a, b), 1e-6)))
    loss = crosskd.box_loss(own, target, confidence, 2.5, measure)
    assert loss.item() == pytest.approx(total / 2.5, rel=1e-6)
    overlapping = own + 0.3
    assert torch.autograd.gradcheck(
        lambda b: crosskd.box_loss(b, overlapping, confidence, 2.5, measure), own.requires_grad_()
    )


def test_gradients():
    teacher = draw(3, 4, 5, seed=1)
    cross = draw(3, 4, 5).requires_grad_()
    confidence = torch.rand(3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda c: crosskd.distribution_loss(c, teacher, confidence, 1.0), cross)
    assert torch.autograd.gradcheck(lambda c: crosskd.class_loss(c, teacher, 2.0), cross)
    student, target = draw(2, 2, 2, 3).requires_grad_(), draw(2, 2, 2, 3, seed=1)
    assert torch.autograd.gradcheck(lambda s: crosskd.align_statistics(s, target), student)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"from_layer": 5}, "from_layer is 5"), ({"box_loss": "l1"}, "'kl', 'giou' or 'iou'"), ({"box_weight": -1}, "-1")],
)
def test_bad_constants_are_named(change, message):
    with pytest.raises(DistillationError, match=message):
        crosskd.CrossKdConstants(**change)
    with pytest.raises(DistillationError, match="'yolo'; known"):
        crosskd.CrossKdConstants.published("yolo")
