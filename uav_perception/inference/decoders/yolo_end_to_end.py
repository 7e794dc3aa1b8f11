"""End-to-end exports of YOLO: v10 and 26 without suppression, or any with the suppression inside the graph."""

from __future__ import annotations

import numpy as np

from uav_perception.inference.contract import ModelContract
from uav_perception.inference.decoders.candidates import Candidates, Outputs, named_class_ids


class YoloEndToEndDecoder:
    """Reads one output (1, N, 6): x_min, y_min, x_max, y_max [px], score, class id."""

    def __init__(self, contract: ModelContract) -> None:
        self._classes = len(contract.class_names)

    def __call__(self, outputs: Outputs, score_threshold: float) -> Candidates:
        """Decode one image's outputs.

        Raises:
            ModelError: a class id has no name.
        """
        rows = next(iter(outputs.values()))[0]
        rows = rows[rows[:, 4] >= score_threshold]
        class_ids = named_class_ids(rows[:, 5], self._classes)
        return Candidates(rows[:, :4].astype(np.float32), rows[:, 4].astype(np.float32), class_ids)
