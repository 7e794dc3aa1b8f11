"""The paper's analysis pictures (Fig. 3, 4, 5 and 7), drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

from uav_perception.distillation.analysis import BoxStatistics
from uav_perception.files import replacing


@dataclass(frozen=True)
class Panel:
    """One image with a map over it.

    Attributes:
        title: above it.
        values: (H, W) weights or distances, px of the image.
    """

    title: str
    values: np.ndarray


def _save(figure: plt.Figure, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=140)
    plt.close(figure)


def overlap_histograms(statistics: BoxStatistics, path: Path) -> None:
    """Fig. 3: how the mean IoU, GIoU and DIoU with the anchors around a box are distributed, small objects apart."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    for axis, name in zip(axes, ("iou", "giou", "diou"), strict=True):
        values = getattr(statistics, name)
        label = {"iou": "IoU", "giou": "GIoU", "diou": "DIoU"}[name]
        _two_histograms(axis, values, statistics.small, np.linspace(values.min(), values.max(), 50))
        axis.set_xlabel(f"mean {label} with the candidate anchors")
    axes[0].set_ylabel("share of the boxes")
    _save(figure, path)


def area_histograms(statistics: BoxStatistics, path: Path) -> None:
    """Fig. 4: area of a box's positive region over the area of the box, small objects apart, on a logarithmic axis."""
    positive = statistics.area_ratio > 0
    ratio = statistics.area_ratio[positive]
    figure, axis = plt.subplots(figsize=(6, 3.8), layout="constrained")
    _two_histograms(axis, ratio, statistics.small[positive], np.geomspace(ratio.min(), ratio.max(), 50))
    axis.axvline(1, color="black", linewidth=0.8, linestyle=":")
    axis.set(xscale="log", xlabel="positive region / box area", ylabel="share of the boxes")
    axis.set_ylim(top=1.3 * axis.get_ylim()[1])  # room for the legend
    _save(figure, path)


def _two_histograms(axis: plt.Axes, values: np.ndarray, small: np.ndarray, edges: np.ndarray) -> None:
    for chosen, label, colour in ((small, "small (< 32² px)", "tab:red"), (~small, "larger", "tab:blue")):
        part = values[chosen]
        if len(part):
            label = f"{label}: {len(part)}, median {np.median(part):.3f}"
            axis.hist(part, bins=edges, weights=np.full(len(part), 1 / len(part)), color=colour, alpha=0.6, label=label)
    axis.legend(fontsize=8)


def overlays(
    image: np.ndarray,
    boxes: np.ndarray,
    panels: Sequence[Panel],
    path: Path,
    window: tuple[int, int, int, int] | None = None,
    limit: float | None = None,
    label: str = "weight",
) -> None:
    """Fig. 5 and 7: maps over an image, ground truth outlined.

    Args:
        image: (H, W, 3) uint8 RGB.
        boxes: (G, 4) xyxy px of the image.
        panels: one a map.
        path: PNG to write.
        window: x_min, y_min, x_max, y_max of the part to show, px; None shows all.
        limit: end of the colour scale; None takes the largest value.
        label: of the colour scale.
    """
    height, width = image.shape[:2]
    x_min, y_min, x_max, y_max = window or (0, 0, width, height)
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    aspect = (y_max - y_min) / (x_max - x_min)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.4 * columns, (4.4 * aspect + 0.4) * rows), squeeze=False, layout="constrained"
    )
    top = limit or max(max(float(panel.values.max()) for panel in panels), 1e-6)
    grey = image.mean(axis=2) / 255
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, panel in zip(axes.flat, panels, strict=False):
        axis.imshow(grey, cmap="gray", vmin=0, vmax=1.3)
        alpha = np.where(panel.values > 0, 0.3 + 0.35 * np.clip(panel.values / top, 0, 1), 0.0)
        shown = axis.imshow(panel.values, cmap="inferno", vmin=0, vmax=top, alpha=alpha)
        for x1, y1, x2, y2 in boxes.tolist():
            axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor="#33dd55", linewidth=0.9))
        axis.set(xlim=(x_min, x_max), ylim=(y_max, y_min), title=panel.title)
        axis.title.set_fontsize(9)
    figure.colorbar(shown, ax=axes, shrink=0.8, label=label)
    _save(figure, path)
