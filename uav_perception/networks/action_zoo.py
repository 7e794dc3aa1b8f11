"""Every action network by name: how it is built, what it is fed, and how its published weights load."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn

from uav_perception.networks.c3d import C3d
from uav_perception.networks.errors import NetworkError
from uav_perception.networks.i3d import I3d
from uav_perception.networks.inflation import inflate_googlenet, is_googlenet
from uav_perception.networks.larmuv import CHANNELS_OF_INPUT, Larmuv, LarmuvOptions
from uav_perception.networks.tsn import IMAGE_NETWORKS, Tsn
from uav_perception.networks.vision import torchvision

_IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
_UNIT = ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5))  # [-1, 1]
_KINETICS = ((110.2008, 100.63983, 95.99475), (58.14765, 56.46975, 55.332465))  # torchvision's video networks
_KINETICS_MVIT = ((114.75, 114.75, 114.75), (57.375, 57.375, 57.375))


@dataclass(frozen=True)
class Feed:
    """What a network sees of a video.

    Attributes:
        size: side of the square input [px].
        short_side: the frame's short side before a centre crop [px].
        mean, std: in 0..255 units and ``color`` order; for flow, of the stored 0..255 flow image.
        color: "rgb" or "bgr".
        modality: "rgb" or "flow".
        sampling: "segments" (one frame from each of ``frames`` equal parts) or "dense" (``frames`` in a row).
        frames: K or the clip length.
        stride: frames between two samples of a dense clip.
        frames_per_sample: 2 for differences (the earlier frame's channels, then the later frame's), else 1.
    """

    size: int
    short_side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    color: str = "rgb"
    modality: str = "rgb"
    sampling: str = "segments"
    frames: int = 3
    stride: int = 1
    frames_per_sample: int = 1


@dataclass(frozen=True)
class _Entry:
    build: Callable[..., nn.Module]
    feed: Feed
    classifier: str
    weights: str = ""
    rename: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()


def _larmuv(classes: int, segments: int, **options: object) -> nn.Module:
    known = {field.name for field in fields(LarmuvOptions)} - {"classes", "segments"}
    _refuse_unknown("larmuv", options, known)
    return Larmuv(LarmuvOptions(classes, segments, **options))


def _plain(name: str, make: Callable[[int], nn.Module]) -> Callable[..., nn.Module]:
    def build(classes: int, segments: int, **options: object) -> nn.Module:
        _refuse_unknown(name, options, set())
        return make(classes)

    return build


def _refuse_unknown(name: str, options: Mapping[str, object], known: set[str]) -> None:
    unknown = sorted(set(options) - known)
    if unknown:
        there = ", ".join(sorted(known)) or "none"
        raise NetworkError(f"{name} has no option {', '.join(unknown)}; its options: {there}.")


class _Clip(nn.Module):
    """torchvision's video networks behind our order of axes. They want (B, C, T, H, W)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, clip: Tensor) -> Tensor:
        """(B, T, C, H, W) to (B, classes)."""
        return self.network(clip.transpose(1, 2))


def _tsn_entry(name: str, weights: str, classifier: str, **feed: object) -> _Entry:
    mean, std = feed.pop("norm", _IMAGENET)
    return _Entry(
        _plain(name, lambda classes: Tsn(name, classes)),
        Feed(feed.pop("size", 224), feed.pop("short_side", 256), mean, std, **feed),
        f"backbone.{classifier}",
        weights,
        (("", "backbone."),),
        ("backbone.AuxLogits.",),
    )


def _video_entry(name: str, weights: str, classifier: str, feed: Feed) -> _Entry:
    make = _plain(name, lambda classes: _Clip(getattr(torchvision.models.video, name)(num_classes=classes)))
    return _Entry(make, feed, f"network.{classifier}", weights, (("", "network."),))


_I3D_FEED = Feed(224, 256, *_UNIT, sampling="dense", frames=64)
_FLOW_FEED = Feed(224, 256, (127.5, 127.5), (127.5, 127.5), modality="flow", sampling="dense", frames=64)
_SWIN_FEED = Feed(224, 256, *_IMAGENET, sampling="dense", frames=32, stride=2)

_ENTRIES: dict[str, _Entry] = {
    "larmuv": _Entry(
        _larmuv,
        Feed(224, 256, *_IMAGENET),
        "head.classifier",
        "MobileNet_V3_Large_Weights",
        (("features.", "backbone."),),
        ("classifier.",),
    ),
    "vgg16": _tsn_entry("vgg16", "VGG16_Weights", "classifier.6"),
    "resnet18": _tsn_entry("resnet18", "ResNet18_Weights", "fc"),
    "resnet34": _tsn_entry("resnet34", "ResNet34_Weights", "fc"),
    "resnet50": _tsn_entry("resnet50", "ResNet50_Weights", "fc"),
    "bn_inception": _tsn_entry(
        "bn_inception", "", "last_linear", norm=((104.0, 117.0, 128.0), (1.0, 1.0, 1.0)), color="bgr"
    ),
    "inception_v3": _tsn_entry("inception_v3", "Inception_V3_Weights", "fc", norm=_UNIT, size=299, short_side=342),
    "c3d": _Entry(
        _plain("c3d", C3d), Feed(112, 128, *_UNIT, sampling="dense", frames=16), "fc8", rename=(("backbone.", ""),)
    ),
    "i3d_rgb": _Entry(_plain("i3d_rgb", I3d), _I3D_FEED, "logits.conv3d", "GoogLeNet_Weights"),
    "i3d_flow": _Entry(_plain("i3d_flow", lambda classes: I3d(classes, "flow")), _FLOW_FEED, "logits.conv3d"),
    "mvit_v2_s": _video_entry(
        "mvit_v2_s",
        "MViT_V2_S_Weights",
        "head.1",
        Feed(224, 256, *_KINETICS_MVIT, sampling="dense", frames=16, stride=4),
    ),
    "swin3d_t": _video_entry("swin3d_t", "Swin3D_T_Weights", "head", _SWIN_FEED),
    "swin3d_s": _video_entry("swin3d_s", "Swin3D_S_Weights", "head", _SWIN_FEED),
    "swin3d_b": _video_entry("swin3d_b", "Swin3D_B_Weights", "head", _SWIN_FEED),
    "r2plus1d_18": _video_entry(
        "r2plus1d_18",
        "R2Plus1D_18_Weights",
        "fc",
        Feed(112, 128, *_KINETICS, sampling="dense", frames=16, stride=2),
    ),
}
NETWORKS = tuple(_ENTRIES)


def _entry(name: str) -> _Entry:
    if name not in _ENTRIES:
        raise NetworkError(f"There is no action network {name!r}; choose one of {', '.join(NETWORKS)}.")
    return _ENTRIES[name]


def build(name: str, classes: int, segments: int = 3, **options: object) -> nn.Module:
    """Build a network with random weights.

    Args:
        name: one of ``NETWORKS``.
        classes: number of actions.
        segments: K, for the networks that fix it.
        options: of `LarmuvOptions`, for ``larmuv`` only.

    Returns:
        A module that maps (B, T, C, H, W) to (B, classes).

    Raises:
        NetworkError: unknown name or option.
    """
    return _entry(name).build(classes, segments, **options)


def takes_any_segments(name: str) -> bool:
    """Whether a network built for K segments also takes another number, as the classic test protocol wants."""
    return name in IMAGE_NETWORKS


def classifier_of(name: str) -> str:
    """Name of the module that gives the logits: never pre-trained for the classes at hand."""
    return _entry(name).classifier


def default_feed(name: str, input_kind: str = "rgb") -> Feed:
    """How the published network was fed; ``input_kind`` is LARMUV's ``input`` option."""
    feed = _entry(name).feed
    if CHANNELS_OF_INPUT.get(input_kind, 3) == 6:
        return Feed(**{**feed.__dict__, "frames_per_sample": 2})
    return feed


def _state_of_file(path: Path) -> dict[str, Tensor]:
    """Tensors of a checkpoint: bare, or of this package's training (``network.``) or DataParallel (``module.``)."""
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, LookupError) as error:
        raise NetworkError(f"{path} is damaged or holds no weights: {error}") from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise NetworkError(f"{path} holds no weights by name.")
    for prefix in ("network.", "module."):
        if state and all(key.startswith(prefix) for key in state):
            return {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _state_of_name(name: str, entry: _Entry, weights: str) -> dict[str, Tensor]:
    """Tensors of a torchvision weight."""
    homes = [home for home in (torchvision.models, torchvision.models.video) if hasattr(home, entry.weights or " ")]
    if not homes:
        raise NetworkError(
            f"The weights {weights!r} for {name} are no file, and torchvision has none for it: give a file."
        )
    choices = getattr(homes[0], entry.weights)
    names = [*choices.__members__, "DEFAULT"]
    if weights not in names:
        raise NetworkError(f"The weights {weights!r} for {name} are no file and no name; names: {', '.join(names)}.")
    return getattr(choices, weights).get_state_dict(progress=True, check_hash=True)


def _adapted(name: str, entry: _Entry, state: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Public names turned into ours, 2D weights inflated for I3D; what only pre-training needs is dropped."""
    if name == "i3d_rgb" and is_googlenet(state):
        return inflate_googlenet(state)
    if not set(state) & set(own):
        state = {_renamed(key, entry): value for key, value in state.items()}
    if name == "bn_inception":
        # One conversion calls the last layer `fc`, and keeps batch norms as (1, n).
        state = {key.replace("backbone.fc.", "backbone.last_linear."): value for key, value in state.items()}
        state = {key: value.flatten() if "_bn." in key else value for key, value in state.items()}
    return {
        key: value
        for key, value in state.items()
        if not key.endswith("num_batches_tracked") and (key in own or not key.startswith(entry.ignored))
    }


def _renamed(key: str, entry: _Entry) -> str:
    for old, new in entry.rename:
        if key.startswith(old):
            return new + key[len(old) :]
    return key


def load_weights(network: nn.Module, name: str, weights: str) -> list[str]:
    """Load pre-trained weights by torchvision name (``IMAGENET1K_V2``, ``KINETICS400_V1``, ``DEFAULT``) or from a file.

    The classifier is left as it is where its shape differs (another number of classes), and LARMUV's head where the
    weights have none (ImageNet's, or the ablation's). I3D's RGB stream also takes GoogLeNet's ImageNet weights, which
    are inflated. Everything else must fit.

    Args:
        network: built by `build`.
        name: the network's name.
        weights: a name or a path. Files are read with ``weights_only``.

    Returns:
        Names of the parameters that keep their random values.

    Raises:
        NetworkError: a tensor is missing or does not fit; the message names the first ones.
    """
    entry, own, path = _entry(name), network.state_dict(), Path(weights).expanduser()
    state = _state_of_file(path) if path.is_file() else _state_of_name(name, entry, weights)
    state = _adapted(name, entry, state, own)
    replaceable = (f"{entry.classifier}.", "head.positions")
    for key in [key for key in state if key in own and state[key].shape != own[key].shape]:
        if not key.startswith(replaceable):
            raise NetworkError(
                f"The weights {weights} do not fit {name}: {key} is {tuple(state[key].shape)} there and "
                f"{tuple(own[key].shape)} here."
            )
        del state[key]
    fresh = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    missing = [key for key in fresh if not key.startswith((f"{entry.classifier}.", "head."))]
    unknown = [key for key in state if key not in own]
    if missing or unknown:
        raise NetworkError(
            f"The weights {weights} do not fit {name}: {len(missing)} tensors missing ({', '.join(missing[:3])}), "
            f"{len(unknown)} unknown ({', '.join(unknown[:3])})."
        )
    network.load_state_dict(state, strict=False)
    return fresh
