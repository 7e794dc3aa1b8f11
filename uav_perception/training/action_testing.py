"""Testing action networks: views averaged, top-1, mean-class accuracy, confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import torch
from matplotlib import pyplot as plt
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from uav_perception.datasets.action_clips import TestClips
from uav_perception.datasets.workers import single_threaded
from uav_perception.files import replacing
from uav_perception.training.action_model import normalise


@torch.inference_mode()
def predict(
    network: nn.Module,
    clips: TestClips,
    batch: int = 8,
    workers: int = 0,
    progress: str | None = None,
    indices: Sequence[int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Logits of every video, the mean over its views.

    Args:
        network: put into eval mode for the time.
        clips: the views.
        batch: videos a step.
        workers: loader processes.
        progress: title of a progress bar, or None.
        indices: only these videos.

    Returns:
        (N, C) float32 and labels (N,), on the CPU, in order.
    """
    device = next(network.parameters()).device
    training = network.training
    network.eval()
    chosen = clips if indices is None else Subset(clips, list(indices))
    loader = DataLoader(chosen, batch, num_workers=workers, worker_init_fn=single_threaded)
    logits, labels = [], []
    for step in tqdm(loader, desc=progress, unit="batch", disable=progress is None, leave=False):
        views = step["views"].to(device)
        flat = normalise(views.flatten(0, 1), clips.feed)
        # The classic protocol has ten views of 25 frames a video: one video's views at a time fit any memory.
        outputs = torch.cat([network(part) for part in flat.split(max(views.shape[1], batch))])
        logits.append(outputs.float().unflatten(0, views.shape[:2]).mean(1).cpu())
        labels.append(step["label"])
    network.train(training)
    return torch.cat(logits), torch.cat(labels)


def confusion_matrix(labels: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """(C, C) int64 counts; rows are the truth."""
    return torch.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def accuracy_of(confusion: Tensor) -> dict[str, float]:
    """``top1`` over clips, and ``mean_class``: the mean over classes that occur of their own accuracy."""
    total, right = confusion.sum(1), confusion.diag()
    there = total > 0
    return {
        "top1": (right.sum() / total.sum()).item(),
        "mean_class": (right[there] / total[there]).double().mean().item(),
    }


def report_of(confusion: Tensor, class_names: Sequence[str]) -> dict[str, object]:
    """A JSON-ready record: accuracies, each class's own, the matrix."""
    total = confusion.sum(1).clamp(min=1)
    return {
        **accuracy_of(confusion),
        "clips": int(confusion.sum()),
        "per_class": {name: (confusion[i, i] / total[i]).item() for i, name in enumerate(class_names)},
        "confusion": confusion.tolist(),
        "class_names": list(class_names),
    }


def draw_confusion(confusion: Tensor, class_names: Sequence[str], path: str | Path) -> None:
    """A picture of the matrix, each row as shares of its class; numbers are written in for up to 25 classes."""
    shares = confusion.double() / confusion.sum(1, keepdim=True).clamp(min=1)
    count = len(class_names)
    side = max(4.0, 0.18 * count + 2, 0.6 * count if count <= 25 else 0)
    figure, axes = plt.subplots(figsize=(side + 1, side), layout="constrained")
    picture = axes.imshow(shares.numpy(), vmin=0, vmax=1, cmap="Blues")
    figure.colorbar(picture, ax=axes, label="share of the class", shrink=0.8)
    size = 9 if count <= 25 else 5
    axes.set_xticks(np.arange(count), class_names, rotation=90, fontsize=size)
    axes.set_yticks(np.arange(count), class_names, fontsize=size)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if count <= 25:
        for row, column in np.argwhere(confusion.numpy() > 0):
            shade = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, int(confusion[row, column]), ha="center", va="center", color=shade, fontsize=size)
    accuracy = accuracy_of(confusion)
    axes.set_title(f"top-1 {accuracy['top1']:.1%}, mean class {accuracy['mean_class']:.1%}")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130)
    plt.close(figure)
