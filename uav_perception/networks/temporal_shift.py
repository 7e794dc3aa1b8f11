"""Temporal shift (TSM, Lin et al. 2019): features of neighbouring segments change places, at no cost."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def shift(features: Tensor, segments: int, causal: bool = False, share: int = 8) -> Tensor:
    """Move 1/share of the channels one segment onward, and, unless causal, another 1/share one segment back.

    Args:
        features: (B * segments, C, H, W), the segments of a clip one after the other.
        segments: K.
        causal: take from the past only.
        share: 8 moves 1/8 each way.

    Returns:
        The same shape; places that nothing moves into are zero.
    """
    clips = features.unflatten(0, (-1, segments))
    fold = features.shape[1] // share
    none = torch.zeros_like(clips[:, :1, :fold])
    from_past = torch.cat([none, clips[:, :-1, :fold]], 1)
    if causal:
        return torch.cat([from_past, clips[:, :, fold:]], 2).flatten(0, 1)
    from_future = torch.cat([clips[:, 1:, fold : 2 * fold], none], 1)
    return torch.cat([from_past, from_future, clips[:, :, 2 * fold :]], 2).flatten(0, 1)


def add_temporal_shift(blocks: Iterable[nn.Module], segments: int, causal: bool = False) -> None:
    """Shift the input of each block (the residual branch, so the identity path keeps its own frame).

    A hook leaves the parameters' names alone, so the same checkpoints load with and without the shift.
    """

    def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        return (shift(inputs[0], segments, causal),)

    for block in blocks:
        block.register_forward_pre_hook(hook)
