"""Inflation (Carreira & Zisserman 2017, section 2.4): two-dimensional ImageNet weights as the start of I3D.

Each kernel is repeated along time and divided by its length, so a video that stands still gives what its picture gave.
torchvision's GoogLeNet is the network that I3D inflates, its "5x5" branches with 3x3 kernels included, and its
published weights take the same input, RGB in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

# torchvision's modules, and I3D's.
_STEM = {"conv1": "Conv3d_1a_7x7", "conv2": "Conv3d_2b_1x1", "conv3": "Conv3d_2c_3x3"}
_BRANCHES = {
    "branch1": "b0",
    "branch2.0": "b1a",
    "branch2.1": "b1b",
    "branch3.0": "b2a",
    "branch3.1": "b2b",
    "branch4.1": "b3b",
}
_BLOCKS = {"3a": "3b", "3b": "3c", "4a": "4b", "4b": "4c", "4c": "4d", "4d": "4e", "4e": "4f", "5a": "5b", "5b": "5c"}
_UNITS = _STEM | {
    f"inception{block}.{branch}": f"Mixed_{ours}.{part}"
    for block, ours in _BLOCKS.items()
    for branch, part in _BRANCHES.items()
}


def is_googlenet(state: Mapping[str, Tensor]) -> bool:
    """Whether these are tensors of torchvision's GoogLeNet."""
    return "inception3a.branch1.conv.weight" in state


def inflate_kernel(kernel: Tensor) -> Tensor:
    """(out, in, k, k) to (out, in, k, k, k): as long in time as it is wide, every slice 1/k of the kernel."""
    length = kernel.shape[-1]
    return kernel[:, :, None].repeat(1, 1, length, 1, 1) / length


def inflate_googlenet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """I3D's tensors (RGB) from those of torchvision's GoogLeNet; its auxiliary classifiers are left out."""
    inflated = {
        "logits.conv3d.weight": state["fc.weight"][:, :, None, None, None],
        "logits.conv3d.bias": state["fc.bias"],
    }
    for theirs, ours in _UNITS.items():
        inflated[f"{ours}.conv3d.weight"] = inflate_kernel(state[f"{theirs}.conv.weight"])
        for name in ("weight", "bias", "running_mean", "running_var"):
            inflated[f"{ours}.bn.{name}"] = state[f"{theirs}.bn.{name}"]
    return inflated
