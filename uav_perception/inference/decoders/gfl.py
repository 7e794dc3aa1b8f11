"""Generalised focal loss head (Li et al., 2020): class scores that mean quality, sides as distributions."""

from __future__ import annotations

from uav_perception.inference.contract import ModelContract
from uav_perception.inference.decoders.candidates import Candidates, Outputs, pairs_above
from uav_perception.inference.decoders.cells import Cells, boxes_from_distances, integral


class GflDecoder:
    """Reads ``class_scores`` (1, N, C) and ``distributions`` (1, N, 4 * (reg_max + 1)), raw logits.

    The point of cell (row i, column j) is (j, i) * stride, without half a stride, as in mmdetection.
    """

    def __init__(self, contract: ModelContract) -> None:
        self._cells = Cells(contract, offset=0.0)
        self._reg_max = contract.decoder_options["reg_max"]

    def __call__(self, outputs: Outputs, score_threshold: float) -> Candidates:
        """Decode one image's outputs."""
        self._cells.check("class_scores", outputs["class_scores"])
        cells, class_ids, scores = pairs_above(outputs["class_scores"][0], score_threshold)
        distances = integral(outputs["distributions"][0, cells], self._reg_max) * self._cells.strides[cells, None]
        return Candidates(boxes_from_distances(self._cells.points[cells], distances), scores, class_ids)
