"""A received image, decoded at the first use and then shared."""

from __future__ import annotations

import threading
import time

import numpy as np

from uav_perception.frames import cdr, compressed
from uav_perception.frames.errors import FrameError
from uav_perception.frames.frame import Frame
from uav_perception.frames.raw_image import to_bgr
from uav_perception.nodes.cv_bridge import cv_bridge_conversion


class Picture:
    """A serialised image message with its header read. Thread-safe.

    Args:
        data: the serialised message.
        is_compressed: whether it is a ``CompressedImage``.
        received: when it arrived [s, monotonic].

    Attributes:
        stamp_ns: the header's stamp [ns], 0 when the camera sets none.
        time_ns: the stamp, or the time of arrival when there is none; for what needs a time that goes on [ns].
        frame_id: the header's frame.
        received: when it arrived [s, monotonic].

    Raises:
        FrameError: the bytes are no image message.
    """

    def __init__(self, data: bytes, is_compressed: bool, received: float) -> None:
        if is_compressed:
            header, self._format, self._source = cdr.parse_compressed_image(data)
        else:
            header, self._source = cdr.parse_image(data)
        self._is_compressed = is_compressed
        self.stamp_ns = header.stamp_ns
        self.time_ns = header.stamp_ns or time.time_ns()
        self.frame_id = header.frame_id
        self.received = received
        self._lock = threading.Lock()
        self._frame: Frame | None = None
        self._error: FrameError | None = None

    def frame(self) -> Frame:
        """The decoded frame; the same object for everyone who asks.

        Raises:
            FrameError: the picture cannot be decoded.
        """
        with self._lock:
            if self._error is not None:
                raise self._error
            if self._frame is None:
                try:
                    self._frame = Frame(self._decode(), self.stamp_ns, self.frame_id)
                except FrameError as error:
                    self._error = error
                    raise
            return self._frame

    def _decode(self) -> np.ndarray:
        if self._is_compressed:
            return compressed.decode(self._source, self._format)
        return to_bgr(self._source, cv_bridge_conversion)
