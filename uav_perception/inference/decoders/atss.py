"""ATSS head (Zhang et al., 2020): class, centerness, and offsets to one square anchor a cell."""

from __future__ import annotations

import math

import numpy as np

from uav_perception.inference.contract import ModelContract
from uav_perception.inference.decoders.candidates import Candidates, Outputs, from_centre, pairs_above
from uav_perception.inference.decoders.cells import Cells, boxes_from_distances, centerness_scores, integral

_MAX_LOG_RATIO = abs(math.log(16 / 1000))  # the largest change of size, as in Fast R-CNN and mmdetection


class AtssDecoder:
    """Reads ``class_scores`` (1, N, C), ``centerness`` (1, N, 1), and ``deltas`` (1, N, 4) or ``distributions``.

    The point of cell (row i, column j) is (j, i) * stride; its anchor has the side ``anchor_scale`` * stride. Deltas
    are dx, dy in sides of the anchor and the logarithms of the ratios of size, divided by ``stds``.
    """

    def __init__(self, contract: ModelContract) -> None:
        options = contract.decoder_options
        self._contract = contract
        self._cells = Cells(contract, offset=0.0)
        self._anchor_scale = float(options.get("anchor_scale", 8.0))
        self._stds = np.array(options.get("stds", (0.1, 0.1, 0.2, 0.2)), np.float32)

    def __call__(self, outputs: Outputs, score_threshold: float) -> Candidates:
        """Decode one image's outputs."""
        self._cells.check("class_scores", outputs["class_scores"])
        cells, class_ids, scores = pairs_above(centerness_scores(outputs, self._contract), score_threshold)
        points, strides = self._cells.points[cells], self._cells.strides[cells, None]
        if "deltas" in outputs:
            boxes = self._from_deltas(points, strides * self._anchor_scale, outputs["deltas"][0, cells])
        else:
            distances = integral(outputs["distributions"][0, cells], self._contract.decoder_options["reg_max"])
            boxes = boxes_from_distances(points, distances * strides)
        return Candidates(boxes, scores, class_ids)

    def _from_deltas(self, points: np.ndarray, anchor_sides: np.ndarray, deltas: np.ndarray) -> np.ndarray:
        deltas = deltas * self._stds
        centres = points + deltas[:, :2] * anchor_sides
        sizes = anchor_sides * np.exp(np.clip(deltas[:, 2:], -_MAX_LOG_RATIO, _MAX_LOG_RATIO))
        return from_centre(np.concatenate((centres, sizes), axis=1))
