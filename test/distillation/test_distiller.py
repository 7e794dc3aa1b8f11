import pytest
import torch

from uav_perception.distillation.distiller import (
    METHODS,
    Distiller,
    build_method,
    cross_head_output,
    inherit_from_teacher,
    view_of,
)
from uav_perception.distillation.errors import DistillationError
from uav_perception.networks.assigners import ImageTargets
from uav_perception.networks.detector import Detector, DetectorConfig

SMALL = {
    "backbone": "mobilenet_v3_small",
    "neck_channels": 16,
    "head_channels": 16,
    "groups": 4,
    "stacked_convs": 4,
    "reg_max": 8,
    "norm_eval": True,
}


def detector(seed, head="gfl", **changes):
    torch.manual_seed(seed)
    return Detector(DetectorConfig(num_classes=3, head=head, **{**SMALL, **changes}))


def batch():
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    targets = [
        ImageTargets(torch.tensor([[8.0, 8.0, 24.0, 30.0], [40.0, 20.0, 90.0, 60.0]]), torch.tensor([0, 2]), 64, 96),
        ImageTargets(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), 64, 80),
    ]
    return images, targets


def step(student, teacher, options):
    distiller = Distiller(teacher, build_method(options, student, teacher), student.head)
    images, targets = batch()
    output = student(images, keep_stages=distiller.keep_stages)
    assignment = student.head.assign(output.head.grid, targets)
    return distiller, distiller(images, output, assignment)


def needs_distribution(method, head):
    return method.startswith("ld") and head != "gfl"


@pytest.mark.parametrize("head", ["gfl", "atss", "fcos"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_every_detector(method, head):
    form = {"distribution": True} if needs_distribution(method, head) else {}
    student, teacher = detector(1, head, fusion="light_ml", **form), detector(2, head, **form)
    distiller, losses = step(student, teacher, {"method": method})
    assert all(loss.ndim == 0 and loss.isfinite() and loss >= 0 for loss in losses.values())
    sum(losses.values()).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in student.neck.parameters())
    assert all(p.grad is None for p in teacher.parameters())
    if method.endswith("ours"):
        assert all(p.grad is not None for p in distiller.parameters())


@pytest.mark.parametrize("method", ["ld", "bckd", "mgd", "crosskd"])
def test_a_student_equal_to_its_teacher_has_nothing_to_learn(method):
    student, teacher = detector(1), detector(1)
    student.eval()
    _, losses = step(student, teacher, {"method": method})
    for name, loss in losses.items():
        if name != "mgd":  # the generator starts at random
            assert loss.item() == pytest.approx(0, abs=1e-5), name


def test_the_teacher_stays_out_of_state_parameters_and_training_mode():
    student, teacher = detector(1), detector(2)
    distiller, _ = step(student, teacher, {"method": "ld"})
    assert list(distiller.parameters()) == []
    assert distiller.state_dict() == {}
    distiller.train()
    assert not teacher.training
    assert not any(p.requires_grad for p in teacher.parameters())
    assert all(p.requires_grad for p in student.head.parameters())
    distiller.double()
    assert next(teacher.parameters()).dtype == torch.float64  # it follows .to() and the like


@pytest.mark.parametrize("method", ["ld_ours", "fgd", "crosskd"])
def test_losses_are_float32_under_mixed_precision(method):
    student, teacher = detector(1).eval(), detector(2)
    options = {"method": method}
    if method == "ld_ours":
        options["cid"] = {"global_tensor": "none"}  # its mask is drawn anew each time
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, mixed = step(student, teacher, options)
    _, full = step(student, teacher, options)
    for name, loss in mixed.items():
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(full[name].item(), rel=0.1)


def test_known_answers_of_the_teacher_replace_its_forward_pass():
    student, teacher = detector(1).eval(), detector(2)
    distiller, losses = step(student, teacher, {"method": "ld"})
    images, targets = batch()
    with torch.no_grad():
        taught = teacher(images)
    output = student(images)
    assignment = student.head.assign(output.head.grid, targets)
    teacher.forward = None  # calling it would fail
    again = distiller(images, output, assignment, taught=taught)
    assert {name: loss.item() for name, loss in again.items()} == pytest.approx(
        {name: loss.item() for name, loss in losses.items()}
    )


def test_the_trained_layers_are_the_methods_own():
    student, teacher = detector(1), detector(2)
    distiller, _ = step(student, teacher, {"method": "ld_ours"})
    channels = 4 * 9
    assert sum(p.numel() for p in distiller.parameters()) == 2 * (channels * channels * 9 + channels)


@pytest.mark.parametrize("from_layer", [0, 1, 4])
def test_the_cross_head_of_twins_is_the_teachers_own(from_layer):
    student, teacher = detector(1, backbone="resnet18").eval(), detector(1, backbone="resnet18").eval()
    images, _ = batch()
    own, target = student(images, keep_stages=True), teacher(images, keep_stages=True)
    crossed = cross_head_output(teacher.head, own, target, from_layer)
    for a, b in zip(crossed.head.class_logits, target.head.class_logits, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(
        view_of(teacher.head, crossed).boxes, view_of(teacher.head, target).boxes, rtol=1e-3, atol=1e-2
    )


def test_view_holds_what_the_head_said():
    net = detector(1).eval()
    images, _ = batch()
    output = net(images)
    view = view_of(net.head, output)
    cells = len(output.head.grid.centres)
    assert view.class_logits.shape == (2, cells, 3)
    assert view.distributions.shape == (2, cells, 4, 9)
    first = output.head.regressions[0][0, :, 0, 1]  # level 0, row 0, column 1 is cell 1
    torch.testing.assert_close(view.distributions[0, 1].flatten(), first)
    delta = detector(1, "fcos").eval()
    assert view_of(delta.head, delta(images)).distributions is None


def test_inheriting_copies_neck_and_head_where_shapes_match():
    student, teacher = detector(1, fusion="light_ml"), detector(2)
    before = student.head.fusion.conv[0].weight.clone()
    backbone = student.backbone.state_dict()
    untouched = {name: value.clone() for name, value in backbone.items()}
    copied = inherit_from_teacher(student, teacher)
    assert any(name.startswith("neck.") for name in copied)
    assert "head.class_output.weight" in copied
    assert not any("fusion" in name for name in copied)
    torch.testing.assert_close(student.head.class_output.weight, teacher.head.class_output.weight)
    torch.testing.assert_close(student.head.fusion.conv[0].weight, before)
    assert all(torch.equal(value, untouched[name]) for name, value in backbone.items())
    # another number of classes: that layer stays the student's own
    torch.manual_seed(3)
    other = Detector(DetectorConfig(num_classes=5, **SMALL))
    assert "head.class_output.weight" not in inherit_from_teacher(other, teacher)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "pkd"}, "'pkd'; use one of ld, ld_ours"),
        ({}, "method None"),
        ({"method": "ld", "temprature": 5}, "temprature; this method knows .*temperature"),
        ({"method": "ld_ours", "cid": {"gama": 0.4}}, "gama; this method knows .*gamma"),
        ({"method": "bckd", "weight": 2}, "BCKD has no options.*weight"),
        ({"method": "ld", "cid": {}}, "cid"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(DistillationError, match=message):
        build_method(options, detector(1), detector(2))


@pytest.mark.parametrize(
    ("method", "student", "teacher", "message"),
    [
        ("bckd", {"head": "gfl"}, {"head": "atss"}, "same head .* gfl .* atss"),
        ("ld", {"reg_max": 8}, {"reg_max": 16}, "same reg_max .* 8 .* 16"),
        ("ld", {"head": "fcos"}, {"head": "fcos"}, "distribution: true"),
        ("crosskd", {"head_channels": 8}, {"head_channels": 16}, "same head_channels .* 8 .* 16"),
        ("fgd", {"levels": 4}, {"levels": 5}, "same strides"),
        ("crosskd", {"head": "atss", "distribution": True}, {"head": "atss", "distribution": True}, "delta heads"),
    ],
)
def test_networks_that_do_not_fit_are_refused(method, student, teacher, message):
    with pytest.raises(DistillationError, match=message):
        build_method({"method": method}, detector(1, **student), detector(2, **teacher))


def test_options_reach_the_method():
    method = build_method(
        {"method": "ld_ours", "vlr_weight": 0.5, "cid": {"gamma": 0.35, "global_tensor": "tower"}},
        detector(1),
        detector(2),
    )
    assert method.constants.vlr_weight == 0.5
    assert method.ours.gamma == 0.35
    assert method.global_term.generator.rebuild[0].in_channels == 16
    none = build_method({"method": "bckd_ours", "cid": {"global_tensor": "none"}}, detector(1), detector(2))
    assert none.global_term is None
    assert build_method({"method": "fgd", "inherit": True}, detector(1), detector(2)).constants.temperature == 0.5
