"""The recipe of an action network: every key, its meaning and its default."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from uav_perception.datasets.action_clips import PROTOCOLS, Window
from uav_perception.datasets.clip_transforms import Augmentation
from uav_perception.networks.action_zoo import default_feed, takes_any_segments
from uav_perception.networks.losses_action import ActionLoss
from uav_perception.training.errors import RecipeError

_CHOICES = {
    "optimizer": ("adam", "adamw", "sgd"),
    "schedule": ("constant", "cosine", "one_cycle", "steps"),
    "frozen_bn": ("none", "partial", "all"),
    "store": ("files", "frames"),
    "precision": ("32-true", "bf16-mixed", "16-mixed"),
}


def _choose(name: str, value: str) -> None:
    if value not in _CHOICES[name]:
        raise RecipeError(f"{name} is {value!r}; choose one of {', '.join(_CHOICES[name])}.")


@dataclass(frozen=True)
class NetworkRecipe:
    """Attributes:
    name: of the zoo.
    segments: K, or the clip length of dense networks (0: as published).
    size, short_side: input and short side before the crop [px]; 0: as published.
    options: of LARMUV.
    weights: torchvision name or file; None trains from scratch.
    """

    name: str = "larmuv"
    segments: int = 0
    size: int = 0
    short_side: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None


@dataclass(frozen=True)
class DataRecipe:
    """Attributes:
    format, root, options: see `read_videos`; ``options.split`` is set by ``splits``.
    splits: trained one after the other, their top-1 averaged.
    extra: further roots of the same format and classes; all their videos, of both parts, are trained on.
    background: folder of background videos, or None.
    window: sub-windows for streams, or None.
    cache: folder for frame counts, decoded frames, flow and teacher logits.
    store: "files" decodes on every access, "frames" keeps decoded frames in one file.
    store_short_side, store_every: of the decoded copy (0: as large as they are; every n-th frame).
    """

    format: str
    root: str
    options: dict[str, Any] = field(default_factory=dict)
    splits: tuple[int, ...] = ()
    extra: tuple[str, ...] = ()
    background: str | None = None
    window: Window | None = None
    cache: str = "data/cache"
    store: str = "files"
    store_short_side: int = 0
    store_every: int = 1

    def __post_init__(self) -> None:
        _choose("store", self.store)


@dataclass(frozen=True)
class StreamRecipe:
    """One network of the teacher: a checkpoint of this package and its share. ``{split}`` in the path is filled in."""

    checkpoint: str
    weight: float = 1.0


@dataclass(frozen=True)
class OptimizerRecipe:
    """Attributes:
    name: adam (published), adamw, sgd (momentum .9).
    rate: learning rate; the peak of one_cycle.
    weight_decay: L2 for adam and sgd, decoupled for adamw.
    backbone_rate_scale: the backbone's rate as a share of ``rate``.
    schedule: constant, cosine (to 0), one_cycle (warm-up of ``warmup`` of the run, then cosine), steps (x0.1 at
        ``milestones``, shares of the run).
    warmup: share of the run.
    milestones: shares of the run.
    clip_norm: gradient norm limit; 0 is none.
    """

    name: str = "adam"
    rate: float = 1e-3
    weight_decay: float = 1e-4
    backbone_rate_scale: float = 1.0
    schedule: str = "cosine"
    warmup: float = 0.1
    milestones: tuple[float, ...] = (0.5, 0.8)
    clip_norm: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in _CHOICES["optimizer"]:
            raise RecipeError(f"optimizer.name is {self.name!r}; choose one of {', '.join(_CHOICES['optimizer'])}.")
        _choose("schedule", self.schedule)


@dataclass(frozen=True)
class RunRecipe:
    """Attributes:
    epochs, batch: batch counts clips over all processes.
    seed: of everything random.
    precision: Lightning's word: "32-true", or AMP: "bf16-mixed", "16-mixed" (CUDA; elsewhere bfloat16 is taken).
    frozen_bn: "partial" is TSN's (all but the first batch norm), "all" every one.
    channels_last: memory format of 2D networks; faster on CPUs and tensor cores.
    workers: loader processes.
    validate_every: epochs between tests on the test part (0: at the end only).
    protocol: of the final test.
    tensorboard: write TensorBoard logs beside ``curve.csv``.
    """

    epochs: int = 60
    batch: int = 32
    seed: int = 0
    precision: str = "32-true"
    frozen_bn: str = "none"
    channels_last: bool = False
    workers: int = 0
    validate_every: int = 5
    protocol: str = "centre"
    tensorboard: bool = False

    def __post_init__(self) -> None:
        _choose("frozen_bn", self.frozen_bn)
        _choose("precision", self.precision)
        if self.epochs < 1 or self.batch < 1 or self.validate_every < 0:
            raise RecipeError(
                f"training needs epochs >= 1, batch >= 1, validate_every >= 0, got {self.epochs}, {self.batch}, "
                f"{self.validate_every}."
            )
        if self.protocol not in PROTOCOLS:
            raise RecipeError(f"protocol is {self.protocol!r}; choose one of {', '.join(PROTOCOLS)}.")


@dataclass(frozen=True)
class ActionRecipe:
    """A whole run. ``published`` is the paper's number for the row, kept beside the result."""

    data: DataRecipe
    task: str = "action"
    title: str = ""
    network: NetworkRecipe = field(default_factory=NetworkRecipe)
    augmentation: Augmentation = field(default_factory=Augmentation)
    loss: ActionLoss = field(default_factory=ActionLoss)
    teacher: tuple[StreamRecipe, ...] = ()
    optimizer: OptimizerRecipe = field(default_factory=OptimizerRecipe)
    training: RunRecipe = field(default_factory=RunRecipe)
    published: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.loss.distillation > 0 and not self.teacher:
            raise RecipeError("loss.distillation is above 0, but the recipe names no teacher.")
        if PROTOCOLS[self.training.protocol].segments and not takes_any_segments(self.network.name):
            raise RecipeError(
                f"training.protocol {self.training.protocol} tests on more segments than {self.network.name} takes; "
                "choose another."
            )
        if self.training.channels_last and default_feed(self.network.name).sampling == "dense":
            raise RecipeError(f"training.channels_last is for networks of pictures; {self.network.name} is 3D.")
