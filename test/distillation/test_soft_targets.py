import pytest
import torch
from slow_reference import bce, kl, sigmoid

from uav_perception.distillation.errors import DistillationError
from uav_perception.distillation.soft_targets import modulated_bce, soft_kl


def draw(*shape, seed=0, scale=3.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale


@pytest.mark.parametrize("temperature", [1.0, 2.0, 10.0])
def test_kl_equals_the_sum_over_bins(temperature):
    student, teacher = draw(5, 4, 17), draw(5, 4, 17, seed=1)
    expected = torch.tensor(
        [
            [kl(s, t, temperature) for s, t in zip(rows_s, rows_t, strict=True)]
            for rows_s, rows_t in zip(student.tolist(), teacher.tolist(), strict=True)
        ],
        dtype=torch.float64,
    )
    torch.testing.assert_close(soft_kl(student, teacher, temperature), expected)
    torch.testing.assert_close(soft_kl(student, teacher, temperature, "mean"), expected / 17)


def test_its_mean_agrees_with_torch():
    student, teacher = draw(6, 11), draw(6, 11, seed=1)
    expected = 4 * torch.nn.functional.kl_div(
        (student / 2).log_softmax(1), (teacher / 2).softmax(1), reduction="batchmean"
    )
    torch.testing.assert_close(soft_kl(student, teacher, 2.0).mean(), expected)


def test_kl_vanishes_for_equal_and_shifted_logits():
    logits = draw(3, 17)
    assert soft_kl(logits, logits + 5, 10.0).abs().max() < 1e-10


def test_kl_stays_finite_for_extreme_logits():
    student, teacher = torch.tensor([[0.0, 1000.0]]), torch.tensor([[1000.0, 0.0]])
    assert soft_kl(student, teacher, 1.0).isfinite().all()


def test_gradients_reach_the_student_only():
    student, teacher = draw(2, 5).requires_grad_(), draw(2, 5, seed=1).requires_grad_()
    soft_kl(student, teacher, 3.0).sum().backward()
    modulated_bce(student, teacher).sum().backward()
    assert teacher.grad is None
    assert torch.autograd.gradcheck(lambda s: soft_kl(s, teacher, 3.0, "mean"), student)
    assert torch.autograd.gradcheck(lambda s: modulated_bce(s, teacher), student)


def test_modulated_bce_elementwise():
    student, teacher = draw(4, 3), draw(4, 3, seed=1)
    expected = torch.tensor(
        [
            [abs(sigmoid(t) - sigmoid(s)) * bce(sigmoid(s), sigmoid(t)) for s, t in zip(a, b, strict=True)]
            for a, b in zip(student.tolist(), teacher.tolist(), strict=True)
        ],
        dtype=torch.float64,
    )
    torch.testing.assert_close(modulated_bce(student, teacher), expected)


def test_errors_say_what_is_wrong():
    with pytest.raises(DistillationError, match=r"\(2, 17\).*\(2, 9\).*reg_max"):
        soft_kl(torch.zeros(2, 17), torch.zeros(2, 9), 1.0)
    with pytest.raises(DistillationError, match="temperature is 0"):
        soft_kl(torch.zeros(2, 3), torch.zeros(2, 3), 0)
    with pytest.raises(DistillationError, match="'sum' or 'mean'"):
        soft_kl(torch.zeros(2, 3), torch.zeros(2, 3), 1.0, "max")
