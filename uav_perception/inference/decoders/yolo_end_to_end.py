"""End-to-end exports of YOLO: v10 and 26 without suppression, or any with the suppression inside the graph."""

from __future__ import annotations

import numpy as np

from uav_perception.inference.contract import ModelContract
from uav_perception.inference.decoders.candidates import Candidates, Outputs
from uav_perception.inference.errors import ModelError


class YoloEndToEndDecoder:
    """Reads one output (1, N, 6): x_min, y_min, x_max, y_max [px], score, class id."""

    def __init__(self, contract: ModelContract) -> None:
        self._classes = len(contract.class_names)

    def __call__(self, outputs: Outputs, score_threshold: float) -> Candidates:
        """Decode one image's outputs.

        Raises:
            ModelError: a class id is beyond the class names.
        """
        rows = next(iter(outputs.values()))[0]
        rows = rows[rows[:, 4] >= score_threshold]
        class_ids = rows[:, 5].astype(np.int32)
        if len(class_ids) and not 0 <= class_ids.min() <= class_ids.max() < self._classes:
            raise ModelError(
                f"The network gives class id {class_ids.max()}, but the contract names {self._classes} classes. "
                "Correct `class_names` in the contract."
            )
        return Candidates(rows[:, :4].astype(np.float32), rows[:, 4].astype(np.float32), class_ids)
