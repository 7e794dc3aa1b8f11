"""Message types for reading and writing bags without ROS: those of ROS 2 and our own."""

from __future__ import annotations

from functools import cache

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from uav_perception.resources import resource


@cache
def typestore() -> Typestore:
    """A rosbags type store of the standard ROS 2 messages with ``uav_perception/msg/*`` registered.

    The store is made once and shared, so that every user meets the same classes.

    Returns:
        The store; ``typestore().types["uav_perception/msg/DetectionArray"]`` is the class of a message.
    """
    store = get_typestore(Stores.ROS2_KILTED)
    types: dict = {}
    for path in sorted(resource("msg").glob("*.msg")):
        types.update(get_types_from_msg(path.read_text(encoding="utf-8"), f"uav_perception/msg/{path.stem}"))
    store.register(types)
    return store
