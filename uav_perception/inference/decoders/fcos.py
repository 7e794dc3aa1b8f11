"""FCOS head (Tian et al., 2019): class, centerness, and the distances to the four sides."""

from __future__ import annotations

from uav_perception.inference.contract import ModelContract
from uav_perception.inference.decoders.candidates import Candidates, Outputs, pairs_above
from uav_perception.inference.decoders.cells import Cells, boxes_from_distances, centerness_scores, integral


class FcosDecoder:
    """Reads ``class_scores`` (1, N, C), ``centerness`` (1, N, 1), ``distances`` (1, N, 4) [px] or ``distributions``.

    The point of cell (row i, column j) is (j + 0.5, i + 0.5) * stride.
    """

    def __init__(self, contract: ModelContract) -> None:
        self._contract = contract
        self._cells = Cells(contract, offset=0.5)

    def __call__(self, outputs: Outputs, score_threshold: float) -> Candidates:
        """Decode one image's outputs."""
        self._cells.check("class_scores", outputs["class_scores"])
        cells, class_ids, scores = pairs_above(centerness_scores(outputs, self._contract), score_threshold)
        if "distances" in outputs:
            distances = outputs["distances"][0, cells]
        else:
            reg_max = self._contract.decoder_options["reg_max"]
            distances = integral(outputs["distributions"][0, cells], reg_max) * self._cells.strides[cells, None]
        return Candidates(boxes_from_distances(self._cells.points[cells], distances), scores, class_ids)
