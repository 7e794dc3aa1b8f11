"""JPEG and PNG messages: what is read, and what is refused before it costs memory."""

import struct

import cv2
import numpy as np
import pytest

from uav_perception.frames.compressed import decode, encode_jpeg, encode_png, picture_size
from uav_perception.frames.errors import FrameError


@pytest.fixture
def image() -> np.ndarray:
    y, x = np.mgrid[0:90, 0:120]
    return np.stack((2 * x, 2 * y, 255 - x), axis=-1).astype(np.uint8)


def test_png_is_lossless_and_jpeg_close(image):
    np.testing.assert_array_equal(decode(encode_png(image), "bgr8; png compressed bgr8"), image)
    np.testing.assert_allclose(decode(encode_jpeg(image, 95), "jpeg").astype(int), image, atol=12)


def test_channels_that_were_stored_swapped_are_swapped_back(image):
    swapped = encode_png(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    np.testing.assert_array_equal(decode(swapped, "rgb8; png compressed rgb8"), image)


def test_grey_and_16_bit_pictures_become_bgr(image):
    grey = image[:, :, 0]
    np.testing.assert_array_equal(decode(encode_png(grey)), grey[:, :, None].repeat(3, 2))
    deep = decode(encode_png(image.astype(np.uint16) * 257))
    np.testing.assert_array_equal(deep, image)


def test_exif_orientation_does_not_turn_the_picture(image):
    data = encode_jpeg(image)
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)  # orientation: turned by a quarter
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 1) + entry + struct.pack("<I", 0)
    turned = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (120, 90, 3)
    np.testing.assert_array_equal(decode(turned), decode(data))


@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("size", [(1, 1), (640, 384), (17, 9)])
def test_the_size_is_read_from_the_header(size, progressive):
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1].tobytes()
    assert picture_size(memoryview(jpeg)) == size
    assert picture_size(memoryview(encode_png(picture))) == size


def test_a_picture_that_claims_too_many_pixels_is_refused_before_decoding(image):
    data = bytearray(encode_jpeg(image))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 20000, 20000)
    with pytest.raises(FrameError, match="claims 20000x20000 px; 1 to 100000000"):
        decode(bytes(data))


@pytest.mark.parametrize("encode", [encode_jpeg, encode_png])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.95, 0.99])
def test_a_cut_off_picture_is_refused(image, encode, part):
    data = encode(image)
    with pytest.raises(FrameError, match=r"cut off|neither|damaged"):
        decode(data[: int(part * len(data))])


def test_the_end_of_a_thumbnail_is_not_taken_for_the_end_of_the_picture(image):
    data, thumbnail = encode_jpeg(image), encode_jpeg(image[:8, :8])
    segment = b"\xff\xe2" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    with_thumbnail = data[:2] + segment + data[2:]
    np.testing.assert_array_equal(decode(with_thumbnail), decode(data))
    with pytest.raises(FrameError, match="cut off"):
        decode(with_thumbnail[:-40])


@pytest.mark.parametrize(
    ("data", "format_", "message"),
    [
        (b"", "jpeg", "without data"),
        (b"BM12345678", "bmp", "starts with the bytes 42 4d 31 .* neither JPEG nor PNG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "png", "PNG of 48 bytes is damaged: its header"),
        (b"\xff\xd8\xff\xe0\x00\x04ab\x00\x00\x00\x00", "jpeg", "no marker at byte 8"),
        (b"\xff\xd8\xff\xe0\x00\x04abc", "16UC1; compressedDepth png", "is a depth image"),
    ],
)
def test_what_is_no_picture_is_refused(data, format_, message):
    with pytest.raises(FrameError, match=message):
        decode(data, format_)


def test_damaged_pixels_are_refused(image):
    data = bytearray(encode_png(image))
    data[60:90] = bytes(30)
    with pytest.raises(FrameError, match=r"damaged|cannot be decoded"):
        decode(bytes(data))


def test_an_array_that_cannot_be_compressed_is_refused():
    with pytest.raises(FrameError, match=r"Cannot write float64 of shape \(4, 4, 5\) as .jpg"):
        encode_jpeg(np.zeros((4, 4, 5)))
