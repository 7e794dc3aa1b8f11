"""Export of any checkpoint of this package: finds out what it is, and hands it to that kind's exporter."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path

import torch

from uav_perception.deployment.errors import DeploymentError

# A checkpoint's format (before the slash) and the function that exports it.
_EXPORTERS = {
    "uav_perception.detector": ("uav_perception.deployment.export_detector", "export_detector"),
    "uav_perception.action": ("uav_perception.deployment.export_action", "export_action"),
}


def checkpoint_format(path: str | Path) -> str:
    """The format that a checkpoint names, without its version.

    Raises:
        FileNotFoundError: no such file.
        DeploymentError: the file is no checkpoint of this package.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"The checkpoint {path} does not exist.")
    try:
        content = torch.load(path, map_location="meta", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, LookupError) as error:
        raise DeploymentError(f"The checkpoint {path} is damaged or holds more than tensors: {error}") from error
    name = content.get("format", "") if isinstance(content, dict) else ""
    kind = str(name).partition("/")[0]
    if kind not in _EXPORTERS:
        raise DeploymentError(
            f"{path} is no checkpoint that can be exported (format {name!r}). Give the detector.pt of a detector's "
            "training, or the checkpoint of an action network's."
        )
    return kind


def export(path: str | Path, output: str | Path, **options):
    """Export a checkpoint to one ONNX file.

    Args:
        path: the checkpoint.
        output: the ONNX file.
        options: of the exporter; those that are None are left out.

    Returns:
        The contract in the file.

    Raises:
        DeploymentError: not an exportable checkpoint, or an option that this kind does not have.
    """
    module, function = _EXPORTERS[checkpoint_format(path)]
    exporter = getattr(importlib.import_module(module), function)
    given = {key: value for key, value in options.items() if value is not None}
    unknown = sorted(set(given) - set(exporter.__annotations__))
    if unknown:
        raise DeploymentError(f"This kind of network has no option {', '.join('--' + name for name in unknown)}.")
    return exporter(path, output, **given)
