"""torchvision, importable also where its compiled operators do not fit the installed torch.

Next to a torch that was built elsewhere (NVIDIA's for Jetson, or PyTorch's CPU wheel beside PyPI's torchvision) the
extension ``torchvision._C`` does not load, and ``import torchvision`` stops with *operator torchvision::nms does not
exist*, since it registers shape rules for operators that nobody declared. Declaring the schemas first makes models,
transforms and feature pyramids usable; only the operators themselves stay unavailable, and this package calls none of
them.

Use it as ``from uav_perception.networks.vision import torchvision``.
"""

from __future__ import annotations

import importlib
from types import ModuleType

import torch

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_MISSING_OPERATOR = "operator torchvision::"


def _declared(name: str) -> bool:
    return bool(torch._C._jit_get_schemas_for_operator(f"torchvision::{name}"))


def _declare_missing() -> torch.library.Library:
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name, schema in _SCHEMAS.items():
        if not _declared(name):
            library.define(schema)
    return library


def import_torchvision() -> tuple[ModuleType, torch.library.Library | None]:
    """Import torchvision, declaring the operators that its extension would have brought when it did not load.

    Returns:
        The module, and the library that holds the declarations: they vanish with it, so keep it. None when
        torchvision is whole.

    Raises:
        ModuleNotFoundError: torchvision is not installed.
        RuntimeError: torchvision fails for another reason.
    """
    try:
        return importlib.import_module("torchvision"), None
    except RuntimeError as error:
        if _MISSING_OPERATOR not in str(error):
            raise
    library = _declare_missing()
    return importlib.import_module("torchvision"), library


torchvision, _LIBRARY = import_torchvision()
