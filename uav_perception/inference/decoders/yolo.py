"""YOLO of Ultralytics, v8 to 26, raw output."""

from __future__ import annotations

import numpy as np

from uav_perception.inference.contract import ModelContract
from uav_perception.inference.decoders.candidates import Candidates, Outputs, from_centre, surest
from uav_perception.inference.errors import ModelError


class YoloDecoder:
    """Reads one output (1, 4 + C, N): centre x, centre y, width, height [px], then class scores after the sigmoid."""

    def __init__(self, contract: ModelContract) -> None:
        self._classes = len(contract.class_names)

    def __call__(self, outputs: Outputs, score_threshold: float) -> Candidates:
        """Decode one image's outputs.

        Raises:
            ModelError: the output has another number of channels (possible where the graph leaves it free).
        """
        (name, output), *_ = outputs.items()
        if output.shape[1] != 4 + self._classes:
            raise ModelError(
                f"Output {name!r} has {output.shape[1]} channels, but {self._classes} classes need "
                f"{4 + self._classes}. Correct `class_names` in the contract."
            )
        table = output[0]
        best = table[4:].max(axis=0)
        columns = np.nonzero(best >= score_threshold)[0]
        columns = columns[surest(best[columns])]
        chosen = table[:, columns]
        class_ids = chosen[4:].argmax(axis=0).astype(np.int32)
        return Candidates(from_centre(chosen[:4].T), best[columns].astype(np.float32), class_ids)
