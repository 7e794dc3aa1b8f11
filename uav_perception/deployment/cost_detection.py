"""Cost of every detector of the paper's tables, and of the demo's, by the paper's count and in true MACs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch

from uav_perception.datasets.detection_loading import PAD_TO
from uav_perception.deployment.mac_counter import OperationCount, count_operations
from uav_perception.networks.detector import Detector, DetectorConfig

VISDRONE_INPUT = (800, 1333)  # height, width: what the paper counts at, unpadded
UAVDT_INPUT = (540, 1024)
DEMO_INPUT = (384, 640)


@dataclass(frozen=True)
class CostRow:
    """One row to count.

    Attributes:
        network: name for people.
        config: the detector.
        input: height and width [px].
        tables: where the paper prints it.
        printed: the paper's GFLOPs there, None for rows that are not in it.
        note: what is peculiar about the printed number.
    """

    network: str
    config: DetectorConfig
    input: tuple[int, int]
    tables: str = ""
    printed: float | None = None
    note: str = ""


@lru_cache(maxsize=64)
def count(config: DetectorConfig, height: int, width: int) -> OperationCount:
    """Operations of one image of this size."""
    with torch.device("meta"):
        detector, image = Detector(config, load_backbone=False), torch.empty(1, 3, height, width)
    return count_operations(detector, image)


def demo_config() -> DetectorConfig:
    """The light detector that ships with the package; the same as in ``config/recipes/sim_gfl_light.yaml``."""
    return DetectorConfig(
        num_classes=6,
        backbone="mobilenet_v3_small",
        frozen_stages=0,
        norm_eval=False,
        neck_channels=48,
        levels=4,
        finest_stride=4,
        head_channels=48,
        stacked_convs=2,
        groups=16,
        reg_max=8,
        anchor_scale=4.0,
    )


_BACKBONES = {"R18": "resnet18", "R50": "resnet50", "R101": "resnet101"}
_PLAIN = {"R18": 162.3, "R50": 214.3, "R101": 294.2}
_LIFTED = {"R18": 165.6, "R50": 217.6}
_UAVDT = {"R18": 84.4, "R50": 111.4, "R101": 152.6}
_UAVDT_LIFTED = {"R18": 86.1, "R50": 113.1}
_K = {0.0: 162.3, 0.25: 165.6, 0.5: 175.5, 0.75: 191.9, 1.0: 214.9}


def rows() -> Iterator[CostRow]:
    """Every row, VisDrone first."""
    for name, backbone in _BACKBONES.items():
        yield CostRow(f"GFL-{name}", DetectorConfig(10, "gfl", backbone), VISDRONE_INPUT, "1", _PLAIN[name])
        if name in _LIFTED:
            config = DetectorConfig(10, "gfl", backbone, fusion="light_ml")
            yield CostRow(f"GFL-{name} + Light-ML", config, VISDRONE_INPUT, "1", _LIFTED[name])
    for k, printed in _K.items():
        config = DetectorConfig(10, "gfl", "resnet18", fusion="light_ml", light_ml_k=k)
        yield CostRow(f"GFL-R18 + Light-ML, k={k:g}", config, VISDRONE_INPUT, "7", printed)
    for fusion, printed in (("shuffle", 162.3), ("cls_to_reg", 163.8), ("reg_to_cls", 162.7)):
        config = DetectorConfig(10, "gfl", "resnet18", fusion=fusion)
        yield CostRow(f"GFL-R18, {fusion.replace('_', ' ')}", config, VISDRONE_INPUT, "6", printed)
    yield from _other_heads()
    yield from _uavdt()
    yield from _coco()
    yield CostRow("GFL light (demo)", demo_config(), DEMO_INPUT)


def _other_heads() -> Iterator[CostRow]:
    reused = "the paper prints the number of GFL"
    for head in ("fcos", "atss"):
        for name in ("R18", "R101"):
            for distribution in (False, True):
                form = ", distributions" if distribution else ""
                config = DetectorConfig(10, head, _BACKBONES[name], distribution=distribution)
                yield CostRow(f"{head.upper()}-{name}{form}", config, VISDRONE_INPUT, "4", _PLAIN[name], reused)
        config = DetectorConfig(10, head, "resnet18", distribution=True, fusion="light_ml")
        yield CostRow(f"{head.upper()}-R18, distributions + Light-ML", config, VISDRONE_INPUT, "4", 165.6, reused)


def _uavdt() -> Iterator[CostRow]:
    mixed = "the paper mixes students of 10 classes with a teacher of UAVDT's 3"
    for name, backbone in _BACKBONES.items():
        for classes in (3, 10):
            is_printed = (classes == 3) == (name == "R101")
            printed, note = (_UAVDT[name], mixed) if is_printed else (None, "")
            yield CostRow(f"GFL-{name}", DetectorConfig(classes, "gfl", backbone), UAVDT_INPUT, "2", printed, note)
            if name in _UAVDT_LIFTED:
                config = DetectorConfig(classes, "gfl", backbone, fusion="light_ml")
                printed = _UAVDT_LIFTED[name] if is_printed else None
                yield CostRow(f"GFL-{name} + Light-ML", config, UAVDT_INPUT, "2", printed, note)


def _coco() -> Iterator[CostRow]:
    reused = "the paper prints the number of VisDrone's 10 classes"
    for name, backbone in _BACKBONES.items():
        yield CostRow(f"GFL-{name}", DetectorConfig(80, "gfl", backbone), VISDRONE_INPUT, "3", _PLAIN[name], reused)
        if name in _LIFTED:
            config = DetectorConfig(80, "gfl", backbone, fusion="light_ml")
            yield CostRow(f"GFL-{name} + Light-ML", config, VISDRONE_INPUT, "3", _LIFTED[name], reused)


def detector_records() -> list[dict[str, object]]:
    """All rows, counted.

    Returns:
        One dictionary a row: ``network``, ``classes``, ``input`` (``HxW``), ``parameters``, ``macs_paper`` (the
        paper's count at this input), ``macs_true`` (multiply-accumulates at the input padded to multiples of 32, as it
        is run), both for one image, ``rate`` (None: detectors are timed by ``benchmarks/inference.py``), ``table``,
        ``printed_gflops`` and ``note``.
    """
    records = []
    for row in rows():
        height, width = row.input
        counted = count(row.config, height, width)
        run = count(row.config, -(-height // PAD_TO) * PAD_TO, -(-width // PAD_TO) * PAD_TO)
        records.append(
            {
                "network": row.network,
                "classes": row.config.num_classes,
                "input": f"{height}x{width}",
                "parameters": counted.parameters,
                "macs_paper": counted.paper_macs,
                "macs_true": run.true_macs,
                "rate": None,
                "table": row.tables,
                "printed_gflops": row.printed,
                "note": row.note,
            }
        )
    return records
