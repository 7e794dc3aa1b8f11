"""Counting a network's operations without computing anything: tensors without data on torch's meta device.

Two counts are kept apart. *True* MACs are the multiply-accumulates of convolutions and matrix products. The *paper's*
count is that of mmcv's counter, which detection papers print as "FLOPs": convolution MACs and biases, twice the
elements of BatchNorm, the elements after ReLU and before pooling; GroupNorm, interpolation, scales, sigmoid, softmax
and additions count nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten
_RELUS = {_aten.relu.default, _aten.relu_.default, _aten.hardtanh.default, _aten.hardtanh_.default}
_POOLS = {_aten.max_pool2d_with_indices.default, _aten.avg_pool2d.default, _aten._adaptive_avg_pool2d.default}
_NORMS = {
    _aten.native_batch_norm.default,
    _aten._native_batch_norm_legit.default,
    _aten._native_batch_norm_legit_no_training.default,
    _aten.cudnn_batch_norm.default,
}


@dataclass(frozen=True)
class OperationCount:
    """Operations of one forward pass.

    Attributes:
        convolution: multiply-accumulates of convolutions.
        bias: additions of their biases.
        matrix: multiply-accumulates of linear layers and matrix products.
        norm: twice the elements that BatchNorm normalises.
        relu: elements after ReLU.
        pool: elements before pooling.
        parameters: of the network.
    """

    convolution: int
    bias: int
    matrix: int
    norm: int
    relu: int
    pool: int
    parameters: int

    @property
    def true_macs(self) -> int:
        """Multiply-accumulates."""
        return self.convolution + self.matrix

    @property
    def paper_macs(self) -> int:
        """What mmcv's counter prints, without GroupNorm."""
        return self.convolution + self.bias + self.matrix + self.norm + self.relu + self.pool


class _Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        first = result[0] if isinstance(result, (tuple, list)) else result
        if func is _aten.convolution.default:
            weight, bias = args[1], args[2]
            self.counts["convolution"] += first.numel() * weight[0].numel()
            self.counts["bias"] += first.numel() if bias is not None else 0
        elif func in (_aten.mm.default, _aten.addmm.default, _aten.bmm.default):
            self.counts["matrix"] += first.numel() * args[-2].shape[-1]
        elif func in _NORMS:
            self.counts["norm"] += 2 * first.numel()
        elif func in _RELUS:
            self.counts["relu"] += first.numel()
        elif func in _POOLS:
            self.counts["pool"] += args[0].numel()
        return result


def count_operations(network: nn.Module, *inputs: Tensor) -> OperationCount:
    """Count one forward pass.

    Args:
        network: built on the meta device (``with torch.device("meta"): ...``) or any other; evaluation mode is set.
        inputs: its arguments, on the same device.
    """
    with torch.no_grad(), _Counting() as counting:
        network.eval()(*inputs)
    names = ("convolution", "bias", "matrix", "norm", "relu", "pool")
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return OperationCount(*(counting.counts[name] for name in names), parameters)
