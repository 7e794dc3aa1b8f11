"""Message types for reading and writing bags without ROS: those of ROS 2 and our own."""

from __future__ import annotations

from functools import cache

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from uav_perception.resources import resource

# vision_msgs 4 (Humble and later), for bags that carry no definitions; one that does is read by its own.
_VISION = {
    "Point2D": "float64 x\nfloat64 y",
    "Pose2D": "vision_msgs/Point2D position\nfloat64 theta",
    "BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y",
    "ObjectHypothesis": "string class_id\nfloat64 score",
    "ObjectHypothesisWithPose": "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose",
    "Detection2D": (
        "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
        "vision_msgs/BoundingBox2D bbox\nstring id"
    ),
    "Detection2DArray": "std_msgs/Header header\nvision_msgs/Detection2D[] detections",
}


@cache
def typestore() -> Typestore:
    """A rosbags type store of the standard ROS 2 messages with ``uav_perception/msg/*`` and the two-dimensional
    detections of vision_msgs registered.

    The store is made once and shared, so that every user meets the same classes.

    Returns:
        The store; ``typestore().types["uav_perception/msg/DetectionArray"]`` is the class of a message.
    """
    store = get_typestore(Stores.ROS2_KILTED)
    types: dict = {}
    for path in sorted(resource("msg").glob("*.msg")):
        types.update(get_types_from_msg(path.read_text(encoding="utf-8"), f"uav_perception/msg/{path.stem}"))
    for name, text in _VISION.items():
        types.update(get_types_from_msg(text, f"vision_msgs/msg/{name}"))
    store.register(types)
    return store
