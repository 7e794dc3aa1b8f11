import numpy as np
import pytest
import torch
import torch.nn.functional as F

from uav_perception.networks.errors import NetworkError
from uav_perception.networks.losses_action import ActionLoss, focal_loss, soft_focal_loss


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(6, 11, generator=generator, dtype=torch.float64)
    teacher = 3 * torch.randn(6, 11, generator=generator, dtype=torch.float64)
    return logits, teacher, torch.randint(11, (6,), generator=generator)


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def test_focal_with_gamma_0_is_cross_entropy(batch):
    logits, _, labels = batch
    assert torch.allclose(focal_loss(logits, labels, 0.0), F.cross_entropy(logits, labels, reduction="none"))


def test_focal_is_the_formula(batch):
    logits, _, labels = batch
    expected = []
    for row, label in zip(logits.numpy(), labels.tolist(), strict=True):
        p = softmax(row)[label]
        expected.append(-((1 - p) ** 2) * np.log(p))
    assert np.allclose(focal_loss(logits, labels, 2.0), expected, atol=1e-12)


def test_the_papers_example_weighs_one_percent():
    logits = torch.tensor([[np.log(0.9), np.log(0.1)]])
    assert focal_loss(logits, torch.tensor([0]), 2.0).item() == pytest.approx(0.01 * -np.log(0.9), rel=1e-5)


def test_literal_soft_term_is_the_formula(batch):
    logits, teacher, _ = batch
    expected = []
    for row, other in zip(logits.numpy(), teacher.numpy(), strict=True):
        p, q = softmax(row), softmax(other / 2)
        expected.append(-sum(q[i] * (1 - p[i]) ** 2 * np.log(p[i]) for i in range(11)))
    assert np.allclose(soft_focal_loss(logits, teacher, 2.0, 2.0), expected, atol=1e-12)


def test_literal_soft_term_with_gamma_0_is_torchs_soft_cross_entropy(batch):
    logits, teacher, _ = batch
    expected = F.cross_entropy(logits, F.softmax(teacher / 2, -1), reduction="none")
    assert torch.allclose(soft_focal_loss(logits, teacher, 2.0, 0.0), expected)


def test_equation_9_mixes_hard_and_kl(batch):
    logits, teacher, labels = batch
    hard = focal_loss(logits, labels, 2.0)
    soft = 4 * F.kl_div(F.log_softmax(logits / 2, -1), F.softmax(teacher / 2, -1), reduction="none").sum(-1)
    loss = ActionLoss(gamma=2.0, distillation=0.3, temperature=2.0)
    assert torch.allclose(loss(logits, labels, teacher), 0.7 * hard + 0.3 * soft)
    assert torch.allclose(loss(logits, labels), hard)


@pytest.mark.parametrize("form", ["kl", "literal"])
def test_gradients(batch, form):
    logits, teacher, labels = batch
    loss = ActionLoss(distillation=0.5, form=form)
    logits = logits.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(z, labels, teacher), (logits,))


def test_the_teacher_gets_no_gradient(batch):
    logits, teacher, labels = batch
    teacher = teacher.clone().requires_grad_()
    for form in ("kl", "literal"):
        ActionLoss(distillation=0.5, form=form)(logits.clone().requires_grad_(), labels, teacher).sum().backward()
        assert teacher.grad is None


def test_a_sure_wrong_answer_stays_finite():
    loss = focal_loss(torch.tensor([[200.0, -200.0]]), torch.tensor([1]), 2.0)
    assert torch.isfinite(loss).all() and loss.item() == pytest.approx(400.0)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("form", ["kl", "literal"])
def test_a_sure_right_answer_has_a_gradient(gamma, form):
    """In float32 its probability is 1 exactly, where (1 - p)^0.5 has no derivative."""
    logits = torch.tensor([[200.0, -200.0], [20.0, 0.0]], requires_grad=True)
    loss = ActionLoss(gamma=gamma, distillation=0.5, form=form)
    loss(logits, torch.tensor([0, 0]), torch.zeros(2, 2)).sum().backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("options", [{"gamma": -1}, {"temperature": 0}, {"distillation": 1.5}, {"form": "mse"}])
def test_wrong_options_are_refused(options):
    with pytest.raises(NetworkError):
        ActionLoss(**options)
