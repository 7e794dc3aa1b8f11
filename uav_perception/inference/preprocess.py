"""From a picture to the network's input tensor, and boxes back again.

The pixels are resized as uint8, split into planes, and each plane goes through a table of 256 floats,
``(value - mean) / std``, straight into a tensor that is kept from frame to frame. A float resize or a whole-image
subtraction costs several times as much.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from uav_perception.inference.contract import ModelContract
from uav_perception.inference.errors import ModelError


@dataclass(frozen=True)
class Placement:
    """Where a picture lies in the network's input: ``x_input = x_picture * scale_x + offset_x``, in edge coordinates.

    Attributes:
        width: the picture's width after the resize [px].
        height: the picture's height after the resize [px].
        scale_x: resized width over the picture's width.
        scale_y: resized height over the picture's height.
        offset_x: left edge of the resized picture in the input [px]; negative where a crop cuts it off.
        offset_y: upper edge of the resized picture in the input [px].
    """

    width: int
    height: int
    scale_x: float
    scale_y: float
    offset_x: int
    offset_y: int

    def to_picture(self, boxes: np.ndarray) -> np.ndarray:
        """Map boxes from the input to the picture.

        Args:
            boxes: shape (N, 4), ``x_min, y_min, x_max, y_max`` in pixels of the input.

        Returns:
            float32, shape (N, 4), in pixels of the picture; not clipped.
        """
        offset = np.array([self.offset_x, self.offset_y] * 2, np.float32)
        scale = np.array([self.scale_x, self.scale_y] * 2, np.float32)
        return (np.asarray(boxes, np.float32) - offset) / scale

    def to_input(self, boxes: np.ndarray) -> np.ndarray:
        """Map boxes from the picture to the input, the inverse of `to_picture`."""
        offset = np.array([self.offset_x, self.offset_y] * 2, np.float32)
        scale = np.array([self.scale_x, self.scale_y] * 2, np.float32)
        return np.asarray(boxes, np.float32) * scale + offset


def placement(contract: ModelContract, width: int, height: int) -> Placement:
    """How a picture of a size is resized for a model.

    Args:
        contract: says the rule and the input size.
        width: of the picture [px].
        height: of the picture [px].

    Returns:
        The exact scale of each axis (resized sides are whole pixels, so they differ a little) and the offset.
    """
    wide, high = contract.input_width, contract.input_height
    if contract.resize == "stretch":
        new_width, new_height = wide, high
    elif contract.resize == "short_side_crop":
        scale = contract.resize_short_side / min(width, height)
        new_width, new_height = max(round(width * scale), wide), max(round(height * scale), high)
    else:
        scale = min(wide / width, high / height)
        new_width, new_height = max(round(width * scale), 1), max(round(height * scale), 1)
    spare_x, spare_y = wide - new_width, high - new_height
    anchored = contract.resize == "letterbox" and contract.pad_anchor == "top_left"
    at_top_left = contract.resize == "keep_ratio" or anchored
    # Floor division puts an odd pixel of padding to the right and below, and of a crop to the left and above.
    offset_x, offset_y = (0, 0) if at_top_left else (spare_x // 2, spare_y // 2)
    return Placement(new_width, new_height, new_width / width, new_height / height, offset_x, offset_y)


def check_picture(image: np.ndarray) -> None:
    """Refuse what is no picture.

    Raises:
        ModelError: the array is not uint8 of shape (H, W, 3), or empty.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ModelError(f"A picture must be uint8 of shape (H, W, 3), BGR, not {image.dtype} of shape {image.shape}.")


class Preprocessor:
    """Makes input tensors for one model. Keeps its buffers, so one object serves one thread.

    Args:
        contract: the model's contract.
    """

    def __init__(self, contract: ModelContract) -> None:
        self.contract = contract
        channels = range(3)
        values = np.arange(256, dtype=np.float32)
        self._tables = [
            ((values - np.float32(contract.mean[c])) / np.float32(contract.std[c])).astype(np.float32) for c in channels
        ]
        if contract.resize == "keep_ratio":
            self._padding = [0.0, 0.0, 0.0]
        else:
            self._padding = [(contract.pad_value - contract.mean[c]) / contract.std[c] for c in channels]
        self._tensor = np.empty((1, 3, contract.input_height, contract.input_width), np.float32)
        self._placed: tuple[int, int, int, int] | None = None

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, Placement]:
        """Resize, pad or crop, and normalise a picture.

        Args:
            image: uint8, shape (H, W, 3), BGR.

        Returns:
            The tensor, float32, shape (1, 3, input_height, input_width), overwritten by the next call, and where the
            picture lies in it.

        Raises:
            ModelError: the array is no BGR picture.
        """
        check_picture(image)
        height, width = image.shape[:2]
        place = placement(self.contract, width, height)
        resized = image if (width, height) == (place.width, place.height) else _resize(image, place)
        left, top = max(place.offset_x, 0), max(place.offset_y, 0)
        cut_x, cut_y = max(-place.offset_x, 0), max(-place.offset_y, 0)
        rows, columns = self.contract.input_height - top, self.contract.input_width - left
        visible = resized[cut_y : cut_y + rows, cut_x : cut_x + columns]
        self._pad(left, top, visible.shape[1], visible.shape[0])
        planes = cv2.split(visible)
        for channel in range(3):
            plane = planes[channel if self.contract.color == "bgr" else 2 - channel]
            target = self._tensor[0, channel, top : top + visible.shape[0], left : left + visible.shape[1]]
            cv2.LUT(plane, self._tables[channel], dst=target)
        return self._tensor, place

    def _pad(self, left: int, top: int, width: int, height: int) -> None:
        """Fill the padding, once for every new size of picture."""
        area = (left, top, width, height)
        if area == self._placed:
            return
        for channel, value in enumerate(self._padding):
            self._tensor[0, channel] = value
        self._placed = area


def _resize(image: np.ndarray, place: Placement) -> np.ndarray:
    return cv2.resize(image, (place.width, place.height), interpolation=cv2.INTER_LINEAR)
