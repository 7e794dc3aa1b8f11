"""The fields of ``sensor_msgs/Image`` without ROS, and their pixels as a BGR image."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from uav_perception.frames.encodings import Encoding, encoding
from uav_perception.frames.errors import FrameError

# From the name of an encoding to a function of its pixels that gives BGR, or None to use OpenCV's.
Converters = Callable[[str], Callable[[np.ndarray], np.ndarray] | None]

MAX_SIDE = 65535  # px; longer sides do not occur in cameras and only in damaged messages

# ITU-R BT.601, studio range, as OpenCV's own YUV 4:2:x conversions use it; rows B, G, R; columns Y, U, V, 1.
_BT601 = np.array(
    [
        [1.164, 2.018, 0.0, -1.164 * 16 - 2.018 * 128],
        [1.164, -0.391, -0.813, -1.164 * 16 + (0.391 + 0.813) * 128],
        [1.164, 0.0, 1.596, -1.164 * 16 - 1.596 * 128],
    ]
)


@dataclass(frozen=True)
class RawImage:
    """The fields of a ``sensor_msgs/Image`` without its header.

    Attributes:
        height: rows [px].
        width: columns [px].
        encoding: one of ``sensor_msgs/image_encodings``.
        is_bigendian: byte order of 16-bit channels.
        step: length of a row with its padding [bytes].
        data: the pixels, any object with the buffer protocol.
    """

    height: int
    width: int
    encoding: str
    is_bigendian: bool
    step: int
    data: object


def to_bgr(image: RawImage, converters: Converters | None = None) -> np.ndarray:
    """Read the pixels of an image message.

    ``bgr8`` and ``8UC3`` give a view of the message's buffer (read-only if that is), padding at the row ends included.
    Everything else is converted: 16-bit channels are scaled by 255/65535, Bayer patterns are demosaiced bilinearly, YUV
    is taken as BT.601 in studio range.

    Args:
        image: the message's fields.
        converters: gives another function that converts an encoding, such as cv_bridge's; None for OpenCV's.

    Returns:
        uint8, shape (height, width, 3), BGR.

    Raises:
        FrameError: the encoding is unknown, a size is zero or odd, ``step`` or ``data`` too short.
    """
    kind = encoding(image.encoding)
    buffer = as_bytes(image.data)
    _check_sizes(image, kind, len(buffer))
    if kind.layout != "packed":
        return _semi_planar(image, kind, buffer)
    pixels = _packed(image, kind, buffer)
    if kind.is_view:
        return pixels
    convert = converters(image.encoding) if converters is not None else None
    if convert is not None:
        return convert(pixels)
    if kind.to_bgr is not None:
        pixels = cv2.cvtColor(pixels, kind.to_bgr)
    if kind.bits == 16:
        pixels = cv2.convertScaleAbs(pixels, alpha=255 / 65535)
    return pixels


def as_bytes(data: object) -> memoryview:
    """A view of any buffer (bytes, array, NumPy array, buffer of the middleware) as bytes, without a copy.

    Raises:
        FrameError: the object is no contiguous buffer.
    """
    try:
        view = memoryview(data)
        return view.cast("B") if view.nbytes else memoryview(b"")  # a view of nothing cannot be cast
    except TypeError as error:
        raise FrameError(
            f"The data of an image must be a contiguous buffer of bytes, not {type(data).__name__}."
        ) from error


def _check_sizes(image: RawImage, kind: Encoding, length: int) -> None:
    size = f"{image.width}x{image.height} {image.encoding}"
    if not (0 < image.width <= MAX_SIDE and 0 < image.height <= MAX_SIDE):
        raise FrameError(f"An image of {size} has a side outside 1..{MAX_SIDE} px; the message is empty or damaged.")
    if (kind.even_width and image.width % 2) or (kind.even_height and image.height % 2):
        raise FrameError(
            f"An image of {size} needs even sides, as chroma is shared by two pixels. Change the camera's size."
        )
    row = image.width * kind.pixel_bytes
    if image.step < row:
        raise FrameError(f"An image of {size} needs `step` of at least {row} bytes, but it is {image.step}.")
    needed = data_bytes(kind, image.step, image.height)
    if length < needed and not _is_tight(image, kind, length):
        raise FrameError(
            f"An image of {size} with `step` {image.step} needs {needed} bytes of `data`, but has {length}; "
            "the message was cut off or its driver fills it wrongly."
        )


def data_bytes(kind: Encoding, step: int, height: int) -> int:
    """Length of ``data`` [bytes] of an image with this row length and height."""
    luma = step * height
    return {"packed": luma, "semi_planar_420": luma + luma // 2, "semi_planar_444": 3 * luma}[kind.layout]


def _is_tight(image: RawImage, kind: Encoding, length: int) -> bool:
    """Whether planes follow without padding though ``step`` counts two channels, as some drivers write it for NV12."""
    return kind.layout != "packed" and length == data_bytes(kind, image.width, image.height)


def _packed(image: RawImage, kind: Encoding, buffer: memoryview) -> np.ndarray:
    order = ">" if image.is_bigendian else "<"
    stored = np.dtype(np.uint8) if kind.bits == 8 else np.dtype(f"{order}u2")
    shape = (image.height, image.width, kind.channels)
    strides = (image.step, kind.pixel_bytes, stored.itemsize)
    pixels = np.ndarray(shape, stored, buffer, strides=strides)
    if kind.channels == 1:
        pixels = pixels[:, :, 0]
    # 16-bit pixels are copied: OpenCV wants them in native order and rows that start at even addresses.
    return pixels.astype(np.uint16) if kind.bits == 16 else pixels


def _semi_planar(image: RawImage, kind: Encoding, buffer: memoryview) -> np.ndarray:
    """NV12, NV21 and NV24: a plane of luma, then one of interleaved chroma with the same row length (NV24: twice)."""
    height, width = image.height, image.width
    step = width if _is_tight(image, kind, len(buffer)) else image.step
    luma = np.ndarray((height, width), np.uint8, buffer, strides=(step, 1))
    if kind.layout == "semi_planar_444":
        chroma = np.ndarray((height, width, 2), np.uint8, buffer, step * height, strides=(2 * step, 2, 1))
        return cv2.transform(np.dstack((luma, chroma)), _BT601)
    shape = (height // 2, width // 2, 2)
    chroma = np.ndarray(shape, np.uint8, buffer, step * height, strides=(step, 2, 1))
    return cv2.cvtColorTwoPlane(luma, chroma, kind.to_bgr)


def from_array(image: np.ndarray, name: str = "bgr8") -> RawImage:
    """The fields of a message that holds an image.

    Args:
        image: uint8 (for 8-bit encodings) or uint16, shape (H, W) or (H, W, C), channels in the order of ``name``.
        name: "mono8", "bgr8", "rgb8", "bgra8", "rgba8", their 16-bit forms, a Bayer pattern or an OpenCV type.

    Returns:
        The fields; ``data`` is a flat uint8 array without padding, in this machine's byte order.

    Raises:
        FrameError: the array does not have the type or channels of the encoding.
    """
    kind = encoding(name)
    channels = image.shape[2] if image.ndim == 3 else 1
    wanted = np.dtype(f"u{kind.bits // 8}")
    if kind.layout != "packed" or image.ndim not in (2, 3) or channels != kind.channels or image.dtype != wanted:
        raise FrameError(
            f"Encoding {name!r} takes {wanted} arrays of {kind.channels} interleaved channels, "
            f"not {image.dtype} of shape {image.shape}."
        )
    height, width = image.shape[:2]
    data = np.ascontiguousarray(image).view(np.uint8).reshape(-1)
    return RawImage(height, width, name, sys.byteorder == "big", width * kind.pixel_bytes, data)
