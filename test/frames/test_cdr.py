"""The CDR parser against rosbags' serialiser, for both byte orders, and against mutated messages."""

import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from uav_perception.frames.cdr import parse_compressed_image, parse_image
from uav_perception.frames.compressed import encode_png
from uav_perception.frames.convert import COMPRESSED_IMAGE, IMAGE, frame_from_cdr, frame_from_message
from uav_perception.frames.errors import FrameError

STORE = get_typestore(Stores.ROS2_HUMBLE)
STAMP = 1_700_000_000_123_456_789


def header(frame_id):
    time = STORE.types["builtin_interfaces/msg/Time"](sec=STAMP // 10**9, nanosec=STAMP % 10**9)
    return STORE.types["std_msgs/msg/Header"](stamp=time, frame_id=frame_id)


def image_message(frame_id="camera", encoding="bgr8", height=6, width=8):
    pixels = np.random.default_rng(0).integers(0, 256, height * width * 3, np.uint8)
    return STORE.types[IMAGE](
        header=header(frame_id),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=3 * width,
        data=pixels,
    )


@pytest.mark.parametrize("little_endian", [True, False])
@pytest.mark.parametrize("frame_id", ["", "c", "ca", "cam", "came", "Kamera_für_öäü"])
@pytest.mark.parametrize("encoding", ["bgr8", "rgb8", "8UC3"])
def test_an_image_is_read_as_rosbags_wrote_it(little_endian, frame_id, encoding):
    message = image_message(frame_id, encoding)
    data = STORE.serialize_cdr(message, IMAGE, little_endian=little_endian)
    head, image = parse_image(data)
    assert (head.stamp_ns, head.frame_id) == (STAMP, frame_id)
    assert (image.height, image.width, image.encoding, image.step) == (6, 8, encoding, 24)
    assert image.is_bigendian is False
    assert bytes(image.data) == message.data.tobytes()


@pytest.mark.parametrize("little_endian", [True, False])
@pytest.mark.parametrize("format_", ["png", "bgr8; png compressed bgr8"])
def test_a_compressed_image_is_read(little_endian, format_):
    picture = np.full((4, 5, 3), 77, np.uint8)
    data = np.frombuffer(encode_png(picture), np.uint8)
    message = STORE.types[COMPRESSED_IMAGE](header=header("camera"), format=format_, data=data)
    serialised = STORE.serialize_cdr(message, COMPRESSED_IMAGE, little_endian=little_endian)
    head, read_format, read = parse_compressed_image(serialised)
    assert (head.stamp_ns, head.frame_id, read_format) == (STAMP, "camera", format_)
    assert bytes(read) == data.tobytes()
    frame = frame_from_cdr(serialised, COMPRESSED_IMAGE)
    np.testing.assert_array_equal(frame.image, picture)
    np.testing.assert_array_equal(frame_from_message(message).image, picture)


def test_a_frame_is_the_same_from_bytes_and_from_the_message_and_copies_nothing():
    message = image_message()
    data = bytes(STORE.serialize_cdr(message, IMAGE))
    from_bytes, from_message = frame_from_cdr(data), frame_from_message(message)
    np.testing.assert_array_equal(from_bytes.image, from_message.image)
    assert (from_bytes.stamp_ns, from_bytes.frame_id) == (from_message.stamp_ns, from_message.frame_id)
    assert (from_bytes.width, from_bytes.height) == (8, 6)
    assert np.shares_memory(from_bytes.image, np.frombuffer(data, np.uint8))
    assert np.shares_memory(from_message.image, message.data)


def test_every_cut_off_message_is_refused():
    data = bytes(STORE.serialize_cdr(image_message(), IMAGE))
    for length in range(len(data) - 1):
        with pytest.raises(FrameError, match=r"cut off or damaged|must start with a CDR header|UTF-8"):
            parse_image(data[:length])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "must start with a CDR header such as 00 01 00 00, not nothing"),
        (b"\x00\x02\x00\x00" + bytes(60), "not 00 02 00 00"),
        (b"\x00\x01\x00\x00" + bytes(4) + b"\xff\xff\xff\xff", "stamp of 4294967295 ns within its second"),
        (b"\x00\x01\x00\x00" + bytes(8) + b"\xff\xff\xff\x7f", "2147483647 bytes are wanted from byte 16"),
        (b"\x00\x01\x00\x00" + bytes(8) + b"\x02\0\0\0\xff\0" + bytes(20), "not UTF-8"),
    ],
)
def test_damaged_bytes_are_named(data, message):
    with pytest.raises(FrameError, match=message):
        parse_image(data)


def test_a_message_of_another_type_is_refused():
    with pytest.raises(FrameError, match="'sensor_msgs/msg/PointCloud2' hold no picture"):
        frame_from_cdr(b"", "sensor_msgs/msg/PointCloud2")


def test_mutated_messages_give_a_frame_or_a_frame_error():
    """6,000 messages with one to eight bytes changed, some cut off, most changes in the fields before the pixels."""
    rng = np.random.default_rng(3)
    whole = {
        IMAGE: bytes(STORE.serialize_cdr(image_message(), IMAGE)),
        COMPRESSED_IMAGE: bytes(
            STORE.serialize_cdr(
                STORE.types[COMPRESSED_IMAGE](
                    header=header("camera"), format="png",
                    data=np.frombuffer(encode_png(np.zeros((4, 5, 3), np.uint8)), np.uint8),
                ),
                COMPRESSED_IMAGE,
            )
        ),
    }  # fmt: skip
    read = refused = 0
    for trial in range(6_000):
        kind = IMAGE if trial % 2 else COMPRESSED_IMAGE
        data = bytearray(whole[kind])
        reach = min(len(data), 90)
        for _ in range(rng.integers(1, 9)):
            data[rng.integers(0, reach)] = rng.integers(0, 256)
        if trial % 10 == 0:
            data = data[: rng.integers(0, len(data))]
        try:
            frame = frame_from_cdr(bytes(data), kind)
        except FrameError:
            refused += 1
        else:
            read += 1
            assert frame.image.dtype == np.uint8
            assert frame.image.shape[2] == 3
    assert read + refused == 6_000
    assert read > 100
    assert refused > 2_000
