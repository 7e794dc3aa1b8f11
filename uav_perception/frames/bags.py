"""Bags without ROS: making one from a video, and telling what one holds."""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection
from rosbags.rosbag2 import ReaderError, StoragePlugin, Writer
from tqdm import tqdm

from uav_perception.frames.compressed import encode_jpeg
from uav_perception.frames.convert import COMPRESSED_IMAGE, IMAGE
from uav_perception.frames.errors import FrameError
from uav_perception.frames.raw_image import from_array
from uav_perception.frames.typestore import typestore
from uav_perception.frames.video import read_video, video_info

STORAGES = {"sqlite3": StoragePlugin.SQLITE3, "mcap": StoragePlugin.MCAP}
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
_MOST_NS = 2**31 * 1_000_000_000  # builtin_interfaces/Time counts seconds in 32 bits
BAG_VERSION = 8  # of the metadata; version 9 needs Jazzy


@dataclass(frozen=True)
class VideoBagOptions:
    """How a video becomes a bag.

    Attributes:
        storage: "sqlite3" or "mcap".
        image: "raw" (``sensor_msgs/Image``, bgr8) or "jpeg" (``CompressedImage``, on the topic with ``/compressed``).
        topic: of the images.
        frame_id: of the header.
        start_ns: stamp of the first image [ns since 1970].
        quality: of the JPEGs, 1 to 100.
        horizontal_fov_deg: of the camera; given, CameraInfo of an ideal pinhole is written too [deg].

    Raises:
        FrameError: a value is unknown or out of its range.
    """

    storage: str = "mcap"
    image: str = "raw"
    topic: str = "/camera/image_raw"
    frame_id: str = "camera_optical_frame"
    start_ns: int = 0
    quality: int = 90
    horizontal_fov_deg: float | None = None

    def __post_init__(self) -> None:
        if self.storage not in STORAGES:
            raise FrameError(f"Unknown storage {self.storage!r}. Known are: {', '.join(STORAGES)}.")
        if self.image not in ("raw", "jpeg"):
            raise FrameError(f"Unknown kind of image {self.image!r}. Known are: raw, jpeg.")
        if not self.topic.startswith("/") or self.topic.endswith("/"):
            raise FrameError(f"The topic must be absolute, such as /camera/image_raw, not {self.topic!r}.")
        if not 1 <= self.quality <= 100:
            raise FrameError(f"The JPEG quality must lie in 1..100, not {self.quality}.")
        if not 0 <= self.start_ns < _MOST_NS:
            raise FrameError(
                f"The start must lie from 1970 to 2038, as stamps do, but it is {self.start_ns / 1e9:g} s."
            )
        if self.horizontal_fov_deg is not None and not 0 < self.horizontal_fov_deg < 180:
            raise FrameError(f"The field of view must lie between 0 and 180 deg, not {self.horizontal_fov_deg}.")


def video_to_bag(video: str | Path, out: str | Path, options: VideoBagOptions) -> int:
    """Write a rosbag2 folder with the images of a video, stamped by the container's own times.

    The folder appears under its name only when it is complete.

    Args:
        video: any file that OpenCV decodes.
        out: the folder to make.
        options: see `VideoBagOptions`.

    Returns:
        How many images were written.

    Raises:
        FrameError: the video cannot be read, or ``out`` exists.
    """
    out = Path(out)
    info = video_info(video)
    if out.exists():
        raise FrameError(f"The bag {out} exists already. Remove it or choose another name.")
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        # The files inside a bag carry the folder's name, so the last part of the path is already the final one.
        with Writer(unfinished / out.name, version=BAG_VERSION, storage_plugin=STORAGES[options.storage]) as writer:
            count = _write_images(writer, video, info.frames, options)
        os.replace(unfinished / out.name, out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return count


def _write_images(writer: Writer, video: str | Path, frames: int, options: VideoBagOptions) -> int:
    store = typestore()
    raw = options.image == "raw"
    kind, topic = (IMAGE, options.topic) if raw else (COMPRESSED_IMAGE, f"{options.topic}/compressed")
    images = writer.add_connection(topic, kind, typestore=store)
    infos = None
    if options.horizontal_fov_deg is not None:
        name = f"{options.topic.rsplit('/', 1)[0]}/camera_info"
        infos = writer.add_connection(name, CAMERA_INFO, typestore=store)
    count = 0
    for elapsed, image in tqdm(read_video(video), total=frames or None, desc=Path(video).name, unit="image"):
        stamp = options.start_ns + elapsed
        header = _header(stamp, options.frame_id)
        message = _raw_message(image, header) if raw else _jpeg_message(image, header, options.quality)
        writer.write(images, stamp, store.serialize_cdr(message, kind))
        if infos is not None:
            information = camera_info(image.shape[1], image.shape[0], options.horizontal_fov_deg, header)
            writer.write(infos, stamp, store.serialize_cdr(information, CAMERA_INFO))
        count += 1
    return count


def _header(stamp_ns: int, frame_id: str) -> object:
    types = typestore().types
    time = types["builtin_interfaces/msg/Time"](sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)
    return types["std_msgs/msg/Header"](stamp=time, frame_id=frame_id)


def _raw_message(image: np.ndarray, header: object) -> object:
    fields = from_array(image)
    return typestore().types[IMAGE](
        header=header,
        height=fields.height,
        width=fields.width,
        encoding=fields.encoding,
        is_bigendian=int(fields.is_bigendian),
        step=fields.step,
        data=fields.data,
    )


def _jpeg_message(image: np.ndarray, header: object, quality: int) -> object:
    data = np.frombuffer(encode_jpeg(image, quality), np.uint8)
    return typestore().types[COMPRESSED_IMAGE](header=header, format="bgr8; jpeg compressed bgr8", data=data)


def camera_info(width: int, height: int, horizontal_fov_deg: float, header: object) -> object:
    """CameraInfo of an ideal pinhole with square pixels and its axis in the middle of the image.

    Its pixels are OpenCV's, with whole numbers in the middles of pixels, so the principal point is (width - 1) / 2.

    Args:
        width: of the image [px].
        height: of the image [px].
        horizontal_fov_deg: angle between the left and the right edge [deg].
        header: a ``std_msgs/Header`` of `typestore`.
    """
    types = typestore().types
    focal = width / 2 / math.tan(math.radians(horizontal_fov_deg) / 2)
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    k = np.array([focal, 0, centre_x, 0, focal, centre_y, 0, 0, 1], np.float64)
    p = np.array([focal, 0, centre_x, 0, 0, focal, centre_y, 0, 0, 0, 1, 0], np.float64)
    region = types["sensor_msgs/msg/RegionOfInterest"](x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return types[CAMERA_INFO](
        header=header,
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=k,
        r=np.eye(3).reshape(-1),
        p=p,
        binning_x=0,
        binning_y=0,
        roi=region,
    )


def describe_bag(path: str | Path) -> dict[str, object]:
    """What a bag holds.

    Returns:
        ``storage``, ``start_ns``, ``duration_s``, ``messages`` and ``topics``: for each its ``name``, ``type``,
        ``count``, mean ``rate_hz`` and, for pictures, ``picture`` in words.

    Raises:
        FrameError: there is no bag, or it is damaged.
    """
    path = Path(path)
    try:
        with AnyReader([path], default_typestore=typestore()) as reader:
            # rosbags counts to one nanosecond after the last message.
            duration = (reader.duration - 1) / 1e9 if reader.message_count else 0.0
            topics = [_describe_topic(reader, connection, duration) for connection in reader.connections]
            return {
                "storage": "mcap" if path.suffix == ".mcap" or any(path.glob("*.mcap")) else "sqlite3",
                "start_ns": reader.start_time if reader.message_count else 0,
                "duration_s": duration,
                "messages": reader.message_count,
                "topics": sorted(topics, key=lambda topic: topic["name"]),
            }
    except (AnyReaderError, ReaderError, FileNotFoundError) as error:
        raise FrameError(
            f"{path} cannot be read as a bag ({str(error).rstrip('.')}). Give the folder that holds metadata.yaml. "
            "If its recording was cut off, repair it with `ros2 bag reindex` (sqlite3) or `mcap recover` (MCAP)."
        ) from error


def _describe_topic(reader: AnyReader, connection: Connection, duration: float) -> dict[str, object]:
    rate = (connection.msgcount - 1) / duration if duration > 0 and connection.msgcount > 1 else 0.0
    topic = {"name": connection.topic, "type": connection.msgtype, "count": connection.msgcount, "rate_hz": rate}
    if connection.msgtype in (IMAGE, COMPRESSED_IMAGE) and connection.msgcount:
        _, _, data = next(reader.messages([connection]))
        message = reader.deserialize(data, connection.msgtype)
        if connection.msgtype == IMAGE:
            topic["picture"] = f"{message.width}x{message.height} {message.encoding}"
        else:
            topic["picture"] = message.format
    return topic
