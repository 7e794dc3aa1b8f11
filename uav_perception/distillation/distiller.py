"""The teacher beside the student: runs it without gradient and turns a batch into the chosen method's losses.

    distiller = Distiller(teacher, build_method(options, student, teacher))
    output = student(images, keep_stages=distiller.keep_stages)
    assignment = student.head.assign(output.head.grid, targets)
    losses = student.head.losses(output.head, assignment) | distiller(images, output, assignment)

``distiller.parameters()`` are the layers that only training needs (generators, GC blocks); they belong to the
optimiser. The teacher is no part of them, nor of the checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uav_perception.distillation.cid import CidConstants
from uav_perception.distillation.crosskd import CrossKdConstants, align_statistics
from uav_perception.distillation.errors import DistillationError
from uav_perception.distillation.fgd import FgdConstants
from uav_perception.distillation.localization import LdConstants
from uav_perception.distillation.methods import Bckd, CrossKd, Fgd, GlobalTerm, Ld, Mgd
from uav_perception.distillation.mgd import MgdConstants
from uav_perception.distillation.views import DenseView, Scene
from uav_perception.networks.assigners import Assignment
from uav_perception.networks.detector import Detector, DetectorOutput
from uav_perception.networks.heads.base import DenseHead, HeadOutput, samples

METHODS = ("ld", "ld_ours", "bckd", "bckd_ours", "fgd", "mgd", "crosskd")
_Constants = TypeVar("_Constants")


def view_of(head: DenseHead, output: DetectorOutput) -> DenseView:
    """What a detector said of a batch, in the form that the methods read; float32, whatever the network ran in."""
    said = output.head
    distributions = None
    if head.config.distribution:
        distributions = said.flat_regressions().unflatten(-1, (4, head.config.reg_max + 1))
    return DenseView(
        features=[level.float() for level in output.features],
        class_logits=said.flat_class_logits(),
        boxes=head.decode(said),
        distributions=distributions,
        regression=[level.float() for level in said.regressions],
        towers=[level.float() for level in said.regression_towers],
        centerness=None if said.centerness is None else said.flat_centerness(),
    )


def cross_head_output(
    teacher: DenseHead, student_output: DetectorOutput, teacher_output: DetectorOutput, from_layer: int
) -> DetectorOutput:
    """Finish the student's tower features in the teacher's head (CrossKD).

    Args:
        teacher: the teacher's head.
        student_output: the student's, with its stages.
        teacher_output: the teacher's, with its stages.
        from_layer: tower layers that the student keeps, 0 to the length of the towers.
    """
    classes, regressions, centerness = [], [], []
    for level, (own_features, target_features) in enumerate(
        zip(student_output.features, teacher_output.features, strict=True)
    ):
        if from_layer == 0:
            aligned = align_statistics(own_features, target_features)
            towers = (aligned, aligned)
        else:
            own, target = student_output.head, teacher_output.head
            towers = tuple(
                F.relu(align_statistics(stages[level][from_layer - 1], goal[level][from_layer - 1]))
                for stages, goal in (
                    (own.class_stages, target.class_stages),
                    (own.regression_stages, target.regression_stages),
                )
            )
        logits, regression, centre = teacher.finish(level, *towers, start=from_layer)
        classes.append(logits)
        regressions.append(regression)
        centerness.append(centre)
    said: HeadOutput = replace(
        teacher_output.head,
        class_logits=classes,
        regressions=regressions,
        centerness=None if teacher_output.head.centerness is None else centerness,
    )
    return DetectorOutput(student_output.features, said)


class Distiller(nn.Module):
    """A frozen teacher and a method.

    Args:
        teacher: trained; it is put into eval mode and its parameters are frozen.
        method: one of :mod:`uav_perception.distillation.methods`.
        student_head: the student's head, to decode its boxes; it is not owned by the distiller.
    """

    def __init__(self, teacher: Detector, method: nn.Module, student_head: DenseHead) -> None:
        super().__init__()
        self.method = method
        # Not as submodules: neither may appear among this module's parameters or in its state.
        self._beside = {"teacher": teacher.eval().requires_grad_(False), "head": student_head}

    @property
    def teacher(self) -> Detector:
        """The frozen teacher."""
        return self._beside["teacher"]

    @property
    def keep_stages(self) -> bool:
        """Whether the student's forward pass must keep its tower stages."""
        return isinstance(self.method, CrossKd)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Distiller:
        self.teacher._apply(fn)  # the teacher follows to the device
        return super()._apply(fn, recurse)

    def forward(
        self,
        images: Tensor,
        output: DetectorOutput,
        assignment: Assignment,
        taught: DetectorOutput | None = None,
    ) -> dict[str, Tensor]:
        """The method's losses, weighted, as scalars to be added to the student's own.

        Args:
            images: (B, 3, H, W), as the student saw them.
            output: the student's output on them.
            assignment: the student's targets.
            taught: the teacher's output on these images where it is known already (fixed crops); None runs the teacher.
        """
        if taught is None:
            with torch.no_grad():
                taught = self.teacher(images, keep_stages=self.keep_stages)
        teacher_head, student_head = self.teacher.head, self._beside["head"]
        is_fcos = student_head.decoder == "fcos"
        scene = Scene(
            image_size=tuple(images.shape[2:]),
            grid=output.head.grid,
            assignment=assignment,
            normaliser=float(samples(assignment, at_least_one_an_image=not is_fcos)),
            has_thresholds=not is_fcos,
        )
        if isinstance(self.method, CrossKd):
            crossed = cross_head_output(teacher_head, output, taught, self.method.constants.from_layer)
            own = view_of(teacher_head, crossed)
        else:
            own = view_of(student_head, output)
        with torch.autocast(images.device.type, enabled=False):  # sums of squares overflow half precision
            return self.method(own, view_of(teacher_head, taught), scene)


def _constants(kind: type[_Constants], build: Callable[..., _Constants], options: Mapping[str, Any]) -> _Constants:
    known = {field.name for field in fields(kind)}
    unknown = sorted(set(options) - known)
    if unknown:
        raise DistillationError(
            f"unknown distillation options {', '.join(unknown)}; this method knows {', '.join(sorted(known))}"
        )
    return build(**options)


def build_method(options: Mapping[str, Any], student: Detector, teacher: Detector) -> nn.Module:
    """Build the method that a recipe's ``distillation`` section names.

    Args:
        options: ``method``, one of :data:`METHODS`, and that method's constants where they differ from the published
            ones. ``ld_ours`` and ``bckd_ours`` read CID's constants from the key ``cid``. ``inherit`` is not the
            method's business and is passed over.
        student: the network to be trained.
        teacher: the trained network.

    Raises:
        DistillationError: an unknown method or option, or networks that the method cannot bring together.
    """
    options = {key: value for key, value in options.items() if key != "inherit"}
    name = options.pop("method", None)
    if name not in METHODS:
        raise DistillationError(f"unknown distillation method {name!r}; use one of {', '.join(METHODS)}")
    _check_pair(name, student, teacher)
    kind = student.config.head
    levels = student.config.levels
    widths = (student.config.neck_channels, teacher.config.neck_channels)
    if name == "fgd":
        return Fgd(_constants(FgdConstants, lambda **o: FgdConstants.published(kind, **o), options), levels, *widths)
    if name == "mgd":
        return Mgd(_constants(MgdConstants, MgdConstants, options), levels, *widths)
    if name == "crosskd":
        constants = _constants(CrossKdConstants, lambda **o: CrossKdConstants.published(kind, **o), options)
        if kind != "gfl" and student.config.distribution:
            raise DistillationError("CrossKD is published for delta heads of ATSS and FCOS; set `distribution: false`")
        return CrossKd(constants)
    ours, global_term = None, None
    if name.endswith("_ours"):
        ours = _constants(CidConstants, CidConstants, options.pop("cid", {}))
        global_term = _global_term(ours, student, teacher)
    if name.startswith("ld"):
        constants = _constants(LdConstants, lambda **o: LdConstants.published(kind, **o), options)
        return Ld(constants, ours, global_term)
    if options:
        raise DistillationError(f"BCKD has no options, but the recipe gives {', '.join(sorted(options))}")
    return Bckd(ours, global_term)


def _global_term(ours: CidConstants, student: Detector, teacher: Detector) -> GlobalTerm | None:
    if ours.global_tensor == "none" or ours.beta == 0:
        return None
    if ours.global_tensor == "tower":
        return GlobalTerm(ours, student.config.head_channels, teacher.config.head_channels)
    return GlobalTerm(ours, student.head.regression_output.out_channels, teacher.head.regression_output.out_channels)


def _check_pair(method: str, student: Detector, teacher: Detector) -> None:
    own, other = student.head.config, teacher.head.config
    alike = {"strides": (own.strides, other.strides)}
    if method not in ("fgd", "mgd"):
        alike["head"] = (student.config.head, teacher.config.head)
        alike["num_classes"] = (own.num_classes, other.num_classes)
    if method.startswith("ld") or method == "crosskd":
        alike["distribution"] = (own.distribution, other.distribution)
        alike["reg_max"] = (own.reg_max, other.reg_max)
    if method == "crosskd":
        alike["head_channels"] = (own.channels, other.channels)
        alike["stacked_convs"] = (own.stacked_convs, other.stacked_convs)
    for name, (of_student, of_teacher) in alike.items():
        if of_student != of_teacher:
            raise DistillationError(
                f"{method} needs the same {name} in both networks; the student has {of_student} "
                f"and the teacher {of_teacher}"
            )
    if method.startswith("ld") and not own.distribution:
        raise DistillationError(
            f"LD teaches distributions of box sides and this {student.config.head} head has none; "
            "set `distribution: true` for student and teacher, or distil with bckd"
        )


def inherit_from_teacher(student: Detector, teacher: Detector) -> list[str]:
    """Copy the teacher's neck and head into the student where name and shape match (FGD's option).

    Returns:
        The names of the copied tensors; empty when the two have nothing in common.
    """
    copied = []
    with torch.no_grad():
        for part in ("neck", "head"):
            own, other = getattr(student, part).state_dict(), getattr(teacher, part).state_dict()
            for name, value in own.items():
                if name in other and other[name].shape == value.shape:
                    value.copy_(other[name])
                    copied.append(f"{part}.{name}")
    return copied
