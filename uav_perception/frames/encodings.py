"""The picture encodings of ``sensor_msgs/image_encodings.hpp`` and how each becomes BGR."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from uav_perception.frames.errors import FrameError


@dataclass(frozen=True)
class Encoding:
    """How the pixels of a ``sensor_msgs/Image`` are stored.

    Attributes:
        name: the message's ``encoding``.
        bits: bits a channel, 8 or 16.
        channels: interleaved channels a pixel in the first plane.
        to_bgr: OpenCV's conversion code, None when the layout is BGR already.
        layout: "packed" (one plane), "semi_planar_420" or "semi_planar_444" (luma, then interleaved chroma).
        even_width: the layout exists for even widths only.
        even_height: the layout exists for even heights only.
    """

    name: str
    bits: int
    channels: int
    to_bgr: int | None
    layout: str = "packed"
    even_width: bool = False
    even_height: bool = False

    @property
    def is_view(self) -> bool:
        """Whether a BGR image is a plain view of the message's data."""
        return self.to_bgr is None and self.bits == 8 and self.layout == "packed"

    @property
    def pixel_bytes(self) -> int:
        """Bytes of one pixel in the first plane."""
        return self.channels * self.bits // 8


def _deep(names: str, channels: int, code: int | None) -> list[Encoding]:
    """The 8- and 16-bit forms of encodings that differ in nothing else."""
    return [Encoding(f"{name}{bits}", bits, channels, code) for name in names.split() for bits in (8, 16)]


def _opencv_type(channels: int, code: int | None) -> list[Encoding]:
    """OpenCV's type names say nothing about colour; OpenCV's own order is assumed: grey, BGR, BGRA."""
    return [Encoding(f"{bits}UC{channels}", bits, channels, code) for bits in (8, 16)]


_ALL = [
    *_deep("mono", 1, cv2.COLOR_GRAY2BGR),
    *_deep("bgr", 3, None),
    *_deep("rgb", 3, cv2.COLOR_RGB2BGR),
    *_deep("bgra", 4, cv2.COLOR_BGRA2BGR),
    *_deep("rgba", 4, cv2.COLOR_RGBA2BGR),
    *_opencv_type(1, cv2.COLOR_GRAY2BGR),
    *_opencv_type(3, None),
    *_opencv_type(4, cv2.COLOR_BGRA2BGR),
    # ROS names a Bayer pattern by its first two rows, OpenCV by the second and third column of the second row, hence
    # the swapped names (the same table as in cv_bridge).
    *_deep("bayer_rggb", 1, cv2.COLOR_BayerBG2BGR),
    *_deep("bayer_bggr", 1, cv2.COLOR_BayerRG2BGR),
    *_deep("bayer_gbrg", 1, cv2.COLOR_BayerGR2BGR),
    *_deep("bayer_grbg", 1, cv2.COLOR_BayerGB2BGR),
    Encoding("yuv422", 8, 2, cv2.COLOR_YUV2BGR_UYVY, even_width=True),
    Encoding("uyvy", 8, 2, cv2.COLOR_YUV2BGR_UYVY, even_width=True),
    Encoding("yuv422_yuy2", 8, 2, cv2.COLOR_YUV2BGR_YUY2, even_width=True),
    Encoding("yuyv", 8, 2, cv2.COLOR_YUV2BGR_YUY2, even_width=True),
    Encoding("nv12", 8, 1, cv2.COLOR_YUV2BGR_NV12, "semi_planar_420", even_width=True, even_height=True),
    Encoding("nv21", 8, 1, cv2.COLOR_YUV2BGR_NV21, "semi_planar_420", even_width=True, even_height=True),
    Encoding("nv24", 8, 1, None, "semi_planar_444"),
]
ENCODINGS: dict[str, Encoding] = {encoding.name: encoding for encoding in _ALL}


def encoding(name: str) -> Encoding:
    """Look up an encoding by the name in the message.

    Raises:
        FrameError: it is unknown, or holds no picture (depth in floats, signed or two-channel data).
    """
    found = ENCODINGS.get(name)
    if found is None:
        raise FrameError(
            f"Images of encoding {name!r} cannot be read as a picture. Set the camera driver to one of: "
            f"{', '.join(ENCODINGS)}."
        )
    return found
