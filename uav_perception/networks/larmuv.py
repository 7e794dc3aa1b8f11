"""LARMUV: MobileNetV3-Large on K frames, one Transformer encoder layer over their features, mean, classifier.

The two halves are kept apart (`features` per frame, `head` per window) because a stream computes the first once a tick
and reuses it. Positions are added in the head, so that a cached feature fits any place of the window.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from uav_perception.networks.errors import NetworkError
from uav_perception.networks.temporal_shift import add_temporal_shift
from uav_perception.networks.vision import torchvision

FEATURE_SIZE = 960
POSITIONS = ("learned", "none")
INPUTS = ("rgb", "rgb_difference")
CHANNELS_OF_INPUT = {"rgb": 3, "rgb_difference": 6}


@dataclass(frozen=True)
class LarmuvOptions:
    """What can be switched about LARMUV.

    Attributes:
        classes: number of actions.
        segments: K, frames of a clip.
        attention: the Transformer layer; without it the network is the ablation's plain TSN (mean of features).
        positions: "learned" adds a K x 960 table, "none" is the paper's text (the result then ignores frame order).
        causal: each frame attends to itself and earlier ones only, and every prefix of the window gets its own logits
            to train on, so that the head also answers while a stream's window is still filling.
        temporal_shift: residual blocks exchange 1/8 of their channels with the previous and the next segment (with
            ``causal``: take 1/8 from the previous one only). No cost, but frames can no longer be cached alone.
        input: "rgb", or "rgb_difference": each segment holds two frames, the network sees their difference.
        encoder_dropout: inside the Transformer layer.
        classifier_dropout: before the last linear layer.
        norm_momentum: of the backbone's batch norms. 0.01 is torchvision's, right for fine-tuning; a short run from
            scratch needs 0.1, or its running statistics lag behind.
    """

    classes: int
    segments: int = 3
    attention: bool = True
    positions: str = "learned"
    causal: bool = False
    temporal_shift: bool = False
    input: str = "rgb"
    encoder_dropout: float = 0.1
    classifier_dropout: float = 0.5
    norm_momentum: float = 0.01

    def __post_init__(self) -> None:
        if self.classes < 2 or self.segments < 1:
            raise NetworkError(
                f"LARMUV needs at least 2 classes and 1 segment, got {self.classes} classes, {self.segments} segments."
            )
        if self.positions not in POSITIONS:
            raise NetworkError(f"positions is {self.positions!r}; choose one of {', '.join(POSITIONS)}.")
        if self.input not in INPUTS:
            raise NetworkError(f"input is {self.input!r}; choose one of {', '.join(INPUTS)}.")
        for name in ("encoder_dropout", "classifier_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise NetworkError(f"{name} is {getattr(self, name)}; it must lie in [0, 1).")
        if self.causal and not self.attention:
            raise NetworkError("causal masks attention, so it needs attention: true.")


class TemporalHead(nn.Module):
    """From the features of K frames to the logits of the clip (section II-B of the paper)."""

    def __init__(self, options: LarmuvOptions) -> None:
        super().__init__()
        self.options = options
        self.positions: nn.Parameter | None = None
        self.encoder: nn.Module | None = None
        if options.attention:
            self.encoder = nn.TransformerEncoderLayer(
                FEATURE_SIZE, nhead=2, dim_feedforward=2048, dropout=options.encoder_dropout, batch_first=True
            )
            if options.positions == "learned":
                self.positions = nn.Parameter(torch.zeros(options.segments, FEATURE_SIZE))
                nn.init.trunc_normal_(self.positions, std=0.02)
        self.dropout = nn.Dropout(options.classifier_dropout)
        self.classifier = nn.Linear(FEATURE_SIZE, options.classes)

    def encode(self, window: Tensor) -> Tensor:
        """O of the paper: (B, K, 960) to (B, K, 960)."""
        if self.positions is not None:
            window = window + self.positions
        if self.encoder is None:
            return window
        if not self.options.causal:
            return self.encoder(window)
        later = torch.ones(self.options.segments, self.options.segments, dtype=torch.bool, device=window.device).triu(1)
        return self.encoder(window, src_mask=later)

    def prefix_logits(self, window: Tensor) -> Tensor:
        """Logits after 1, 2 ... K frames: (B, K, 960) to (B, K, C). Meaningful in causal mode only."""
        encoded = self.encode(window)
        counts = torch.arange(1, encoded.shape[1] + 1, device=encoded.device, dtype=encoded.dtype)
        return self.classifier(self.dropout(encoded.cumsum(1) / counts[:, None]))

    def forward(self, window: Tensor) -> Tensor:
        """(B, K, 960) to (B, C)."""
        return self.classifier(self.dropout(self.encode(window).mean(1)))


class Larmuv(nn.Module):
    """The whole network: ``clip`` (B, K, 3, H, W), normalised, to logits (B, C).

    With ``input="rgb_difference"`` a segment has 6 channels: the earlier frame's three, then the later frame's.
    """

    def __init__(self, options: LarmuvOptions) -> None:
        super().__init__()
        self.options = options
        self.backbone = torchvision.models.mobilenet_v3_large().features
        for module in self.backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = options.norm_momentum
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = TemporalHead(options)
        if options.temporal_shift:
            residual = [layer for layer in self.backbone if getattr(layer, "use_res_connect", False)]
            add_temporal_shift([layer.block for layer in residual], options.segments, causal=options.causal)

    @property
    def segments(self) -> int:
        """K."""
        return self.options.segments

    def features(self, frames: Tensor) -> Tensor:
        """Per-frame half: (B, 3 or 6, H, W) to (B, 960)."""
        if self.options.input == "rgb_difference":
            frames = frames[:, 3:] - frames[:, :3]
        return self.pool(self.backbone(frames)).flatten(1)

    def window(self, clip: Tensor) -> Tensor:
        """Features of every frame of a clip: (B, K, C, H, W) to (B, K, 960)."""
        if clip.shape[1] != self.segments:
            raise NetworkError(f"The clip has {clip.shape[1]} segments; this network was built for {self.segments}.")
        return self.features(clip.reshape(-1, *clip.shape[2:])).reshape(-1, self.segments, FEATURE_SIZE)

    def prefix_logits(self, clip: Tensor) -> Tensor:
        """Causal training target: logits after every prefix, (B, K, C)."""
        return self.head.prefix_logits(self.window(clip))

    def forward(self, clip: Tensor) -> Tensor:
        """(B, K, C, H, W) to (B, classes)."""
        return self.head(self.window(clip))
