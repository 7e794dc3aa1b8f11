"""Every distillation method as a module: constants, the layers it trains along, and one ``forward`` giving its losses.

``forward(student, teacher, scene)`` returns named scalars, already weighted, to be added to the detector's own losses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from uav_perception.distillation import bckd, cid, crosskd, fgd, localization, mgd
from uav_perception.distillation.errors import DistillationError
from uav_perception.distillation.views import DenseView, Scene
from uav_perception.networks.boxes import boxes_to_distances, centerness
from uav_perception.networks.distributed import mean_over_ranks


def _distributions(view: DenseView) -> Tensor:
    if view.distributions is None:
        raise DistillationError("this loss compares distributions of box sides, and a delta head gives none")
    return view.distributions


class GlobalTerm(nn.Module):
    """Equation 10: the teacher's regression map rebuilt from the student's masked one, on every level.

    Args:
        constants: CID's constants.
        student_channels: channels of the student's chosen map (regression output or tower).
        teacher_channels: channels of the teacher's.
    """

    def __init__(self, constants: cid.CidConstants, student_channels: int, teacher_channels: int) -> None:
        super().__init__()
        self.constants = constants
        self.generator = mgd.FeatureGenerator(student_channels, teacher_channels)

    def forward(self, student: DenseView, teacher: DenseView) -> Tensor:
        """The term, weighted with beta (eq. 11)."""
        tower = self.constants.global_tensor == "tower"
        pairs = list(
            zip(
                student.towers if tower else student.regression,
                teacher.towers if tower else teacher.regression,
                strict=True,
            )
        )
        total = sum(
            cid.global_loss(self.generator(own, mgd.random_mask(own, self.constants.masked)), target)
            for own, target in pairs
        )
        if self.constants.average_levels:
            total = total / len(pairs)
        return self.constants.beta * total


def region_weights(constants: cid.CidConstants, teacher: DenseView, scene: Scene) -> Tensor:
    """CID's region weights (B, N), 0 on the padding; ``constants.region`` must not be "own"."""
    centres, gamma = scene.grid.centres, constants.gamma
    if constants.region == "cid_within_gt":
        weights = [cid.cid_within_gt_weights(centres, boxes, gamma) for boxes in scene.ground_truth]
    else:
        weights = [
            cid.cid_weights(centres, predicted, boxes, gamma)
            for predicted, boxes in zip(teacher.boxes.detach(), scene.ground_truth, strict=True)
        ]
    return torch.stack(weights) * scene.assignment.valid


def ld_region_weights(gamma: float, student: DenseView, scene: Scene) -> Tensor:
    """LD's VLR weights (B, N), 0 on the padding: by DIoU and IoU with ATSS, by the student's score with FCOS."""
    if scene.has_thresholds:
        anchors = scene.grid.anchors
        weights = [
            localization.vlr_weights(anchors, boxes, thresholds, gamma)
            for boxes, thresholds in zip(scene.ground_truth, scene.assignment.thresholds, strict=True)
        ]
        return torch.stack(weights) * scene.assignment.valid
    inside = [
        localization.fcos_vlr(scene.grid.centres, boxes, positive)
        for boxes, positive in zip(scene.ground_truth, scene.positive, strict=True)
    ]
    confidence = student.class_logits.detach().sigmoid().amax(dim=-1)
    return torch.stack(inside) * scene.assignment.valid * confidence


class Ld(nn.Module):
    """LD, and LD+Ours when ``ours`` is given.

    Args:
        constants: LD's constants.
        ours: CID's constants, or None for plain LD.
        global_term: the term of eq. 10, or None.
    """

    def __init__(
        self,
        constants: localization.LdConstants,
        ours: cid.CidConstants | None = None,
        global_term: GlobalTerm | None = None,
    ) -> None:
        super().__init__()
        self.constants = constants
        self.ours = ours
        self.global_term = global_term

    def region(self, student: DenseView, teacher: DenseView, scene: Scene) -> Tensor:
        """Weights (B, N) of the region beside the positives, before the scale."""
        if self.ours is not None and self.ours.region != "own":
            return self.ours.alpha * region_weights(self.ours, teacher, scene)
        return ld_region_weights(self.constants.gamma, student, scene)

    def forward(self, student: DenseView, teacher: DenseView, scene: Scene) -> dict[str, Tensor]:
        """``ld_main``, ``ld_region``, ``ld_class`` and, with eq. 10, ``cid_global``."""
        constants = self.constants
        own, target = _distributions(student), _distributions(teacher)
        positive = scene.positive
        confidence = student.class_logits.detach().sigmoid().amax(dim=-1)
        main = localization.distribution_loss(
            own[positive], target[positive], confidence[positive], constants.temperature
        )
        losses = {"ld_main": constants.main_scale * main}
        if constants.vlr_scale > 0:
            weights = self.region(student, teacher, scene)
            chosen = weights > 0
            region = localization.distribution_loss(own[chosen], target[chosen], weights[chosen], constants.temperature)
            losses["ld_region"] = constants.vlr_scale * region
        if self.ours is not None and self.ours.average_levels:
            losses = {name: loss / len(scene.grid.level_sizes) for name, loss in losses.items()}
        if constants.class_weight > 0:
            losses["ld_class"] = constants.class_weight * localization.class_loss(
                student.class_logits[positive],
                teacher.class_logits[positive],
                scene.grid.levels.expand(positive.shape)[positive],
                constants.class_temperature,
            )
        if self.global_term is not None:
            losses["cid_global"] = self.global_term(student, teacher)
        return losses


class Bckd(nn.Module):
    """BCKD, and BCKD+Ours when ``ours`` is given: the box weight becomes ``gap I_main + alpha I_vlr``.

    Args:
        ours: CID's constants, or None for plain BCKD.
        global_term: the term of eq. 10, or None.
    """

    def __init__(self, ours: cid.CidConstants | None = None, global_term: GlobalTerm | None = None) -> None:
        super().__init__()
        self.ours = ours
        self.global_term = global_term

    def forward(self, student: DenseView, teacher: DenseView, scene: Scene) -> dict[str, Tensor]:
        """``bckd_class``, ``bckd_box`` and, with eq. 10, ``cid_global``."""
        active = scene.active
        gap = bckd.score_gap(student.class_logits, teacher.class_logits)
        if self.ours is not None and self.ours.region != "own":
            gap = gap * scene.positive + self.ours.alpha * region_weights(self.ours, teacher, scene)
            if self.ours.average_levels:
                gap = gap / len(scene.grid.level_sizes)
        losses = {
            "bckd_class": bckd.class_loss(student.class_logits, teacher.class_logits, active, scene.normaliser),
            "bckd_box": bckd.box_loss(student.boxes, teacher.boxes, gap, active, scene.normaliser),
        }
        if self.global_term is not None:
            losses["cid_global"] = self.global_term(student, teacher)
        return losses


class Fgd(nn.Module):
    """FGD on every level of the pyramid, each with its own pair of GC blocks (and a 1x1 where the widths differ).

    Args:
        constants: factors and temperature.
        levels: pyramid levels.
        student_channels: channels of the student's pyramid.
        teacher_channels: channels of the teacher's.
    """

    def __init__(self, constants: fgd.FgdConstants, levels: int, student_channels: int, teacher_channels: int) -> None:
        super().__init__()
        self.constants = constants
        self.align = nn.ModuleList(
            nn.Identity() if student_channels == teacher_channels else nn.Conv2d(student_channels, teacher_channels, 1)
            for _ in range(levels)
        )
        self.student_context = nn.ModuleList(fgd.GlobalContext(teacher_channels) for _ in range(levels))
        self.teacher_context = nn.ModuleList(fgd.GlobalContext(teacher_channels) for _ in range(levels))

    def forward(self, student: DenseView, teacher: DenseView, scene: Scene) -> dict[str, Tensor]:
        """``fgd_focal`` and ``fgd_context``."""
        focal, context = [], []
        for level, (own, target) in enumerate(zip(student.features, teacher.features, strict=True)):
            own, target = self.align[level](own), target.detach()
            foreground, background = fgd.scale_masks(scene.ground_truth, scene.image_size, own.shape[2:])
            focal.append(fgd.focal_loss(own, target, foreground, background, self.constants))
            context.append(fgd.context_loss(self.student_context[level](own), self.teacher_context[level](target)))
        return {
            "fgd_focal": torch.stack(focal).sum(),
            "fgd_context": self.constants.context * torch.stack(context).sum(),
        }


class Mgd(nn.Module):
    """MGD on every level of the pyramid, each with its own generator.

    Args:
        constants: factor and masked share.
        levels: pyramid levels.
        student_channels: channels of the student's pyramid.
        teacher_channels: channels of the teacher's.
    """

    def __init__(self, constants: mgd.MgdConstants, levels: int, student_channels: int, teacher_channels: int) -> None:
        super().__init__()
        self.constants = constants
        self.generators = nn.ModuleList(mgd.FeatureGenerator(student_channels, teacher_channels) for _ in range(levels))

    def forward(self, student: DenseView, teacher: DenseView, scene: Scene) -> dict[str, Tensor]:
        """``mgd``."""
        losses = [
            mgd.regeneration_loss(generator(own, mgd.random_mask(own, self.constants.masked)), target)
            for generator, own, target in zip(self.generators, student.features, teacher.features, strict=True)
        ]
        return {"mgd": self.constants.weight * torch.stack(losses).sum()}


class CrossKd(nn.Module):
    """CrossKD. ``student`` is the cross-head view: the student's half-way features, finished by the teacher's head.

    Args:
        constants: the constants.
    """

    def __init__(self, constants: crosskd.CrossKdConstants) -> None:
        super().__init__()
        self.constants = constants

    def forward(self, student: DenseView, teacher: DenseView, scene: Scene) -> dict[str, Tensor]:
        """``crosskd_class``, ``crosskd_box`` and, where it has a weight, ``crosskd_centerness``."""
        constants, valid, positive = self.constants, scene.assignment.valid, scene.positive
        normaliser = scene.normaliser
        if not scene.has_thresholds:  # FCOS divides by the sum of the positives' centerness
            distances = boxes_to_distances(scene.grid.centres, scene.assignment.boxes)
            normaliser = float(mean_over_ranks(centerness(distances[positive]).sum()).clamp(min=1e-6))
        own_classes, target_classes = student.class_logits[valid], teacher.class_logits[valid]
        confidence = crosskd.teacher_confidence(target_classes)
        if constants.box_loss == "kl":
            own = _distributions(student)[valid]
            box = crosskd.distribution_loss(own, _distributions(teacher)[valid], confidence, constants.temperature)
        else:
            box = crosskd.box_loss(
                student.boxes[valid], teacher.boxes[valid], confidence, normaliser, constants.box_loss
            )
        losses = {
            "crosskd_class": constants.class_weight * crosskd.class_loss(own_classes, target_classes, normaliser),
            "crosskd_box": constants.box_weight * box,
        }
        if constants.centerness_weight > 0 and student.centerness is not None and teacher.centerness is not None:
            term = crosskd.centerness_loss(student.centerness[positive], teacher.centerness[positive], normaliser)
            losses["crosskd_centerness"] = constants.centerness_weight * term
        return losses
