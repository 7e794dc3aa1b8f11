"""Learning rate over the steps of a training, and which parameters it applies to how."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

from uav_perception.training.errors import RecipeError


@dataclass(frozen=True)
class Schedule:
    """A multiple of the base learning rate at each step.

    Attributes:
        epochs: of the whole training.
        steps_per_epoch: optimiser steps of one epoch.
        warmup: steps of the linear warm-up.
        warmup_factor: where the warm-up begins.
        kind: ``step`` multiplies by 0.1 at each of ``drops``; ``cosine`` falls to ``final_factor``.
        drops: epochs before which the rate drops.
        final_factor: of the cosine.
    """

    epochs: int
    steps_per_epoch: int
    warmup: int = 500
    warmup_factor: float = 0.001
    kind: str = "step"
    drops: tuple[int, ...] = (8, 11)
    final_factor: float = 0.01

    def __post_init__(self) -> None:
        if self.kind not in ("step", "cosine"):
            raise RecipeError(f"There is no schedule {self.kind!r}; choose step or cosine.")

    def __call__(self, step: int) -> float:
        """Factor at a step, counted from 0."""
        if self.kind == "cosine":
            progress = min(step / max(self.epochs * self.steps_per_epoch, 1), 1.0)
            factor = self.final_factor + (1 - self.final_factor) * (1 + math.cos(math.pi * progress)) / 2
        else:
            factor = 0.1 ** sum(step >= drop * self.steps_per_epoch for drop in self.drops)
        if step < self.warmup:
            factor *= self.warmup_factor + (1 - self.warmup_factor) * step / self.warmup
        return factor


def parameter_groups(
    module: nn.Module,
    rate: float,
    decay: float,
    bias_rate: float = 1.0,
    bias_decay: float = 1.0,
    norm_decay: float = 1.0,
) -> list[dict[str, object]]:
    """Trainable parameters in groups with their own learning rate and weight decay.

    Args:
        module: what is trained.
        rate, decay: of ordinary weights.
        bias_rate, bias_decay: factors for the biases of convolutions and linear layers (FCOS: 2 and 0).
        norm_decay: factor for the parameters of normalisation layers.
    """
    weights, biases, norms = [], [], []
    for part in module.modules():
        is_norm = isinstance(part, (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm))
        for name, parameter in part.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            if is_norm:
                norms.append(parameter)
            elif name == "bias":
                biases.append(parameter)
            else:
                weights.append(parameter)
    groups = [
        {"params": weights, "lr": rate, "weight_decay": decay},
        {"params": biases, "lr": rate * bias_rate, "weight_decay": decay * bias_decay},
        {"params": norms, "lr": rate, "weight_decay": decay * norm_decay},
    ]
    return [group for group in groups if group["params"]]
