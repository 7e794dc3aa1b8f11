"""What the three dense heads share: two towers, the exchange between them, and the interface around them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uav_perception.networks import boxes as box_ops
from uav_perception.networks.assigners import Assignment, ImageTargets
from uav_perception.networks.distributed import mean_over_ranks
from uav_perception.networks.errors import NetworkError
from uav_perception.networks.grid import Grid, flatten_levels, make_grid
from uav_perception.networks.layers import ConvGroupNorm, Scale
from uav_perception.networks.light_ml import (
    FUSIONS,
    ClassificationToLocalisation,
    LightML,
    LocalisationToClassification,
)

_PRIOR_BIAS = -math.log(99.0)  # every class starts at probability 0.01


@dataclass(frozen=True)
class HeadConfig:
    """The shape of a head.

    Attributes:
        num_classes: C.
        in_channels: channels of the pyramid.
        channels: channels of the towers.
        stacked_convs: convolutions of each tower.
        strides: of the levels [px].
        distribution: regress a distribution over ``reg_max + 1`` bins a side instead of one number (GFL always does).
        reg_max: largest distance a distribution reaches, in strides.
        anchor_scale: side of the square anchors in strides (GFL, ATSS).
        separable: depthwise separable tower convolutions, for light detectors.
        groups: groups of the towers' GroupNorm.
        fusion: exchange between the towers, one of ``light_ml.FUSIONS``.
        light_ml_k: share of convolved channels in Light-ML.
        light_ml_activation: GroupNorm and ReLU after Light-ML's convolution.
        improved: FCOS only: centre sampling, normalised targets, centerness on the localisation tower, GIoU.
    """

    num_classes: int
    in_channels: int = 256
    channels: int = 256
    stacked_convs: int = 4
    strides: tuple[int, ...] = (8, 16, 32, 64, 128)
    distribution: bool = False
    reg_max: int = 16
    anchor_scale: float = 8.0
    separable: bool = False
    groups: int = 32
    fusion: str = "none"
    light_ml_k: float = 0.25
    light_ml_activation: bool = True
    improved: bool = True

    def __post_init__(self) -> None:
        if self.num_classes < 1:
            raise NetworkError(f"A detector needs at least one class, not {self.num_classes}.")
        if self.fusion not in FUSIONS:
            raise NetworkError(f"There is no fusion {self.fusion!r}; choose one of {', '.join(FUSIONS)}.")
        if self.channels % self.groups:
            raise NetworkError(f"{self.channels} head channels cannot be divided into {self.groups} groups.")
        if self.reg_max < 1:
            raise NetworkError(f"reg_max must be at least 1, not {self.reg_max}.")


@dataclass(frozen=True)
class HeadOutput:
    """What a head says about a batch, per level (lists of (B, channels, H_l, W_l)), nothing after a sigmoid.

    Attributes:
        class_logits: C channels.
        regressions: 4 * (reg_max + 1) logits of distributions, or 4 deltas (ATSS) or distances (FCOS), after the
            level's scale.
        centerness: 1 channel; None for GFL.
        class_towers, regression_towers: the towers' outputs before the exchange (Light-ML).
        class_stages, regression_stages: per level the outputs of every tower convolution, normalised but not yet
            rectified; None unless asked for.
        grid: the cells.
    """

    class_logits: list[Tensor]
    regressions: list[Tensor]
    centerness: list[Tensor] | None
    class_towers: list[Tensor]
    regression_towers: list[Tensor]
    class_stages: list[list[Tensor]] | None
    regression_stages: list[list[Tensor]] | None
    grid: Grid

    def flat_class_logits(self) -> Tensor:
        """(B, N, C) float32."""
        return flatten_levels(self.class_logits).float()

    def flat_regressions(self) -> Tensor:
        """(B, N, 4 or 4 * (reg_max + 1)) float32."""
        return flatten_levels(self.regressions).float()

    def flat_centerness(self) -> Tensor:
        """(B, N) float32 logits.

        Raises:
            NetworkError: the head has no centerness.
        """
        if self.centerness is None:
            raise NetworkError("A GFL head has no centerness: its class scores contain the box quality.")
        return flatten_levels(self.centerness).float().squeeze(-1)


class DenseHead(nn.Module, ABC):
    """A head shared over the pyramid's levels.

    Subclasses set ``centre_offset``, decode their regressions and compute their losses.
    """

    decoder: str
    centre_offset: float = 0.0
    conv_bias: bool = False
    _has_centerness = True

    def __init__(self, config: HeadConfig):
        super().__init__()
        self.config = config
        outputs = 4 * (config.reg_max + 1) if config.distribution else 4
        self.class_convs = self._tower()
        self.regression_convs = self._tower()
        self.fusion = _make_fusion(config, outputs)
        self.class_output = nn.Conv2d(config.channels, config.num_classes, 3, padding=1)
        self.regression_output = nn.Conv2d(config.channels, outputs, 3, padding=1)
        self.centerness_output = nn.Conv2d(config.channels, 1, 3, padding=1) if self._has_centerness else None
        self.scales = nn.ModuleList(Scale() for _ in config.strides)
        self._initialise()

    def _tower(self) -> nn.ModuleList:
        c = self.config
        widths = [c.in_channels] + [c.channels] * c.stacked_convs
        return nn.ModuleList(
            ConvGroupNorm(a, b, groups=c.groups, separable=c.separable, bias=self.conv_bias)
            for a, b in pairwise(widths)
        )

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # N(0, 0.01) is published for dense 3x3 convolutions; a depthwise one with 9 inputs would fade out.
                if self.config.separable and module not in (self.class_output, self.regression_output):
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                else:
                    nn.init.normal_(module.weight, std=0.01)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.constant_(self.class_output.bias, _PRIOR_BIAS)

    # -- forward -----------------------------------------------------------------------------------------------------

    def forward(self, features: list[Tensor], keep_stages: bool = False) -> HeadOutput:
        """Predict on all levels.

        Args:
            features: pyramid maps (B, in_channels, H_l, W_l), one a stride.
            keep_stages: also return the output of every tower convolution before its ReLU.
        """
        towers = [(*self._run_tower(self.class_convs, x), *self._run_tower(self.regression_convs, x)) for x in features]
        outputs = [
            self.predict(level, classification, localisation)
            for level, (classification, _, localisation, _) in enumerate(towers)
        ]
        centerness = [output[2] for output in outputs]
        shapes = [tuple(x.shape[-2:]) for x in features]
        return HeadOutput(
            [output[0] for output in outputs],
            [output[1] for output in outputs],
            None if self.centerness_output is None else centerness,
            [tower[0] for tower in towers],
            [tower[2] for tower in towers],
            [tower[1] for tower in towers] if keep_stages else None,
            [tower[3] for tower in towers] if keep_stages else None,
            make_grid(
                shapes, self.config.strides, self.centre_offset, self.config.anchor_scale, device=features[0].device
            ),
        )

    @staticmethod
    def _run_tower(convs: nn.ModuleList, x: Tensor, start: int = 0) -> tuple[Tensor, list[Tensor]]:
        stages = []
        for conv in convs[start:]:
            before = conv(x)
            stages.append(before)
            x = F.relu(before)
        return x, stages

    def predict(self, level: int, classification: Tensor, localisation: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Class logits, scaled regressions and centerness of one level from its two towers, the exchange included."""
        if isinstance(self.fusion, (LightML, ClassificationToLocalisation)):
            classification, localisation = self.fusion(classification, localisation)
        regression = self.scales[level](self.regression_output(localisation))
        if isinstance(self.fusion, LocalisationToClassification):
            classification = self.fusion(classification, regression)
        centerness = None
        if self.centerness_output is not None:
            centerness = self.centerness_output(self._centerness_tower(classification, localisation))
        return self.class_output(classification), regression, centerness

    def finish(
        self, level: int, class_stage: Tensor, regression_stage: Tensor, start: int
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Run the rest of the head on features of another network (CrossKD).

        Args:
            level: index of the level.
            class_stage, regression_stage: (B, channels, H, W), rectified input of tower convolution ``start``.
            start: index of the first tower convolution to run, 0 to ``stacked_convs``.

        Returns:
            As :meth:`predict`.
        """
        classification, _ = self._run_tower(self.class_convs, class_stage, start)
        localisation, _ = self._run_tower(self.regression_convs, regression_stage, start)
        return self.predict(level, classification, localisation)

    def _centerness_tower(self, classification: Tensor, localisation: Tensor) -> Tensor:
        return localisation

    # -- interface of the subclasses ---------------------------------------------------------------------------------

    @abstractmethod
    def assign(self, grid: Grid, targets: list[ImageTargets]) -> Assignment:
        """Match the cells of a batch to its true boxes."""

    @abstractmethod
    def decode(self, output: HeadOutput) -> Tensor:
        """Boxes (B, N, 4) [px] of all cells; gradients flow."""

    @abstractmethod
    def losses(self, output: HeadOutput, assignment: Assignment) -> dict[str, Tensor]:
        """The published training losses, weighted, as scalars to be summed."""

    @abstractmethod
    def export_tensors(self, output: HeadOutput) -> dict[str, Tensor]:
        """The named outputs of the exported model, (1, N, ...)."""

    def decoder_options(self) -> dict[str, object]:
        """The constants that a decoder of the exported outputs needs."""
        options: dict[str, object] = {"strides": list(self.config.strides)}
        if self.config.distribution:
            options["reg_max"] = self.config.reg_max
        return options

    def class_scores(self, output: HeadOutput) -> Tensor:
        """(B, N, C) probabilities that are compared with the score threshold."""
        return output.flat_class_logits().sigmoid()

    def scores(self, output: HeadOutput) -> Tensor:
        """(B, N, C) scores that rank detections."""
        return self.class_scores(output)

    def _distances(self, output: HeadOutput) -> Tensor:
        """Expected distances of a distribution head, (B, N, 4) [px]."""
        expected = box_ops.integral(output.flat_regressions(), self.config.reg_max + 1)
        return expected * output.grid.strides[:, None]


def samples(assignment: Assignment, at_least_one_an_image: bool) -> Tensor:
    """The divisor of classification losses: positives of the batch, averaged over processes, at least 1.

    Args:
        assignment: of the batch.
        at_least_one_an_image: count an image without positives as 1 (mmdet's anchor heads do, FCOS does not).
    """
    per_image = assignment.positive.sum(1)
    if at_least_one_an_image:
        per_image = per_image.clamp(min=1)
    return mean_over_ranks(per_image.sum().float()).clamp(min=1)


def _make_fusion(config: HeadConfig, regression_outputs: int) -> nn.Module | None:
    if config.fusion == "light_ml":
        return LightML(config.channels, config.light_ml_k, config.light_ml_activation)
    if config.fusion == "shuffle":
        return LightML(config.channels, 0.0)
    if config.fusion == "cls_to_reg":
        return ClassificationToLocalisation(config.channels)
    if config.fusion == "reg_to_cls":
        return LocalisationToClassification(regression_outputs, config.channels)
    return None


def sum_over_valid(values: Tensor, valid: Tensor) -> Tensor:
    """Sum of values (B, N, C) over the classes and the cells that lie on an image; a scalar."""
    return torch.sum(values * valid.unsqueeze(-1))
