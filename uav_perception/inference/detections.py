"""The result of a detector on one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Detections:
    """Objects found in one image, in pixels of that image.

    Attributes:
        boxes: float32, shape (N, 4), ``x_min, y_min, x_max, y_max`` [px], edges of the original image.
        scores: float32, shape (N,), 0 to 1.
        class_ids: int32, shape (N,), index into the model's class names.
        track_ids: int64, shape (N,), -1 where the object is not tracked.
        velocities: float32, shape (N, 2), speed of the box centre, camera motion removed [px/s].
    """

    boxes: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    track_ids: np.ndarray | None = None
    velocities: np.ndarray | None = None

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "boxes", np.asarray(self.boxes, np.float32).reshape(-1, 4))
        set_(self, "scores", np.asarray(self.scores, np.float32).reshape(-1))
        set_(self, "class_ids", np.asarray(self.class_ids, np.int32).reshape(-1))
        n = len(self.boxes)
        ids = np.full(n, -1) if self.track_ids is None else self.track_ids
        set_(self, "track_ids", np.asarray(ids, np.int64).reshape(-1))
        speeds = np.zeros((n, 2)) if self.velocities is None else self.velocities
        set_(self, "velocities", np.asarray(speeds, np.float32).reshape(-1, 2))
        for name in ("scores", "class_ids", "track_ids", "velocities"):
            if len(getattr(self, name)) != n:
                raise ValueError(
                    f"Detections need one entry per box in every field: {n} boxes, {len(getattr(self, name))} {name}."
                )

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: np.ndarray | slice) -> Detections:
        """Select rows by a slice, an index array or a boolean mask."""
        return Detections(
            self.boxes[index],
            self.scores[index],
            self.class_ids[index],
            self.track_ids[index],
            self.velocities[index],
        )

    @classmethod
    def empty(cls) -> Detections:
        """No objects."""
        return cls(np.zeros((0, 4)), np.zeros(0), np.zeros(0))
