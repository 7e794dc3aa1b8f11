"""Pictures of ``sensor_msgs/CompressedImage``: JPEG and PNG."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np

from uav_perception.frames.errors import FrameError
from uav_perception.frames.raw_image import as_bytes

MAX_PIXELS = 100_000_000  # a small file can claim a picture that fills the memory: the header is read first

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_START_OF_SCAN = 0xDA
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}  # JPEG's SOF markers
_STANDALONE = {0x01, *range(0xD0, 0xD8)}  # JPEG markers without a length


def decode(data: object, format_: str = "", max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode the ``data`` of a ``sensor_msgs/CompressedImage``.

    The codec is told from the data. EXIF orientation is ignored, so that the pixels stay those that the camera's
    CameraInfo speaks of.

    Args:
        data: any buffer of bytes.
        format_: the message's ``format``; "... compressed rgb8" says that the channels were stored swapped.
        max_pixels: larger pictures are refused before they are decoded.

    Returns:
        uint8, shape (H, W, 3), BGR.

    Raises:
        FrameError: the data is empty, cut off, damaged, too large or neither JPEG nor PNG.
    """
    buffer = as_bytes(data)
    if "compressedDepth" in format_:
        raise FrameError(f"Format {format_!r} is a depth image, not a picture. Subscribe to the camera's colour topic.")
    width, height = picture_size(buffer)
    if width * height > max_pixels or not width or not height:
        raise FrameError(
            f"A compressed image of {len(buffer)} bytes claims {width}x{height} px; "
            f"1 to {max_pixels} px in all are accepted. The message is damaged or made to fill the memory."
        )
    try:
        image = cv2.imdecode(np.frombuffer(buffer, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise FrameError(f"A compressed image of {len(buffer)} bytes cannot be decoded: {error.err}.") from error
    if image is None or image.shape[:2] != (height, width):
        raise FrameError(
            f"A compressed image of {len(buffer)} bytes ({width}x{height}) is damaged and was not decoded."
        )
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if "compressed rgb" in format_ else image


def picture_size(buffer: memoryview) -> tuple[int, int]:
    """Width and height [px] from the header of a whole JPEG or PNG.

    Raises:
        FrameError: the data is empty, cut off or of another kind.
    """
    if not len(buffer):
        raise FrameError("A compressed image without data: the camera driver sent an empty message.")
    if bytes(buffer[:3]) == _JPEG:
        return _jpeg_size(bytes(buffer))
    if bytes(buffer[:8]) == _PNG:
        return _png_size(bytes(buffer))
    raise FrameError(
        f"A compressed image that starts with the bytes {bytes(buffer[:8]).hex(' ')} is neither JPEG nor PNG. "
        "Set the camera's image transport to `jpeg` or `png`."
    )


def _png_size(data: bytes) -> tuple[int, int]:
    """Walk the chunks (length, name, content, checksum) up to the last one; the first holds the size."""
    if len(data) < 33 or data[12:16] != b"IHDR" or zlib.crc32(data[12:29]) != struct.unpack_from(">I", data, 29)[0]:
        raise FrameError(f"A PNG of {len(data)} bytes is damaged: its header is missing or its checksum wrong.")
    at = 33
    while at + 12 <= len(data):
        if data[at + 4 : at + 8] == b"IEND":
            return struct.unpack_from(">II", data, 16)
        at += 12 + struct.unpack_from(">I", data, at)[0]
    raise FrameError(f"A PNG of {len(data)} bytes is cut off: its last chunk is missing.")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Walk the markers up to the first scan; the picture's end marker must follow it."""
    at, size = 2, None
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise FrameError(f"A JPEG of {len(data)} bytes is damaged: no marker at byte {at}.")
        marker = data[at + 1]
        if marker == 0xFF or marker in _STANDALONE:  # fill byte, or a marker without content
            at += 1 if marker == 0xFF else 2
            continue
        length = struct.unpack_from(">H", data, at + 2)[0]
        if marker in _FRAMES and at + 9 <= len(data):
            height, width = struct.unpack_from(">HH", data, at + 5)
            size = (width, height)
        if marker == _START_OF_SCAN:
            if size is not None and data.rfind(b"\xff\xd9", at) >= 0:
                return size
            break
        at += 2 + length
    raise FrameError(f"A JPEG of {len(data)} bytes is cut off: its size or its end is missing.")


def encode_jpeg(image: np.ndarray, quality: int = 90) -> bytes:
    """Compress a BGR or grey uint8 image.

    Args:
        image: uint8, shape (H, W, 3) or (H, W).
        quality: 1 to 100.

    Raises:
        FrameError: OpenCV cannot compress this array.
    """
    return _encode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])


def encode_png(image: np.ndarray) -> bytes:
    """Compress a BGR or grey image, 8 or 16 bit, without loss.

    Raises:
        FrameError: OpenCV cannot compress this array.
    """
    return _encode(".png", image, [])


def _encode(suffix: str, image: np.ndarray, options: list[int]) -> bytes:
    try:
        done, data = cv2.imencode(suffix, image, options)
    except cv2.error as error:
        raise FrameError(f"Cannot write {image.dtype} of shape {image.shape} as {suffix}: {error.err}.") from error
    if not done:
        raise FrameError(f"Cannot write {image.dtype} of shape {image.shape} as {suffix}.")
    return data.tobytes()
