import pytest
import torch
from slow_reference import bce, giou, sigmoid

from uav_perception.distillation import bckd


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2


def boxes(*shape, seed=0):
    g = torch.Generator().manual_seed(seed)
    low = torch.rand(*shape, 2, generator=g, dtype=torch.float64) * 50
    return torch.cat([low, low + torch.rand(*shape, 2, generator=g, dtype=torch.float64) * 40 + 1], -1)


def test_published_weights():
    assert (bckd.CLASS_WEIGHT, bckd.BOX_WEIGHT) == (1.0, 4.0)


@pytest.mark.parametrize("seed", range(3))
def test_losses_against_loops(seed):
    student, teacher = draw(2, 9, 5, seed=seed), draw(2, 9, 5, seed=seed + 10)
    own, target = boxes(2, 9, seed=seed), boxes(2, 9, seed=seed + 10)
    active = torch.rand(2, 9, generator=torch.Generator().manual_seed(seed)) < 0.6
    positives = 3.0
    classes = distances = 0.0
    for b in range(2):
        for n in range(9):
            if not active[b, n]:
                continue
            gaps = [
                abs(sigmoid(t) - sigmoid(s))
                for s, t in zip(student[b, n].tolist(), teacher[b, n].tolist(), strict=True)
            ]
            for gap, s, t in zip(gaps, student[b, n].tolist(), teacher[b, n].tolist(), strict=True):
                classes += gap * bce(sigmoid(s), sigmoid(t))
            distances += max(gaps) * (1 - giou(own[b, n].tolist(), target[b, n].tolist()))
    gap = bckd.score_gap(student, teacher)
    assert bckd.class_loss(student, teacher, active, positives).item() == pytest.approx(classes / 3, rel=1e-9)
    box = bckd.box_loss(own, target, gap, active, positives)
    assert box.item() == pytest.approx(4 * distances / 3, rel=1e-6)


def test_level_without_positives_contributes_nothing():
    student, teacher = draw(1, 4, 3), draw(1, 4, 3, seed=1)
    nowhere = torch.zeros(1, 4, dtype=torch.bool)
    assert bckd.class_loss(student, teacher, nowhere, 1.0) == 0
    assert bckd.box_loss(boxes(1, 4), boxes(1, 4, seed=1), bckd.score_gap(student, teacher), nowhere, 1.0) == 0


def test_the_class_modulator_is_in_the_gradient_and_the_box_weight_is_not():
    everywhere = torch.ones(1, 4, dtype=torch.bool)
    teacher, target = draw(1, 4, 3, seed=1), boxes(1, 4, seed=1)
    student, own = draw(1, 4, 3).requires_grad_(), boxes(1, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: bckd.class_loss(s, teacher, everywhere, 2.0), student)
    weights = bckd.score_gap(student, teacher)
    assert not weights.requires_grad
    assert torch.autograd.gradcheck(lambda b: bckd.box_loss(b, target, weights, everywhere, 2.0), own)


def test_boxes_without_area_stay_finite():
    flat = torch.zeros(1, 2, 4).requires_grad_()
    everywhere = torch.ones(1, 2, dtype=torch.bool)
    loss = bckd.box_loss(flat, torch.zeros(1, 2, 4), torch.ones(1, 2), everywhere, 1.0)
    loss.backward()
    assert loss.isfinite()
    assert flat.grad.isfinite().all()
