"""A dense detector, assembled from a configuration: backbone, pyramid, head.

Structure, which training, distillation and export build on::

    detector = Detector(DetectorConfig(num_classes=10, head="gfl", backbone="resnet18"))
    detector.backbone, detector.neck, detector.head        # the three submodules

    output = detector(images)                              # DetectorOutput
    output.features                                        # pyramid maps, per level (B, C, H_l, W_l)
    output.head.class_logits, .regressions, .centerness    # per level; flat_...() gives (B, N, ...)
    output.head.class_towers, .regression_towers           # per level, before Light-ML
    output.head.class_stages, .regression_stages           # per level and convolution, when keep_stages=True
    output.head.grid                                       # centres, strides, anchors, level_sizes of the N cells

    assignment = detector.head.assign(output.head.grid, targets)      # gt_index (B, N), boxes, thresholds ...
    losses = detector.head.losses(output.head, assignment)            # dict of weighted scalars
    boxes = detector.head.decode(output.head)                         # (B, N, 4) px, differentiable
    scores = detector.head.scores(output.head)                        # (B, N, C)

All cells are counted level after level and row by row. Targets are one ``ImageTargets`` an image. ``head.finish`` runs
the rest of a head on the stages of another one (CrossKD), ``head.predict`` only its output convolutions.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from torch import Tensor, nn

from uav_perception.networks.backbones import make_backbone
from uav_perception.networks.errors import NetworkError
from uav_perception.networks.fpn import FeaturePyramid
from uav_perception.networks.heads.atss import ATSSHead
from uav_perception.networks.heads.base import DenseHead, HeadConfig, HeadOutput
from uav_perception.networks.heads.fcos import FCOSHead
from uav_perception.networks.heads.gfl import GFLHead

HEADS: dict[str, type[DenseHead]] = {"gfl": GFLHead, "atss": ATSSHead, "fcos": FCOSHead}


@dataclass(frozen=True)
class DetectorConfig:
    """Everything that determines a detector's weights and computation. The defaults are mmdet's GFL on ResNet-18.

    Attributes:
        num_classes: number of classes.
        head: ``gfl``, ``atss`` or ``fcos``.
        backbone: one of ``backbones.BACKBONES``.
        backbone_weights: file of ImageNet weights as torchvision publishes them; None trains from scratch.
        frozen_stages: see the backbone; set 0 when training from scratch.
        norm_eval: BatchNorm keeps its running statistics; set false when training from scratch.
        neck_channels: channels of the pyramid.
        levels: number of levels, the finest at ``finest_stride``; what the backbone lacks is added by the pyramid.
        finest_stride: 8 (P3) or 4 (P2).
        neck_separable, and the rest: see ``HeadConfig``; ``neck_separable`` is the pyramid's.
    """

    num_classes: int
    head: str = "gfl"
    backbone: str = "resnet18"
    backbone_weights: str | None = None
    frozen_stages: int = 1
    norm_eval: bool = True
    neck_channels: int = 256
    neck_separable: bool = False
    levels: int = 5
    finest_stride: int = 8
    head_channels: int = 256
    head_separable: bool = False
    stacked_convs: int = 4
    groups: int = 32
    distribution: bool = False
    reg_max: int = 16
    anchor_scale: float = 8.0
    fusion: str = "none"
    light_ml_k: float = 0.25
    light_ml_activation: bool = True
    fcos_improved: bool = True

    def __post_init__(self) -> None:
        if self.head not in HEADS:
            raise NetworkError(f"There is no head {self.head!r}; choose one of {', '.join(HEADS)}.")
        if self.levels < (3 if self.finest_stride == 8 else 4):
            raise NetworkError(
                f"{self.levels} levels from stride {self.finest_stride} are fewer than the backbone's own; "
                "ask for at least 3 from stride 8, or 4 from stride 4."
            )

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> DetectorConfig:
        """Build from a recipe's ``model`` section.

        Raises:
            NetworkError: a key is unknown or ``num_classes`` is missing.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise NetworkError(f"Unknown detector settings {', '.join(unknown)}; known are {', '.join(sorted(known))}.")
        if "num_classes" not in values:
            raise NetworkError("A detector's configuration needs num_classes.")
        return cls(**values)

    def to_dict(self) -> dict[str, object]:
        """The inverse of :meth:`from_dict`, JSON-ready."""
        return asdict(self)

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides of the levels [px]."""
        return tuple(self.finest_stride << level for level in range(self.levels))

    def head_config(self) -> HeadConfig:
        """The head's part."""
        return HeadConfig(
            num_classes=self.num_classes,
            in_channels=self.neck_channels,
            channels=self.head_channels,
            stacked_convs=self.stacked_convs,
            strides=self.strides,
            distribution=self.distribution,
            reg_max=self.reg_max,
            anchor_scale=self.anchor_scale,
            separable=self.head_separable,
            groups=self.groups,
            fusion=self.fusion,
            light_ml_k=self.light_ml_k,
            light_ml_activation=self.light_ml_activation,
            improved=self.fcos_improved,
        )


@dataclass(frozen=True)
class DetectorOutput:
    """A forward pass: the pyramid's maps, per level (B, neck_channels, H_l, W_l), and the head's output."""

    features: list[Tensor]
    head: HeadOutput


class Detector(nn.Module):
    """Backbone, feature pyramid and dense head.

    Args:
        config: what to build.
        load_backbone: read ``config.backbone_weights``. False when a checkpoint is loaded anyway, so that the file
            need not be there.
    """

    def __init__(self, config: DetectorConfig, load_backbone: bool = True):
        super().__init__()
        self.config = config
        self.backbone = make_backbone(
            config.backbone,
            config.frozen_stages,
            config.norm_eval,
            config.finest_stride,
            config.backbone_weights if load_backbone else None,
        )
        self.neck = FeaturePyramid(
            self.backbone.channels,
            config.neck_channels,
            extra_levels=config.levels - len(self.backbone.channels),
            relu_before_extra=config.head == "fcos",
            separable=config.neck_separable,
        )
        self.head = HEADS[config.head](config.head_config())

    def forward(self, images: Tensor, keep_stages: bool = False) -> DetectorOutput:
        """Predict on a batch.

        Args:
            images: (B, 3, H, W), normalised RGB. Training pads to multiples of 32; any size works.
            keep_stages: see :meth:`DenseHead.forward`.
        """
        features = self.neck(self.backbone(images))
        return DetectorOutput(features, self.head(features, keep_stages))
