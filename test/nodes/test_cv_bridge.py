"""cv_bridge, where ROS brings it, and our own conversions give the same pixels."""

import numpy as np
import pytest

from uav_perception.frames.encodings import ENCODINGS
from uav_perception.frames.raw_image import RawImage, to_bgr
from uav_perception.nodes.cv_bridge import cv_bridge_conversion

HEIGHT, WIDTH = 12, 16


@pytest.mark.parametrize("name", sorted(ENCODINGS))
def test_cv_bridge_agrees(name):
    pytest.importorskip("cv_bridge", reason="cv_bridge is not installed (it comes with ROS 2)")
    if cv_bridge_conversion(name) is None:
        pytest.skip(f"cv_bridge does not convert {name}")
    step = WIDTH * ENCODINGS[name].pixel_bytes
    data = np.random.default_rng(2).integers(0, 256, HEIGHT * step, np.uint8)
    image = RawImage(HEIGHT, WIDTH, name, False, step, data)
    np.testing.assert_array_equal(to_bgr(image, cv_bridge_conversion), to_bgr(image))
