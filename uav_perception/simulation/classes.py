"""What the simulated world contains: the classes of the detector and of the action recogniser, in their order."""

from __future__ import annotations

DETECTION_CLASSES = ("person", "bicycle", "car", "van", "truck", "bus")

# The eleven actions of LARMUV's UAV data set (20-30 m altitude).
ACTION_CLASSES = (
    "bend",
    "handshake",
    "clap",
    "hug",
    "kick",
    "push",
    "ride",
    "run",
    "squat",
    "walk",
    "walk_multiple",
)

# Category numbers of the VisDrone-DET annotation files (its readme): people here always stand, walk or ride upright,
# so they are "pedestrian" (1) and never "people" (2).
VISDRONE_CATEGORY = {"person": 1, "bicycle": 3, "car": 4, "van": 5, "truck": 6, "bus": 9}
