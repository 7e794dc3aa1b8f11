"""Publishing that outlives the middleware's refusals."""

from __future__ import annotations

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.publisher import Publisher

RCLError = rclpy_implementation.RCLError


def publish(publisher: Publisher, message: object, node: Node) -> bool:
    """Publish, and log instead of raising when the middleware refuses (a full buffer, a shutdown in progress).

    Args:
        publisher: where to.
        message: a message, or its serialised bytes.
        node: for the log.

    Returns:
        Whether the middleware took the message.
    """
    try:
        publisher.publish(message)
    except RCLError as error:
        node.get_logger().warning(
            f"{publisher.topic_name}: the middleware refused a message ({error}).", throttle_duration_sec=5.0
        )
        return False
    return True
