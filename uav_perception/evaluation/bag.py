"""Flights recorded as ROS 2 bags: sqlite3 or MCAP, split or whole, compressed or not; and single .mcap/.db3 files."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection
from rosbags.serde import SerdeError
from rosbags.typesys.store import Typestore

from uav_perception.evaluation.errors import RecordingError
from uav_perception.evaluation.source import EncodedImage, Source
from uav_perception.frames import cdr
from uav_perception.frames.convert import COMPRESSED_IMAGE, IMAGE, frame_from_cdr, frame_from_message
from uav_perception.frames.errors import FrameError
from uav_perception.frames.frame import Frame
from uav_perception.frames.typestore import typestore

BAG_SUFFIXES = (".mcap", ".db3", ".bag")


def is_bag(path: Path) -> bool:
    """A rosbag2 folder or a storage file."""
    return (path / "metadata.yaml").is_file() or (path.is_file() and path.suffix in BAG_SUFFIXES)


@contextmanager
def opened(path: Path) -> Iterator[AnyReader]:
    """Open a bag for reading, also one without message definitions.

    Raises:
        RecordingError: the bag is missing or damaged.
    """
    if not path.exists():
        raise RecordingError(f"There is no bag {path}.")
    try:
        reader = AnyReader([path], default_typestore=typestore())
        reader.open()
    except Exception as error:  # zstd, struct and YAML errors have no common base
        raise RecordingError(
            f"The bag {path} cannot be opened ({_brief(error)}). If its recording was cut off, repair it with "
            "`ros2 bag reindex` (sqlite3) or `mcap recover` (MCAP)."
        ) from error
    try:
        yield reader
    finally:
        reader.close()


def _brief(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def messages(reader: AnyReader, connections: list[Connection], path: Path) -> Iterator[tuple[Connection, int, bytes]]:
    """Raw messages in order of recording.

    Raises:
        RecordingError: the bag breaks off, saying how many messages came before.
    """
    count = 0
    try:
        for row in reader.messages(connections):
            yield row
            count += 1
    except Exception as error:  # as above
        raise RecordingError(
            f"The bag {path} is damaged after {count} messages of {', '.join(c.topic for c in connections)} "
            f"({_brief(error)}). Repair it with `ros2 bag reindex` (sqlite3) or `mcap recover` (MCAP)."
        ) from error


def what_is_undefined(reader: AnyReader, connections: Sequence[Connection]) -> str | None:
    """Says which message neither the bag nor this package defines, and what to do; None when all are known."""
    for connection in connections:
        if connection.msgtype not in reader.typestore.fielddefs:
            return (
                f"the bag does not define {connection.msgtype} of {connection.topic}, as sqlite3 bags of ROS 2 Humble "
                "define nothing. Record as MCAP (`ros2 bag record -s mcap`), or convert the bag where that package is "
                "sourced (`ros2 bag convert`)."
            )
    return None


class Bag(Source):
    """The images of one topic of a bag.

    Args:
        path: a rosbag2 folder, or a .mcap, .db3 or ROS 1 .bag file.
        topic: the image topic; None takes the only one there is.

    Raises:
        RecordingError: the bag cannot be opened, has no such topic, no image topic or several, or the topic holds no
            images.
    """

    in_time_order = True

    def __init__(self, path: str | Path, topic: str | None = None) -> None:
        self.path = Path(path)
        self.name = self.path.stem if self.path.is_file() else self.path.resolve().name
        with opened(self.path) as reader:
            self.topics = {c.topic: c.msgtype for c in reader.connections}
            counts = Counter()
            for connection in reader.connections:
                counts[connection.topic] += connection.msgcount
            self.topic = _choose_topic(self.topics, counts, topic, self.path)
            self._count = counts[self.topic]
        if not self._count:
            raise RecordingError(f"The topic {self.topic} of the bag {self.path} holds no images.")

    def __len__(self) -> int:
        return self._count

    def images(self) -> Iterator[EncodedImage]:
        """See :meth:`Source.images`."""
        count = 0
        with opened(self.path) as reader:
            connections = [c for c in reader.connections if c.topic == self.topic]
            ros1 = None if reader.is2 else reader.typestore
            for connection, recorded_ns, data in messages(reader, connections, self.path):
                decode = partial(_decode, ros1, data, connection.msgtype)
                yield EncodedImage(count, "", _stamp(ros1, data, connection.msgtype, recorded_ns), decode)
                count += 1
        if count < self._count:
            raise RecordingError(
                f"The bag {self.path} says it holds {self._count} images on {self.topic}, but only {count} can be "
                "read; a storage file was cut off or replaced. Repair it with `ros2 bag reindex` or `mcap recover`."
            )


def _choose_topic(topics: dict[str, str], counts: Mapping[str, int], wanted: str | None, path: Path) -> str:
    images = sorted(t for t, kind in topics.items() if kind in (IMAGE, COMPRESSED_IMAGE))
    listing = ", ".join(f"{t} ({kind})" for t, kind in sorted(topics.items())) or "nothing"
    if wanted is not None:
        if wanted not in topics:
            raise RecordingError(f"The bag {path} has no topic {wanted}. It holds: {listing}.")
        if wanted not in images:
            raise RecordingError(
                f"The topic {wanted} of the bag {path} is {topics[wanted]}, not {IMAGE} or {COMPRESSED_IMAGE}. "
                f"Image topics there: {', '.join(images) or 'none'}."
            )
        return wanted
    if not images:
        raise RecordingError(f"The bag {path} has no image topic. It holds: {listing}.")
    # A camera recorded both raw and compressed is one camera; the compressed stream is faster to read. A topic that
    # nobody published on while the bag was recorded is there without messages.
    filled = [t for t in images if counts[t]] or images
    cameras = {t.removesuffix("/compressed"): t for t in filled}
    if len(cameras) > 1:
        raise RecordingError(
            f"The bag {path} has several image topics: {', '.join(filled)}. Choose one with --image-topic."
        )
    return next(iter(cameras.values()))


def _decode(ros1: Typestore | None, data: bytes, kind: str) -> Frame:
    if ros1 is None:
        return frame_from_cdr(data, kind)
    return frame_from_message(_ros1_message(ros1, data, kind))


def _ros1_message(store: Typestore, data: bytes, kind: str) -> object:
    try:
        return store.deserialize_ros1(data, kind)
    except (SerdeError, ValueError, struct.error) as error:
        raise FrameError(f"The message is damaged ({_brief(error)}).") from error


def _stamp(ros1: Typestore | None, data: bytes, kind: str, recorded_ns: int) -> int:
    """The header's stamp without decoding the picture; that of recording where the message is damaged."""
    try:
        if ros1 is not None:
            stamp = _ros1_message(ros1, data, kind).header.stamp
            return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
        parse = cdr.parse_image if kind == IMAGE else cdr.parse_compressed_image
        return parse(data)[0].stamp_ns
    except FrameError:
        return recorded_ns
