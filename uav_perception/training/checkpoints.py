"""The files that a detector's training leaves behind: tensors and plain values only, loadable without running code."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from uav_perception.files import replacing
from uav_perception.networks.detector import Detector, DetectorConfig
from uav_perception.networks.errors import NetworkError
from uav_perception.provenance import provenance
from uav_perception.training.errors import CheckpointError

_FORMAT = "uav_perception.detector/1"


@dataclass(frozen=True)
class DetectorCheckpoint:
    """A trained detector.

    Attributes:
        detector: on the CPU, in evaluation mode.
        class_names: name by class id.
        test_size: width and height that the long and short side were limited to in evaluation [px]; zeros mean the
            images' own size.
        recipe: what it was trained with.
        metrics: of the validation set, or empty.
        made: provenance record.
    """

    detector: Detector
    class_names: tuple[str, ...]
    test_size: tuple[int, int] = (1333, 800)
    recipe: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)


def write_detector(path: str | Path, checkpoint: DetectorCheckpoint) -> None:
    """Write a detector in one step; provenance is added where there is none.

    Raises:
        CheckpointError: the number of class names is not the detector's.
    """
    config = checkpoint.detector.config
    if len(checkpoint.class_names) != config.num_classes:
        raise CheckpointError(
            f"The detector has {config.num_classes} classes, but {len(checkpoint.class_names)} names were given."
        )
    content = {
        "format": _FORMAT,
        "config": config.to_dict(),
        "class_names": list(checkpoint.class_names),
        "test_size": list(checkpoint.test_size),
        "recipe": checkpoint.recipe,
        "metrics": checkpoint.metrics,
        "made": checkpoint.made or provenance(seed=checkpoint.recipe.get("training", {}).get("seed")),
        "state_dict": {key: value.detach().cpu() for key, value in checkpoint.detector.state_dict().items()},
    }
    with replacing(path) as temporary:
        torch.save(content, temporary)


def read_detector(path: str | Path) -> DetectorCheckpoint:
    """Read a detector. Nothing in the file is executed.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: damaged, not ours, or its weights do not fit its configuration.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"The checkpoint {path} does not exist.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, LookupError) as error:
        raise CheckpointError(f"The checkpoint {path} is damaged or holds more than tensors: {error}") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise CheckpointError(
            f"{path} is no detector checkpoint of this package ({_FORMAT}); a run's folder has it as detector.pt."
        )
    try:
        detector = Detector(DetectorConfig.from_dict(_tuples(content["config"])), load_backbone=False)
        detector.load_state_dict(content["state_dict"])
    except (KeyError, RuntimeError, NetworkError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"The checkpoint {path} does not fit the detector it describes: {reason}") from error
    return DetectorCheckpoint(
        detector.eval(),
        tuple(content["class_names"]),
        tuple(content["test_size"]),
        content["recipe"],
        content["metrics"],
        content["made"],
    )


def load_detector(path: str | Path) -> Detector:
    """The network of a checkpoint, in evaluation mode."""
    return read_detector(path).detector


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
