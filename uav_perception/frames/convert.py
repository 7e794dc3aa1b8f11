"""From image messages (of rclpy, of rosbags, or serialised) to frames."""

from __future__ import annotations

from uav_perception.frames import cdr, compressed
from uav_perception.frames.errors import FrameError
from uav_perception.frames.frame import Frame
from uav_perception.frames.raw_image import RawImage, to_bgr

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"


def frame_from_message(message: object) -> Frame:
    """Convert a ``sensor_msgs/Image`` or ``CompressedImage`` object of rclpy or rosbags.

    Raises:
        FrameError: the message holds no readable picture.
    """
    stamp = message.header.stamp
    stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
    if hasattr(message, "format"):
        image = compressed.decode(message.data, message.format)
    else:
        fields = (
            message.height,
            message.width,
            message.encoding,
            bool(message.is_bigendian),
            message.step,
            message.data,
        )
        image = to_bgr(RawImage(*fields))
    return Frame(image, stamp_ns, message.header.frame_id)


def frame_from_cdr(data: object, message_type: str = IMAGE) -> Frame:
    """Convert a serialised message; the frame's image may be a view of ``data``.

    Args:
        data: any buffer of bytes, as a subscription with ``raw=True`` or a bag gives it.
        message_type: "sensor_msgs/msg/Image" or "sensor_msgs/msg/CompressedImage".

    Raises:
        FrameError: the bytes are damaged or hold no readable picture, or the type is another.
    """
    if message_type == IMAGE:
        header, image = cdr.parse_image(data)
        return Frame(to_bgr(image), header.stamp_ns, header.frame_id)
    if message_type == COMPRESSED_IMAGE:
        header, format_, pixels = cdr.parse_compressed_image(data)
        return Frame(compressed.decode(pixels, format_), header.stamp_ns, header.frame_id)
    raise FrameError(f"Messages of type {message_type!r} hold no picture; use {IMAGE} or {COMPRESSED_IMAGE}.")
