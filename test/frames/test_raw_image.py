"""Every picture encoding against an independent float64 reference, and what is refused."""

import array

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uav_perception.frames.encodings import ENCODINGS
from uav_perception.frames.errors import FrameError
from uav_perception.frames.raw_image import RawImage, data_bytes, from_array, to_bgr

HEIGHT, WIDTH = 12, 16


def picture() -> np.ndarray:
    """A smooth BGR picture, so that shared chroma loses little."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    return np.stack((60 + 4 * x, 90 + 5 * y, 160 - 3 * x + 2 * y), axis=-1)


def yuv(bgr: np.ndarray) -> np.ndarray:
    """ITU-R BT.601 in studio range, from its definition."""
    b, g, r = bgr[..., 0] / 255, bgr[..., 1] / 255, bgr[..., 2] / 255
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    return np.stack((16 + 219 * luma, 128 + 224 * (b - luma) / 1.772, 128 + 224 * (r - luma) / 1.402), axis=-1)


def pack_422(bgr: np.ndarray, order: str) -> np.ndarray:
    values = yuv(bgr)
    chroma = (values[:, 0::2, 1:] + values[:, 1::2, 1:]) / 2
    parts = {"y0": values[:, 0::2, 0], "y1": values[:, 1::2, 0], "u": chroma[..., 0], "v": chroma[..., 1]}
    return np.stack([parts[name] for name in order.split()], axis=-1).reshape(HEIGHT, -1).round().astype(np.uint8)


def pack_420(bgr: np.ndarray, order: list[int]) -> np.ndarray:
    values = yuv(bgr)
    chroma = values[..., 1:].reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 2).mean(axis=(1, 3))[..., order]
    return np.vstack((values[..., 0], chroma.reshape(HEIGHT // 2, WIDTH))).round().astype(np.uint8)


def pack_444(bgr: np.ndarray) -> np.ndarray:
    values = yuv(bgr)
    return np.concatenate((values[..., 0].ravel(), values[..., 1:].ravel())).round().astype(np.uint8)


def mosaic(bgr: np.ndarray, pattern: str) -> np.ndarray:
    """Keep one channel a pixel; the pattern names the first two rows, as image_encodings does."""
    out = np.empty((HEIGHT, WIDTH))
    for index, letter in enumerate(pattern):
        row, column = divmod(index, 2)
        out[row::2, column::2] = bgr[row::2, column::2, "bgr".index(letter)]
    return out


def raw(name: str, data: np.ndarray, step: int) -> RawImage:
    return RawImage(HEIGHT, WIDTH, name, False, step, data.tobytes())


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("name", "channels"),
    [("bgr", [0, 1, 2]), ("rgb", [2, 1, 0]), ("bgra", [0, 1, 2, 2]), ("rgba", [2, 1, 0, 2]),
     ("{}UC3", [0, 1, 2]), ("{}UC4", [0, 1, 2, 2]), ("mono", [1]), ("{}UC1", [1])],
)  # fmt: skip
@pytest.mark.parametrize("bigendian", [False, True])
def test_interleaved_encodings(name, channels, bits, bigendian):
    name = name.format(bits) if "{" in name else f"{name}{bits}"
    bgr = picture().round()
    stored = (bgr[..., channels] * (257 if bits == 16 else 1)).astype(f"{'>' if bigendian else '<'}u{bits // 8}")
    step = WIDTH * len(channels) * bits // 8
    result = to_bgr(RawImage(HEIGHT, WIDTH, name, bigendian, step, stored.tobytes()))
    expected = bgr[..., [1, 1, 1]] if len(channels) == 1 else bgr
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns_are_named_by_their_first_two_rows(pattern, bits):
    flat = np.broadcast_to(np.array([40.0, 90.0, 200.0]), (HEIGHT, WIDTH, 3))
    data = (mosaic(flat, pattern) * (257 if bits == 16 else 1)).astype(f"<u{bits // 8}")
    result = to_bgr(raw(f"bayer_{pattern}{bits}", data, WIDTH * bits // 8))
    np.testing.assert_array_equal(result, flat)
    smooth = mosaic(picture(), pattern).round() * (257 if bits == 16 else 1)
    result = to_bgr(raw(f"bayer_{pattern}{bits}", smooth.astype(f"<u{bits // 8}"), WIDTH * bits // 8))
    np.testing.assert_allclose(result[2:-2, 2:-2], picture()[2:-2, 2:-2], atol=2)


@pytest.mark.parametrize(
    ("name", "data", "step"),
    [
        ("yuv422", pack_422(picture(), "u y0 v y1"), 2 * WIDTH),
        ("uyvy", pack_422(picture(), "u y0 v y1"), 2 * WIDTH),
        ("yuv422_yuy2", pack_422(picture(), "y0 u y1 v"), 2 * WIDTH),
        ("yuyv", pack_422(picture(), "y0 u y1 v"), 2 * WIDTH),
        ("nv12", pack_420(picture(), [0, 1]), WIDTH),
        ("nv21", pack_420(picture(), [1, 0]), WIDTH),
        ("nv24", pack_444(picture()), WIDTH),
    ],
)
def test_yuv_encodings(name, data, step):
    result = to_bgr(raw(name, data, step))
    np.testing.assert_allclose(result, picture(), atol=6 if name != "nv24" else 2)


def test_every_picture_encoding_of_sensor_msgs_is_covered():
    listed = {f"{name}{bits}" for name in ("mono", "rgb", "bgr", "rgba", "bgra") for bits in (8, 16)}
    listed |= {f"{bits}UC{channels}" for bits in (8, 16) for channels in (1, 3, 4)}
    listed |= {f"bayer_{pattern}{bits}" for pattern in ("rggb", "bggr", "gbrg", "grbg") for bits in (8, 16)}
    listed |= {"uyvy", "yuv422", "yuyv", "yuv422_yuy2", "nv12", "nv21", "nv24"}
    assert listed == set(ENCODINGS)


@given(data=st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_row_padding_never_reaches_the_picture(data):
    name = data.draw(st.sampled_from(sorted(ENCODINGS)))
    kind = ENCODINGS[name]
    height, width = 2 * data.draw(st.integers(1, 8)), 2 * data.draw(st.integers(1, 8))
    row = width * kind.pixel_bytes
    step = row + data.draw(st.integers(0, 9)) * (2 if kind.layout != "packed" else 1)
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    # The chroma plane of NV24 has rows of two steps, that of the others of one.
    tight = rng.integers(0, 256, data_bytes(kind, row, height), np.uint8)
    lengths = [row] * height
    if kind.layout == "semi_planar_420":
        lengths += [row] * (height // 2)
    if kind.layout == "semi_planar_444":
        lengths += [2 * row] * height
    padded, at = [], 0
    for length in lengths:
        padded += [tight[at : at + length], rng.integers(0, 256, (step - row) * (length // row), np.uint8)]
        at += length
    expected = to_bgr(RawImage(height, width, name, False, row, tight.tobytes()))
    result = to_bgr(RawImage(height, width, name, False, step, np.concatenate(padded).tobytes()))
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, np.frombuffer, lambda data: array.array("B", data)])
def test_a_bgr_image_is_a_view_of_any_buffer(wrap):
    step = 3 * WIDTH + 5
    rows = np.random.default_rng(0).integers(0, 256, (HEIGHT, step), np.uint8)
    buffer = wrap(rows.tobytes()) if wrap is not np.frombuffer else rows.reshape(-1)
    result = to_bgr(RawImage(HEIGHT, WIDTH, "bgr8", False, step, buffer))
    np.testing.assert_array_equal(result, rows[:, : 3 * WIDTH].reshape(HEIGHT, WIDTH, 3))
    assert np.shares_memory(result, np.frombuffer(buffer, np.uint8))


def test_nv12_with_a_step_of_two_channels_but_no_padding_is_read():
    data = pack_420(picture(), [0, 1])
    result = to_bgr(raw("nv12", data, 2 * WIDTH))
    np.testing.assert_array_equal(result, to_bgr(raw("nv12", data, WIDTH)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoding": "32FC1"}, "'32FC1' cannot be read as a picture"),
        ({"encoding": "8UC2"}, "'8UC2' cannot be read"),
        ({"height": 0}, "16x0 bgr8 has a side outside 1..65535"),
        ({"width": 70000}, "70000x12 bgr8 has a side outside"),
        ({"step": 47}, "needs `step` of at least 48 bytes, but it is 47"),
        ({"data": bytes(575)}, "needs 576 bytes of `data`, but has 575"),
        ({"data": np.zeros(0, np.uint8)}, "needs 576 bytes of `data`, but has 0"),
        ({"data": np.zeros((600, 2), np.uint8)[:, 0]}, "contiguous buffer of bytes, not ndarray"),
        ({"encoding": "yuyv", "width": 15}, "15x12 yuyv needs even sides"),
        ({"encoding": "nv12", "height": 11}, "16x11 nv12 needs even sides"),
        ({"data": [1, 2, 3]}, "contiguous buffer of bytes, not list"),
    ],
)
def test_wrong_fields_are_refused_with_their_values(change, message):
    fields = {"height": 12, "width": 16, "encoding": "bgr8", "is_bigendian": False, "step": 48, "data": bytes(576)}
    with pytest.raises(FrameError, match=message.replace("(", r"\(")):
        to_bgr(RawImage(**{**fields, **change}))


@pytest.mark.parametrize("name", ["mono8", "mono16", "bgr8", "rgb8", "bgra8", "rgba16", "bayer_rggb8", "16UC3"])
def test_an_array_becomes_fields_that_read_back_the_same(name):
    kind = ENCODINGS[name]
    shape = (HEIGHT, WIDTH) if kind.channels == 1 else (HEIGHT, WIDTH, kind.channels)
    image = np.random.default_rng(1).integers(0, 2**kind.bits, shape).astype(f"u{kind.bits // 8}")
    fields = from_array(image, name)
    assert (fields.height, fields.width, fields.step) == (HEIGHT, WIDTH, WIDTH * kind.pixel_bytes)
    assert fields.data.tobytes() == image.tobytes()
    expected = image if kind.to_bgr is None else cv2.cvtColor(image, kind.to_bgr)
    np.testing.assert_array_equal(to_bgr(fields), np.rint(expected * (255 / (2**kind.bits - 1))))


def test_an_array_that_does_not_fit_its_encoding_is_refused():
    with pytest.raises(FrameError, match=r"'bgr8' takes uint8 arrays of 3 .* not float64 of shape \(2, 2, 3\)"):
        from_array(np.zeros((2, 2, 3)), "bgr8")
    with pytest.raises(FrameError, match="'nv12' takes"):
        from_array(np.zeros((2, 2), np.uint8), "nv12")


def test_another_converter_can_be_put_in_its_place():
    data = np.zeros((HEIGHT, WIDTH), np.uint8)
    asked = []

    def converters(name):
        asked.append(name)
        return (lambda pixels: np.full((*pixels.shape, 3), 7, np.uint8)) if name == "mono8" else None

    assert to_bgr(raw("mono8", data, WIDTH), converters).max() == 7
    np.testing.assert_array_equal(to_bgr(raw("8UC1", data, WIDTH), converters), np.zeros((HEIGHT, WIDTH, 3)))
    assert asked == ["mono8", "8UC1"]
