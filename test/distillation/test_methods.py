"""The methods put the terms together: scales, divisors, masks and regions, on a small random batch."""

import pytest
import torch
from slow_reference import bce, diou, giou, iou, kl, sigmoid
from slow_reference import centerness as slow_centerness

from uav_perception.distillation import cid, crosskd, fgd, localization, mgd
from uav_perception.distillation.errors import DistillationError
from uav_perception.distillation.methods import Bckd, CrossKd, Fgd, GlobalTerm, Ld, Mgd
from uav_perception.distillation.views import DenseView, Scene
from uav_perception.networks.assigners import ImageTargets, assign_atss, assign_fcos, gather_assignment
from uav_perception.networks.boxes import distances_to_boxes, integral
from uav_perception.networks.grid import make_grid

BINS, CLASSES = 9, 3
SHAPES = [(8, 8), (4, 4), (2, 2), (1, 1), (1, 1)]


def generator(seed):
    return torch.Generator().manual_seed(seed)


def make_scene(seed=0, empty=False, fcos=False):
    grid = make_grid(SHAPES, (8, 16, 32, 64, 128), 0.5 if fcos else 0.0)
    targets = []
    for image in range(2):
        count = 0 if empty else 3 - image
        low = torch.rand(count, 2, generator=generator(seed + image)) * 40
        size = torch.rand(count, 2, generator=generator(seed + image + 9)) * 20 + 6
        labels = torch.randint(CLASSES, (count,), generator=generator(seed))
        targets.append(ImageTargets(torch.cat([low, low + size], 1), labels, 64, 64 - 24 * image))  # padding on one
    assignment = gather_assignment(grid, targets, CLASSES, assign_fcos if fcos else assign_atss)
    return Scene((64, 64), grid, assignment, max(float(assignment.positive.sum()), 1.0), not fcos)


def make_view(scene, seed, distribution=True):
    cells = len(scene.grid.centres)
    raw = torch.randn(2, cells, 4 * BINS, generator=generator(seed)) * 2
    distances = integral(raw, BINS) * scene.grid.strides[:, None]
    maps = [torch.randn(2, 6, *shape, generator=generator(seed + i)) for i, shape in enumerate(SHAPES)]
    regression = [
        m.transpose(1, 2).unflatten(2, s) for m, s in zip(raw.split(scene.grid.level_sizes, 1), SHAPES, strict=True)
    ]
    return DenseView(
        features=maps,
        class_logits=torch.randn(2, cells, CLASSES, generator=generator(seed + 50)).requires_grad_(),
        boxes=distances_to_boxes(scene.grid.centres, distances).requires_grad_(),
        distributions=raw.unflatten(-1, (4, BINS)).requires_grad_() if distribution else None,
        regression=regression,
        towers=maps,
        centerness=torch.randn(2, cells, generator=generator(seed + 60)),
    )


def slow_kl(own, target, image, cell):
    sides = zip(own.distributions[image, cell].tolist(), target.distributions[image, cell].tolist(), strict=True)
    return sum(kl(s, t, 10.0) / BINS for s, t in sides)


def slow_cid_weight(scene, teacher, image, cell, gamma=0.45):
    point = scene.grid.centres[cell].tolist()
    near = False
    for x1, y1, x2, y2 in scene.ground_truth[image].tolist():
        reach = 0.75 * ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        near |= ((point[0] - (x1 + x2) / 2) ** 2 + (point[1] - (y1 + y2) / 2) ** 2) ** 0.5 <= reach
    value = slow_centerness(point, teacher.boxes[image, cell].tolist())
    return 1 - value if near and value < gamma and scene.assignment.valid[image, cell] else 0.0


def cells_of(scene):
    return [(image, cell) for image in range(2) for cell in range(len(scene.grid.centres))]


def score(view, image, cell):
    return max(sigmoid(value) for value in view.class_logits[image, cell].tolist())


@pytest.mark.parametrize("seed", [0, 1])
def test_ld_on_an_atss_assignment(seed):
    scene = make_scene(seed)
    own, target = make_view(scene, 1), make_view(scene, 2)
    anchors = scene.grid.anchors.tolist()
    main = region = 0.0
    per_level = {}
    for image, cell in cells_of(scene):
        if scene.positive[image, cell]:
            main += score(own, image, cell) * slow_kl(own, target, image, cell)
            pair = own.class_logits[image, cell].tolist(), target.class_logits[image, cell].tolist()
            per_level.setdefault(int(scene.grid.levels[cell]), []).append(kl(*pair, 2.0) / CLASSES)
        weight = 0.0
        for box, threshold in zip(
            scene.ground_truth[image].tolist(), scene.assignment.thresholds[image].tolist(), strict=True
        ):
            if 0.25 * threshold <= diou(anchors[cell], box) < threshold and scene.assignment.valid[image, cell]:
                weight = max(weight, iou(anchors[cell], box))
        if weight:
            region += weight * slow_kl(own, target, image, cell)
    losses = Ld(localization.LdConstants.published("gfl"))(own, target, scene)
    assert losses["ld_main"].item() == pytest.approx(0.25 / 4 * main, rel=1e-4)
    assert losses["ld_region"].item() == pytest.approx(0.25 / 16 * region, rel=1e-4)
    expected = 10 * sum(sum(values) / len(values) for values in per_level.values())
    assert losses["ld_class"].item() == pytest.approx(expected, rel=1e-4)
    assert region > 0
    assert main > 0


def test_ld_on_an_fcos_assignment_weights_by_the_students_score():
    scene = make_scene(fcos=True)
    own, target = make_view(scene, 1), make_view(scene, 2)
    region = 0.0
    for image, cell in cells_of(scene):
        x, y = scene.grid.centres[cell].tolist()
        inside = any(a < x < c and b < y < d for a, b, c, d in scene.ground_truth[image].tolist())
        if inside and not scene.positive[image, cell] and scene.assignment.valid[image, cell]:
            region += score(own, image, cell) * slow_kl(own, target, image, cell)
    losses = Ld(localization.LdConstants.published("fcos"))(own, target, scene)
    assert losses["ld_region"].item() == pytest.approx(0.25 * 0.25 / 4 * region, rel=1e-4)
    assert region > 0


def test_ld_ours_replaces_the_region_and_adds_the_global_term():
    scene = make_scene()
    own, target = make_view(scene, 1), make_view(scene, 2)
    region = 0.0
    for image, cell in cells_of(scene):
        weight = slow_cid_weight(scene, target, image, cell)
        if weight:
            region += weight * slow_kl(own, target, image, cell)
    ours = cid.CidConstants()
    torch.manual_seed(0)
    term = GlobalTerm(ours, 4 * BINS, 4 * BINS)
    losses = Ld(localization.LdConstants.published("gfl"), ours, term)(own, target, scene)
    plain = Ld(localization.LdConstants.published("gfl"))(own, target, scene)
    assert losses["ld_region"].item() == pytest.approx(0.25 / 16 * region, rel=1e-4)
    assert losses["ld_main"] == plain["ld_main"]
    assert losses["ld_class"] == plain["ld_class"]
    assert losses["cid_global"].item() > 0
    assert set(losses) - set(plain) == {"cid_global"}


def test_ours_switches():
    scene = make_scene()
    own, target = make_view(scene, 1), make_view(scene, 2)
    published = localization.LdConstants.published("gfl")
    plain = Ld(published)(own, target, scene)

    def ours(**changes):
        return Ld(published, cid.CidConstants(**changes))(own, target, scene)

    assert ours(region="own") == plain  # Table 8: LD's own region under the same roof
    assert ours(alpha=2.0)["ld_region"].item() == pytest.approx(2 * ours()["ld_region"].item())
    assert ours(gamma=0.6)["ld_region"] > ours(gamma=0.35)["ld_region"]
    assert ours(region="cid_within_gt")["ld_region"] != ours()["ld_region"]
    average = ours(average_levels=True)
    assert average["ld_main"].item() == pytest.approx(plain["ld_main"].item() / 5)
    assert average["ld_region"].item() == pytest.approx(ours()["ld_region"].item() / 5)
    assert average["ld_class"] == plain["ld_class"]
    without_region = Ld(localization.LdConstants.published("gfl", vlr_weight=0.0))(own, target, scene)
    assert "ld_region" not in without_region  # Fig. 6, lambda_VLR = 0


def test_global_term_sums_or_averages_levels_and_takes_either_tensor():
    scene = make_scene()
    own, target = make_view(scene, 1), make_view(scene, 2)
    for tensor, channels in (("logits", 4 * BINS), ("tower", 6)):
        torch.manual_seed(0)
        summed = GlobalTerm(cid.CidConstants(global_tensor=tensor, masked=0.0), channels, channels)
        averaged = GlobalTerm(
            cid.CidConstants(global_tensor=tensor, masked=0.0, average_levels=True), channels, channels
        )
        averaged.load_state_dict(summed.state_dict())
        pairs = zip(
            own.regression if tensor == "logits" else own.towers,
            target.regression if tensor == "logits" else target.towers,
            strict=True,
        )
        expected = 4 * sum(
            torch.nn.functional.smooth_l1_loss(summed.generator(a, torch.ones_like(a[:, :1])), b) for a, b in pairs
        )
        torch.testing.assert_close(summed(own, target), expected)
        torch.testing.assert_close(averaged(own, target), expected / 5)


@pytest.mark.parametrize("with_ours", [False, True])
def test_bckd_needs_no_distribution(with_ours):
    scene = make_scene()
    own, target = make_view(scene, 1, distribution=False), make_view(scene, 2, distribution=False)
    classes = boxes = 0.0
    levels = {int(scene.grid.levels[cell]) for image, cell in cells_of(scene) if scene.positive[image, cell]}
    assert 0 < len(levels) < 5
    for image, cell in cells_of(scene):
        if int(scene.grid.levels[cell]) not in levels or not scene.assignment.valid[image, cell]:
            continue
        pairs = list(
            zip(own.class_logits[image, cell].tolist(), target.class_logits[image, cell].tolist(), strict=True)
        )
        gaps = [abs(sigmoid(t) - sigmoid(s)) for s, t in pairs]
        classes += sum(gap * bce(sigmoid(s), sigmoid(t)) for gap, (s, t) in zip(gaps, pairs, strict=True))
        weight = max(gaps)
        if with_ours:
            weight = weight * bool(scene.positive[image, cell]) + slow_cid_weight(scene, target, image, cell)
        boxes += weight * (1 - giou(own.boxes[image, cell].tolist(), target.boxes[image, cell].tolist()))
    losses = Bckd(cid.CidConstants() if with_ours else None)(own, target, scene)
    assert losses["bckd_class"].item() == pytest.approx(classes / scene.normaliser, rel=1e-4)
    assert losses["bckd_box"].item() == pytest.approx(4 * boxes / scene.normaliser, rel=1e-4)


def test_fgd_and_mgd_sum_over_the_levels():
    scene = make_scene()
    own, target = make_view(scene, 1), make_view(scene, 2)
    constants = fgd.FgdConstants()
    losses = Fgd(constants, 5, 6, 6)(own, target, scene)
    focal = context = 0.0
    for a, b in zip(own.features, target.features, strict=True):
        masks = fgd.scale_masks(scene.ground_truth, scene.image_size, a.shape[2:])
        focal += fgd.focal_loss(a, b, *masks, constants).item()
        context += 5e-6 * (a - b).pow(2).sum().item() / 2  # the GC blocks start as identities
    assert losses["fgd_focal"].item() == pytest.approx(focal, rel=1e-5)
    assert losses["fgd_context"].item() == pytest.approx(context, rel=1e-5)
    torch.manual_seed(0)
    method = Mgd(mgd.MgdConstants(masked=0.0), 5, 6, 6)
    expected = sum(
        2e-5 * mgd.regeneration_loss(g(a, torch.ones_like(a[:, :1])), b)
        for g, a, b in zip(method.generators, own.features, target.features, strict=True)
    )
    torch.testing.assert_close(method(own, target, scene)["mgd"], expected)


def test_feature_methods_widen_a_narrow_student():
    scene = make_scene()
    target = make_view(scene, 2)
    narrow = [level[:, :4] for level in make_view(scene, 1).features]
    own = DenseView(narrow, target.class_logits, target.boxes, None, target.regression, target.towers)
    assert Fgd(fgd.FgdConstants(), 5, 4, 6)(own, target, scene)["fgd_focal"].isfinite()
    assert Mgd(mgd.MgdConstants(), 5, 4, 6)(own, target, scene)["mgd"].isfinite()


def test_crosskd_divisors():
    for name, fcos in (("gfl", False), ("atss", False), ("fcos", True)):
        scene = make_scene(fcos=fcos)
        own, target = make_view(scene, 1), make_view(scene, 2)
        constants = crosskd.CrossKdConstants.published(name)
        losses = CrossKd(constants)(own, target, scene)
        divisor = scene.normaliser
        if fcos:
            divisor = sum(
                slow_centerness(scene.grid.centres[cell].tolist(), scene.assignment.boxes[image, cell].tolist())
                for image, cell in cells_of(scene)
                if scene.positive[image, cell]
            )
        classes = sum(
            abs(sigmoid(t) - sigmoid(s)) * bce(sigmoid(s), sigmoid(t))
            for image, cell in cells_of(scene)
            if scene.assignment.valid[image, cell]
            for s, t in zip(
                own.class_logits[image, cell].tolist(), target.class_logits[image, cell].tolist(), strict=True
            )
        )
        expected = constants.class_weight * classes / divisor
        assert losses["crosskd_class"].item() == pytest.approx(expected, rel=1e-4)
        assert losses["crosskd_box"].item() > 0
        assert ("crosskd_centerness" in losses) == (name == "atss")


@pytest.mark.parametrize("fcos", [False, True])
def test_images_without_objects_give_finite_losses_and_gradients(fcos):
    scene = make_scene(empty=True, fcos=fcos)
    own, target = make_view(scene, 1), make_view(scene, 2)
    name = "fcos" if fcos else "gfl"
    methods = [
        Ld(localization.LdConstants.published(name)),
        Ld(localization.LdConstants.published(name), cid.CidConstants()),
        Bckd(),
        Bckd(cid.CidConstants()),
        Fgd(fgd.FgdConstants(), 5, 6, 6),
        CrossKd(crosskd.CrossKdConstants.published(name)),
    ]
    for method in methods:
        loss = sum(method(own, target, scene).values())
        assert loss.isfinite(), method
        if loss.requires_grad:
            loss.backward()
    for tensor in (own.class_logits, own.boxes, own.distributions):
        assert tensor.grad is None or tensor.grad.isfinite().all()


def test_the_teacher_gets_no_gradient():
    scene = make_scene()
    own, target = make_view(scene, 1), make_view(scene, 2)
    for method in (Ld(localization.LdConstants(), cid.CidConstants()), Bckd(), CrossKd(crosskd.CrossKdConstants())):
        sum(method(own, target, scene).values()).backward()
    assert target.class_logits.grad is None
    assert target.boxes.grad is None
    assert target.distributions.grad is None


def test_ld_on_a_delta_head_is_refused():
    scene = make_scene()
    with pytest.raises(DistillationError, match="delta head"):
        Ld(localization.LdConstants())(make_view(scene, 1, distribution=False), make_view(scene, 2), scene)
