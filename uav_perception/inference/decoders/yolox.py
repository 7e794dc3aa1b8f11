"""YOLOX (Ge et al., 2021), exported without its own decoding."""

from __future__ import annotations

import numpy as np

from uav_perception.inference.contract import ModelContract
from uav_perception.inference.decoders.candidates import Candidates, Outputs, best_above, from_centre
from uav_perception.inference.decoders.cells import Cells


class YoloxDecoder:
    """Reads one output (1, N, 5 + C): x, y, w, h, objectness, class scores; the scores after the sigmoid.

    Centre = (cell + x, y) * stride, size = exp(w, h) * stride. With the option ``decoded: true`` the first four are
    pixels already (also the layout of YOLOv5).
    """

    def __init__(self, contract: ModelContract) -> None:
        self._cells = Cells(contract, offset=0.0)
        self._decoded = bool(contract.decoder_options.get("decoded", False))

    def __call__(self, outputs: Outputs, score_threshold: float) -> Candidates:
        """Decode one image's outputs."""
        output = next(iter(outputs.values()))
        self._cells.check(next(iter(outputs)), output)
        # Class scores are at most 1, so a cell whose objectness is too low cannot reach the threshold.
        promising = np.nonzero(output[0, :, 4] >= score_threshold)[0]
        rows = output[0, promising]
        chosen, class_ids, scores = best_above(rows[:, 5:] * rows[:, 4:5], score_threshold)
        values, cells = rows[chosen, :4], promising[chosen]
        if not self._decoded:
            strides = self._cells.strides[cells, None]
            centres = values[:, :2] * strides + self._cells.points[cells]
            values = np.concatenate((centres, np.exp(values[:, 2:]) * strides), axis=1)
        return Candidates(from_centre(values), scores, class_ids)
