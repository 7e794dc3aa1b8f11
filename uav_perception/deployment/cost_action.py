"""Cost of every network of LARMUV's Table II: parameters, operations by the paper's count and in truth, speed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from tqdm import tqdm

from uav_perception.deployment.mac_counter import count_operations
from uav_perception.networks.action_zoo import build, default_feed
from uav_perception.networks.larmuv import FEATURE_SIZE, Larmuv

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


class _AveragePools(TorchDispatchMode):
    """Sees average pools that are called as functions too."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.avg_pool2d.default:
            self.total += result.numel() * (math.prod(args[1]) + 1)
        return result


def paper_macs(network: nn.Module, *inputs: Tensor) -> int:
    """The count behind Table II: what the common hook-based counter of its time prints as "FLOPs".

    Multiply-accumulates of convolutions (no biases), one operation for every element of a batch norm, multiply-
    accumulates of linear layers (those inside attention too, its two products not), the elements that go into an
    adaptive average pool, and a plain average pool's additions and division. Activations, maxima and layer norms count
    nothing.

    Args:
        network: on the meta device or any other.
        inputs: of one forward pass.
    """
    total = 0

    def count(module: nn.Module, arguments: tuple[Tensor, ...], output: Any) -> None:
        nonlocal total
        if isinstance(module, _CONVOLUTIONS):
            total += output.numel() * module.weight[0].numel()
        elif isinstance(module, _NORMS):
            total += output.numel()
        elif isinstance(module, nn.Linear):
            total += output.numel() * module.in_features
        elif isinstance(module, nn.MultiheadAttention):
            total += output[0].numel() * 4 * module.embed_dim
        else:
            total += arguments[0].numel()

    counted = (*_CONVOLUTIONS, *_NORMS, nn.Linear, nn.MultiheadAttention, nn.AdaptiveAvgPool2d)
    # Attention's output layer is never called as a module: torch reads its weight. The count above holds it.
    handles = [module.register_forward_hook(count) for module in network.modules() if isinstance(module, counted)]
    try:
        with torch.no_grad(), _AveragePools() as pools:
            network.eval()(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return total + pools.total


@dataclass(frozen=True)
class CostRow:
    """One network of the table.

    Attributes:
        network: name for people.
        name: of the zoo.
        classes: that its printed numbers fit.
        printed_parameters, printed_macs, printed_rate: of Table II [millions, millions, videos a second on a GTX 1080
            Ti], None for rows that are not in it.
        note: where the printed number comes from, or why it cannot be reproduced.
    """

    network: str
    name: str
    classes: int
    printed_parameters: float | None = None
    printed_macs: float | None = None
    printed_rate: float | None = None
    note: str = ""


ROWS = (
    CostRow("VGG16", "vgg16", 51, 134.5, 15466.4, 67),
    CostRow("ResNet-18", "resnet18", 51, 11.2, 1816.1, 212),
    CostRow("ResNet-34", "resnet34", 51, 21.4, 3667.0, 167, "the printed parameters are those of 101 classes"),
    CostRow("ResNet-50", "resnet50", 51, 23.8, 4098.5, 118, "the printed parameters are those of 101 classes"),
    CostRow(
        "BN-Inception (v1)",
        "bn_inception",
        1000,
        11.3,
        2018.1,
        117,
        "its convolutions alone are 2031.6 M, so the paper counted another Inception v1, of the same size",
    ),
    CostRow("Inception v3", "inception_v3", 1000, 23.8, 5743.1, 79),
    CostRow(
        "C3D", "c3d", 101, 78.4, 8660.9, 59, note="the printed operations fit no clip length or size; see macs_true"
    ),
    CostRow("I3D, RGB", "i3d_rgb", 11, note="one stream; the printed row, 53.8 M, fits neither a stream nor their sum"),
    CostRow("I3D, flow", "i3d_flow", 11),
    CostRow("LARMUV", "larmuv", 11, 10.6, 226.8, 157),
    CostRow("MViT v2 S (teacher)", "mvit_v2_s", 11),
    CostRow("Swin3D T (teacher)", "swin3d_t", 11),
)


def _options(row: CostRow) -> dict[str, Any]:
    # Table II's 10.6 M has no positions; with the default's learned ones it is 2,880 more.
    return {"positions": "none"} if row.name == "larmuv" else {}


def count_row(row: CostRow) -> dict[str, Any]:
    """Parameters and operations of a row, without computing anything."""
    feed = default_feed(row.name)
    channels = 2 if feed.modality == "flow" else 3
    dense = feed.sampling == "dense"
    with torch.device("meta"):
        one = build(row.name, row.classes, 1, **_options(row))
        clip = torch.zeros(1, feed.frames if dense else 1, channels, feed.size, feed.size)
        paper = paper_macs(one, clip)
        whole = build(row.name, row.classes, feed.frames, **_options(row))
        true = count_operations(whole, torch.zeros(1, feed.frames, channels, feed.size, feed.size)).true_macs
    return {
        "network": row.network,
        "classes": row.classes,
        "input": f"{feed.frames}x{feed.size}x{feed.size}",
        "parameters": sum(parameter.numel() for parameter in whole.parameters()),
        "macs_paper": paper,
        "macs_true": true,
        "rate": None,
        "printed_parameters_m": row.printed_parameters,
        "printed_macs_m": row.printed_macs,
        "printed_rate": row.printed_rate,
        "note": row.note,
    }


def _rate(run: Callable[[], object], seconds: float) -> float:
    """Calls a second: the median of single calls, after one for warming up, over at least three calls."""
    run()
    times = []
    began = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1 / sorted(times)[len(times) // 2]


@torch.inference_mode()
def measure(row: CostRow, seconds: float) -> float:
    """Clips (videos) a second of the network's own clip, batch 1, on this machine's CPU (PyTorch, float32)."""
    feed = default_feed(row.name)
    network = build(row.name, row.classes, feed.frames, **_options(row)).eval()
    clip = torch.randn(1, feed.frames, 2 if feed.modality == "flow" else 3, feed.size, feed.size)
    return _rate(lambda: network(clip), seconds)


def tick_records(seconds: float) -> Iterator[dict[str, Any]]:
    """The cached path: one frame's features and the transformer over the window, as a stream pays them each tick."""
    row = next(row for row in ROWS if row.name == "larmuv")
    size, segments = default_feed("larmuv").size, default_feed("larmuv").frames
    with torch.device("meta"):
        twin = build("larmuv", row.classes, segments, **_options(row))
        frame = count_operations(_Backbone(twin), torch.zeros(1, 3, size, size)).true_macs
        head = count_operations(twin.head, torch.zeros(1, segments, FEATURE_SIZE)).true_macs
    rate = None
    if seconds > 0:
        network = build("larmuv", row.classes, segments, **_options(row)).eval()
        picture, window = torch.randn(1, 3, size, size), torch.randn(1, segments, FEATURE_SIZE)
        with torch.inference_mode():
            rate = _rate(lambda: (network.features(picture), network.head(window)), seconds)
    yield {
        "network": "LARMUV, one tick of a stream",
        "classes": row.classes,
        "input": f"1x{size}x{size}",
        "parameters": sum(parameter.numel() for parameter in twin.parameters()),
        "macs_paper": None,
        "macs_true": frame + head,
        "rate": rate,
        "note": "features of the newest frame, the others from the cache",
    }


class _Backbone(nn.Module):
    def __init__(self, network: Larmuv) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> Tensor:
        return self.network.features(frames)


def action_records(seconds: float = 0.0) -> list[dict[str, Any]]:
    """The whole table.

    Args:
        seconds: spent on timing each network; 0 leaves ``rate`` empty.

    Returns:
        One dictionary a row: ``network``, ``classes``, ``input`` (frames x height x width), ``parameters``,
        ``macs_paper`` (Table II's count: one frame for 2D networks), ``macs_true`` (multiply-accumulates of a whole
        clip), ``rate`` (clips a second), the printed numbers and a ``note``. With timing, LARMUV's row also gives
        ``faster_than_resnet50`` and ``faster_than_i3d``.
    """
    records = []
    for row in tqdm(ROWS, desc="Cost", unit="network", disable=seconds == 0):
        record = count_row(row)
        if seconds > 0:
            record["rate"] = measure(row, seconds)
        records.append(record)
    records += tick_records(seconds)
    if seconds > 0:
        larmuv = next(record for record in records if record["network"] == "LARMUV")
        larmuv |= speed_ratios({record["network"]: record["rate"] for record in records})
    return records


def speed_ratios(rates: Mapping[str, float]) -> dict[str, float]:
    """How many times as fast LARMUV is, from the rows' clips a second [1/s].

    The paper's I3D has two streams, and both must run for one video.
    """
    return {
        "faster_than_resnet50": rates["LARMUV"] / rates["ResNet-50"],
        "faster_than_i3d": rates["LARMUV"] * (1 / rates["I3D, RGB"] + 1 / rates["I3D, flow"]),
    }
