"""What is really in one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uav_perception.evaluation.errors import TruthError


@dataclass(frozen=True)
class ImageTruth:
    """The annotated objects of one image, in pixels of that image.

    Attributes:
        boxes: float64, shape (N, 4), ``x_min, y_min, x_max, y_max`` [px].
        class_ids: int32, shape (N,), index into the class names.
        ignored: bool, shape (N,), True for objects that may be found or not without effect: COCO's ``iscrowd``,
            VisDrone's score 0.
        ignore_regions: float64, shape (R, 4), parts of the image that were not annotated [px].
        width: image width [px]; 0 where it is not known.
        height: image height [px]; 0 where it is not known.
        track_ids: int64, shape (N,), -1 where the object has none.
        areas: float64, shape (N,), what COCO calls small or large [px^2]; the area of the boxes unless given.
    """

    boxes: np.ndarray
    class_ids: np.ndarray
    ignored: np.ndarray | None = None
    ignore_regions: np.ndarray | None = None
    width: int = 0
    height: int = 0
    track_ids: np.ndarray | None = None
    areas: np.ndarray | None = None

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "boxes", np.asarray(self.boxes, np.float64).reshape(-1, 4))
        n = len(self.boxes)
        set_(self, "class_ids", np.asarray(self.class_ids, np.int32).reshape(-1))
        set_(self, "ignored", _or(self.ignored, np.zeros(n, bool)).astype(bool).reshape(-1))
        set_(self, "track_ids", _or(self.track_ids, np.full(n, -1)).astype(np.int64).reshape(-1))
        set_(self, "areas", _or(self.areas, box_areas(self.boxes)).astype(np.float64).reshape(-1))
        regions = _or(self.ignore_regions, np.zeros((0, 4)))
        set_(self, "ignore_regions", regions.astype(np.float64).reshape(-1, 4))
        for name in ("class_ids", "ignored", "track_ids", "areas"):
            if len(getattr(self, name)) != n:
                raise TruthError(
                    f"ImageTruth needs one entry per box in every field: {n} boxes, {len(getattr(self, name))} {name}."
                )
        if not np.isfinite(self.boxes).all():
            raise TruthError("ImageTruth has a box with a coordinate that is not a number; drop it while reading.")

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: np.ndarray | slice) -> ImageTruth:
        """Select objects by a slice, an index array or a boolean mask; the ignore regions stay."""
        return ImageTruth(
            self.boxes[index],
            self.class_ids[index],
            self.ignored[index],
            self.ignore_regions,
            self.width,
            self.height,
            self.track_ids[index],
            self.areas[index],
        )

    @classmethod
    def empty(cls, width: int = 0, height: int = 0) -> ImageTruth:
        """An image that was annotated and holds nothing."""
        return cls(np.zeros((0, 4)), np.zeros(0), width=width, height=height)


def _or(value: object, default: np.ndarray) -> np.ndarray:
    return default if value is None else np.asarray(value)


def box_areas(boxes: np.ndarray) -> np.ndarray:
    """Areas of boxes of shape (N, 4) [px^2], shape (N,)."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
