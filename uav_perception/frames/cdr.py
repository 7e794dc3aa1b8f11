"""Image messages straight from their serialised bytes (CDR), without building the message.

Layout after the encapsulation header of 4 bytes (OMG DDS-XTypes 1.3, section 7.4; every number is aligned to its size,
counted from there): ``int32 sec, uint32 nanosec, string frame_id``, then for an Image ``uint32 height, uint32 width,
string encoding, uint8 is_bigendian, uint32 step, sequence<uint8> data``, for a CompressedImage ``string format,
sequence<uint8> data``. All numbers have 4 bytes or fewer, so version 1 and 2 of the encoding agree.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from uav_perception.frames.errors import FrameError
from uav_perception.frames.raw_image import RawImage, as_bytes

_BYTE_ORDER = {0x00: ">", 0x01: "<", 0x06: ">", 0x07: "<"}  # CDR_BE, CDR_LE, PLAIN_CDR2_BE, PLAIN_CDR2_LE


@dataclass(frozen=True)
class Header:
    """A ``std_msgs/Header``.

    Attributes:
        stamp_ns: time of capture [ns].
        frame_id: tf frame.
    """

    stamp_ns: int
    frame_id: str


def parse_image(data: object) -> tuple[Header, RawImage]:
    """Read a serialised ``sensor_msgs/Image``.

    Args:
        data: any buffer of bytes; the returned image's ``data`` is a view of it.

    Raises:
        FrameError: the bytes are no such message, or cut off.
    """
    reader = _Reader(data, "sensor_msgs/Image")
    header = reader.header()
    height, width = reader.uint32(), reader.uint32()
    encoding = reader.string()
    is_bigendian = bool(reader.uint8())
    return header, RawImage(height, width, encoding, is_bigendian, reader.uint32(), reader.byte_sequence())


def parse_compressed_image(data: object) -> tuple[Header, str, memoryview]:
    """Read a serialised ``sensor_msgs/CompressedImage``.

    Args:
        data: any buffer of bytes.

    Returns:
        The header, the format and a view of the compressed data.

    Raises:
        FrameError: the bytes are no such message, or cut off.
    """
    reader = _Reader(data, "sensor_msgs/CompressedImage")
    return reader.header(), reader.string(), reader.byte_sequence()


class _Reader:
    def __init__(self, data: object, message: str) -> None:
        self._buffer = as_bytes(data)
        self._message = message
        self._at = 4
        if len(self._buffer) < 4 or self._buffer[0] != 0 or self._buffer[1] not in _BYTE_ORDER:
            start = bytes(self._buffer[:4]).hex(" ") or "nothing"
            raise FrameError(f"A serialised {message} must start with a CDR header such as 00 01 00 00, not {start}.")
        self._order = _BYTE_ORDER[self._buffer[1]]

    def _take(self, count: int) -> int:
        """Claim bytes; returns where they start."""
        start = self._at
        if start + count > len(self._buffer):
            raise FrameError(
                f"A serialised {self._message} of {len(self._buffer)} bytes is cut off or damaged: "
                f"{count} bytes are wanted from byte {start}."
            )
        self._at = start + count
        return start

    def _number(self, code: str) -> int:
        self._at += -self._at % 4
        return struct.unpack_from(self._order + code, self._buffer, self._take(4))[0]

    def uint32(self) -> int:
        return self._number("I")

    def uint8(self) -> int:
        return self._buffer[self._take(1)]

    def string(self) -> str:
        length = self.uint32()
        start = self._take(length)
        raw = bytes(self._buffer[start : start + length])
        try:
            return raw.removesuffix(b"\0").decode("utf-8")
        except UnicodeDecodeError as error:
            raise FrameError(f"A serialised {self._message} holds a text that is not UTF-8: {raw[:40]!r}.") from error

    def byte_sequence(self) -> memoryview:
        length = self.uint32()
        start = self._take(length)
        return self._buffer[start : start + length]

    def header(self) -> Header:
        seconds, nanoseconds = self._number("i"), self.uint32()
        if nanoseconds >= 1_000_000_000:
            raise FrameError(
                f"A {self._message} has a stamp of {nanoseconds} ns within its second; the message is damaged."
            )
        return Header(seconds * 1_000_000_000 + nanoseconds, self.string())
