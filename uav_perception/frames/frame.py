"""One camera image with the stamp it was taken at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Frame:
    """A decoded camera image.

    Attributes:
        image: uint8, shape (H, W, 3), BGR. May be a read-only view of the message's own buffer.
        stamp_ns: time of capture [ns since the epoch of the camera's clock], copied from the header.
        frame_id: tf frame of the camera's optical centre, copied from the header.
    """

    image: np.ndarray
    stamp_ns: int
    frame_id: str = ""

    @property
    def height(self) -> int:
        """Image height [px]."""
        return self.image.shape[0]

    @property
    def width(self) -> int:
        """Image width [px]."""
        return self.image.shape[1]
