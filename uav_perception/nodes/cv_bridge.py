"""Conversions by cv_bridge, where a ROS installation brings it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np

# What cv_bridge converts to bgr8, by its own names. It knows neither NV12 and its kin nor the newer names of 4:2:2.
_NAMES = {"uyvy": "yuv422", "yuyv": "yuv422_yuy2"}
_KNOWN = {
    "mono8", "mono16", "rgb8", "rgb16", "bgr16", "bgra8", "bgra16", "rgba8", "rgba16", "yuv422", "yuv422_yuy2",
    "bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8",
    "bayer_rggb16", "bayer_bggr16", "bayer_gbrg16", "bayer_grbg16",
}  # fmt: skip


def cv_bridge_conversion(encoding: str) -> Callable[[np.ndarray], np.ndarray] | None:
    """cv_bridge's conversion of pixels to BGR.

    Returns:
        A function of the pixels, or None where cv_bridge is not installed or does not know the encoding.
    """
    name = _NAMES.get(encoding, encoding)
    convert = _cvt_color()
    if convert is None or name not in _KNOWN:
        return None
    return partial(_convert, convert, name)


def _convert(convert: Callable[..., np.ndarray], name: str, pixels: np.ndarray) -> np.ndarray:
    return convert(np.ascontiguousarray(pixels), name, "bgr8")


@cache
def _cvt_color() -> Callable[..., np.ndarray] | None:
    try:
        from cv_bridge.boost.cv_bridge_boost import cvtColor2
    except ImportError:  # not installed, or compiled for another NumPy
        return None
    return cvtColor2
