"""Small real video files for the tests."""

import cv2
import numpy as np


def write_video(path, frames=12, fps=10.0, width=64, height=48, seed=0):
    """Motion JPEG, whose every frame stands alone; frame i is nearly uniform, of grey level 10 i + noise.

    Returns:
        The frames as drawn, (n, height, width, 3) uint8.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    drawn = []
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, (width, height))
    for number in range(frames):
        frame = np.full((height, width, 3), 10 * number % 250, np.uint8)
        frame[8:24, 8:24] = rng.integers(0, 255, 3)
        writer.write(frame)
        drawn.append(frame)
    writer.release()
    return np.stack(drawn)
