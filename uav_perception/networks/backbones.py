"""Backbones: torchvision's ResNets and MobileNetV3, cut open after the levels that a pyramid needs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from uav_perception.networks.errors import NetworkError
from uav_perception.networks.vision import torchvision

RESNETS = ("resnet18", "resnet50", "resnet101")
# Index of the last torchvision feature block of stride 4, 8, 16 and 32.
_MOBILENET_CUTS = {"mobilenet_v3_large": (3, 6, 12, 15), "mobilenet_v3_small": (1, 3, 8, 11)}
# torchvision's 0.01 averages over hundreds of steps, which suits ImageNet's 600 epochs; in a training of a few thousand
# steps the running statistics would lag behind the weights, and evaluation would see another network.
_NORM_MOMENTUM = 0.1
BACKBONES = (*RESNETS, *_MOBILENET_CUTS)


class ResNetStages(nn.Module):
    """ResNet C3, C4, C5 (or C2 to C5), stride in the 3x3 convolution, trained the way mmdet does.

    Args:
        name: ``resnet18``, ``resnet50`` or ``resnet101``.
        frozen_stages: 0 freezes nothing, 1 the stem and layer1, 2 also layer2, and so on.
        norm_eval: BatchNorm uses its running statistics in training too; its affine parameters still learn.
        finest_stride: 8 begins at C3, 4 at C2.
    """

    def __init__(self, name: str, frozen_stages: int = 1, norm_eval: bool = True, finest_stride: int = 8):
        super().__init__()
        body = getattr(torchvision.models, name)(weights=None)
        self.stem = nn.Sequential()
        for part in ("conv1", "bn1", "relu", "maxpool"):
            self.stem.add_module(part, getattr(body, part))
        self.layer1, self.layer2, self.layer3, self.layer4 = body.layer1, body.layer2, body.layer3, body.layer4
        self.frozen_stages, self.norm_eval, self.finest_stride = frozen_stages, norm_eval, finest_stride
        width = body.fc.in_features
        self.channels = tuple(width // factor for factor in (8, 4, 2, 1)[0 if finest_stride == 4 else 1 :])
        for module in self._frozen():
            module.requires_grad_(False)

    def _frozen(self) -> list[nn.Module]:
        return [self.stem, self.layer1, self.layer2, self.layer3, self.layer4][: _frozen_parts(self.frozen_stages)]

    def train(self, mode: bool = True) -> ResNetStages:
        """Training mode, except for what is frozen and, with ``norm_eval``, every BatchNorm."""
        super().train(mode)
        if mode:
            for module in self._frozen():
                module.eval()
            if self.norm_eval:
                _norms_to_eval(self)
        return self

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to maps of stride 8, 16, 32 (4 too when it is the finest)."""
        levels = []
        x = self.stem(x)
        for number, layer in enumerate((self.layer1, self.layer2, self.layer3, self.layer4)):
            x = layer(x)
            if number or self.finest_stride == 4:
                levels.append(x)
        return levels

    def load_classifier(self, state: dict[str, Tensor]) -> None:
        """Take over torchvision's ImageNet weights (its key names; ``fc`` is not used).

        Raises:
            NetworkError: keys are missing or shapes differ.
        """
        renamed = {}
        for key, value in state.items():
            if key.startswith(("conv1.", "bn1.")):
                renamed[f"stem.{key}"] = value
            elif not key.startswith("fc."):
                renamed[key] = value
        _load_strictly(self, renamed)


class MobileNetStages(nn.Module):
    """MobileNetV3's maps of stride 8, 16 and 32 (4 too on request).

    The last 1x1 convolution before the classifier is left out: a pyramid has no use for its 960 channels.

    Args:
        name: ``mobilenet_v3_large`` or ``mobilenet_v3_small``.
        frozen_stages: 0 freezes nothing, n the blocks up to stride 2**(n+1).
        norm_eval: BatchNorm uses its running statistics in training too. Leave it off when training from scratch.
        finest_stride: 8 or 4.
    """

    def __init__(self, name: str, frozen_stages: int = 0, norm_eval: bool = False, finest_stride: int = 8):
        super().__init__()
        norm = partial(nn.BatchNorm2d, eps=0.001, momentum=_NORM_MOMENTUM)
        blocks = getattr(torchvision.models, name)(weights=None, norm_layer=norm).features
        cuts = _MOBILENET_CUTS[name]
        starts = (0, *(cut + 1 for cut in cuts[:-1]))
        self.stages = nn.ModuleList(nn.Sequential(*list(blocks)[a : b + 1]) for a, b in zip(starts, cuts, strict=True))
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        self.first = 0 if finest_stride == 4 else 1
        self.channels = tuple(blocks[cut].out_channels for cut in cuts[self.first :])
        for module in self.stages[:frozen_stages]:
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> MobileNetStages:
        """Training mode, except for what is frozen and, with ``norm_eval``, every BatchNorm."""
        super().train(mode)
        if mode:
            for module in self.stages[: self.frozen_stages]:
                module.eval()
            if self.norm_eval:
                _norms_to_eval(self)
        return self

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to maps of stride (4,) 8, 16, 32."""
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return levels[self.first :]

    def load_classifier(self, state: dict[str, Tensor]) -> None:
        """Take over torchvision's ImageNet weights (its key names; the classifier is not used).

        Raises:
            NetworkError: keys are missing or shapes differ.
        """
        renamed, offset = {}, 0
        for number, stage in enumerate(self.stages):
            for block in range(len(stage)):
                old, new = f"features.{offset + block}.", f"stages.{number}.{block}."
                renamed |= {new + key.removeprefix(old): value for key, value in state.items() if key.startswith(old)}
            offset += len(stage)
        _load_strictly(self, renamed)


def _frozen_parts(frozen_stages: int) -> int:
    return 0 if frozen_stages <= 0 else frozen_stages + 1


def _norms_to_eval(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()


def _load_strictly(module: nn.Module, state: dict[str, Tensor]) -> None:
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise NetworkError(
            f"These weights do not fit {type(module).__name__}: {reason}. Give the ImageNet checkpoint that "
            "torchvision publishes for this backbone."
        ) from error


def make_backbone(
    name: str,
    frozen_stages: int,
    norm_eval: bool,
    finest_stride: int = 8,
    weights: str | Path | None = None,
) -> ResNetStages | MobileNetStages:
    """Build a backbone, optionally from a public ImageNet checkpoint of torchvision.

    Args:
        name: one of ``BACKBONES``.
        frozen_stages, norm_eval, finest_stride: see the classes.
        weights: file of a state dict as torchvision publishes it (for example ``resnet18-f37072fd.pth``).

    Raises:
        NetworkError: unknown name, or weights that do not fit.
        FileNotFoundError: no such file.
    """
    if name not in BACKBONES:
        raise NetworkError(f"There is no backbone {name!r}; choose one of {', '.join(BACKBONES)}.")
    if finest_stride not in (4, 8):
        raise NetworkError(f"A pyramid can begin at stride 4 or 8, not {finest_stride}.")
    kind = ResNetStages if name in RESNETS else MobileNetStages
    backbone = kind(name, frozen_stages, norm_eval, finest_stride)
    if weights is not None:
        backbone.load_classifier(torch.load(weights, map_location="cpu", weights_only=True))
    return backbone
