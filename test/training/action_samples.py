"""A tiny data set in HMDB51's layout and a recipe for it."""

import cv2
import numpy as np

CLASSES = ("left", "right")


def write_set(root, train=6, test=3):
    """Blobs that move left or right."""
    splits = root / "testTrainMulti_7030_splits"
    splits.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (root / name).mkdir()
        lines = []
        for number in range(train + test):
            writer = cv2.VideoWriter(
                str(root / name / f"{number}.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (48, 40)
            )
            row, color = int(rng.integers(8, 30)), rng.integers(100, 255, 3)
            for step in range(6):
                frame = np.full((40, 48, 3), 40, np.uint8)
                column = 6 + 6 * (step if name == "right" else 5 - step)
                frame[row : row + 6, column : column + 6] = color
                writer.write(frame)
            writer.release()
            lines.append(f"{number}.avi {1 if number < train else 2}")
        (splits / f"{name}_test_split1.txt").write_text("\n".join(lines))


def recipe(root, **changes):
    """A LARMUV recipe that trains in seconds."""
    values = {
        "task": "action",
        "network": {"name": "larmuv", "size": 32, "short_side": 36, "options": {"norm_momentum": 0.1}},
        "data": {"format": "hmdb51", "root": str(root), "splits": [1], "cache": str(root.parent / "cache")},
        "augmentation": {"frame_size": [40, 48]},
        "loss": {"gamma": 2.0},
        "optimizer": {"rate": 0.0003},
        "training": {"epochs": 2, "batch": 4, "validate_every": 1},
    }
    for section, content in changes.items():
        values[section] = values.get(section, {}) | content if isinstance(content, dict) else content
    return values
