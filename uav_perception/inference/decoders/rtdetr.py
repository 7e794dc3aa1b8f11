"""RT-DETR and its kin: a fixed number of queries, no suppression."""

from __future__ import annotations

import numpy as np

from uav_perception.inference.contract import ModelContract
from uav_perception.inference.decoders.candidates import Candidates, Outputs, best_above, from_centre, named_class_ids


class RtdetrDecoder:
    """Reads one of three layouts, told apart by the names of the outputs.

    - one output (1, N, 4 + C): centre x, y, width, height as fractions of the input, class scores after the sigmoid;
    - ``logits`` (or ``pred_logits``) (1, N, C) before the sigmoid, and ``pred_boxes`` (1, N, 4), the same fractions;
    - ``labels``, ``boxes``, ``scores`` (1, N), (1, N, 4), (1, N): corners in pixels of the size given to the network's
      second input, ``orig_target_sizes``.
    """

    def __init__(self, contract: ModelContract) -> None:
        self._size = np.array([contract.input_width, contract.input_height] * 2, np.float32)
        self._classes = len(contract.class_names)

    def __call__(self, outputs: Outputs, score_threshold: float) -> Candidates:
        """Decode one image's outputs.

        Raises:
            ModelError: a label has no name.
        """
        if "labels" in outputs:
            scores = outputs["scores"][0]
            keep = scores >= score_threshold
            boxes = outputs["boxes"][0][keep].astype(np.float32)
            class_ids = named_class_ids(outputs["labels"][0][keep], self._classes)
            return Candidates(boxes, scores[keep].astype(np.float32), class_ids)
        if "pred_boxes" in outputs:
            logits = outputs["logits" if "logits" in outputs else "pred_logits"][0]
            fractions, class_scores = outputs["pred_boxes"][0], 1 / (1 + np.exp(-logits.astype(np.float32)))
        else:
            table = next(iter(outputs.values()))[0]
            fractions, class_scores = table[:, :4], table[:, 4:]
        queries, class_ids, scores = best_above(class_scores, score_threshold)
        return Candidates(from_centre(fractions[queries] * self._size), scores, class_ids)
