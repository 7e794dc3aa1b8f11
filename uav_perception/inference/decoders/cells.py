"""The cells of a dense detector: level after level, row by row; a level has ceil(side / stride) cells a side."""

from __future__ import annotations

import math

import numpy as np

from uav_perception.inference.contract import ModelContract
from uav_perception.inference.errors import ModelError


class Cells:
    """Points and strides of all cells.

    Args:
        contract: gives the input size and the option ``strides``.
        offset: where a cell's point lies in it, in units of the stride: 0 upper left corner, 0.5 centre.

    Attributes:
        points: float32, shape (N, 2), x and y [px].
        strides: float32, shape (N,) [px].
    """

    def __init__(self, contract: ModelContract, offset: float) -> None:
        points, strides = [], []
        for stride in contract.decoder_options["strides"]:
            rows, columns = math.ceil(contract.input_height / stride), math.ceil(contract.input_width / stride)
            y, x = np.mgrid[:rows, :columns]
            points.append((np.stack((x, y), axis=-1).reshape(-1, 2) + offset) * stride)
            strides.append(np.full(rows * columns, stride))
        self.points = np.concatenate(points).astype(np.float32)
        self.strides = np.concatenate(strides).astype(np.float32)

    def check(self, name: str, output: np.ndarray) -> None:
        """Refuse an output with another number of cells (a graph with free dimensions can have one).

        Raises:
            ModelError: the numbers differ.
        """
        if output.shape[1] != len(self.points):
            raise ModelError(
                f"Output {name!r} has {output.shape[1]} cells, but the contract's input size and strides give "
                f"{len(self.points)}. Correct `strides` or the input size in the contract."
            )


def boxes_from_distances(points: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Boxes whose sides lie ``left, top, right, bottom`` from points; shapes (N, 2) and (N, 4), float32 (N, 4)."""
    return np.concatenate((points - distances[:, :2], points + distances[:, 2:]), axis=1).astype(np.float32, copy=False)


def integral(distributions: np.ndarray, reg_max: int) -> np.ndarray:
    """Expected value of each side's distribution over 0, 1, ..., reg_max (GFL, eq. 4).

    Args:
        distributions: logits, shape (N, 4 * (reg_max + 1)), the sides one after the other.
        reg_max: the last bin.

    Returns:
        float32, shape (N, 4), in units of the stride.
    """
    logits = distributions.reshape(-1, 4, reg_max + 1).astype(np.float32, copy=False)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights @ np.arange(reg_max + 1, dtype=np.float32) / weights.sum(axis=-1)


def centerness_scores(outputs: dict[str, np.ndarray], contract: ModelContract) -> np.ndarray:
    """Class score times centerness, shape (N, C); its square root with the option ``score: sqrt`` (FCOS's own code)."""
    scores = outputs["class_scores"][0] * outputs["centerness"][0]
    rule = contract.decoder_options.get("score", "product")
    if rule not in ("product", "sqrt"):
        raise ModelError(f"Decoder option `score` must be 'product' or 'sqrt', not {rule!r}.")
    return np.sqrt(scores) if rule == "sqrt" else scores
