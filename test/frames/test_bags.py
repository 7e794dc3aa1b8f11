"""Videos into bags and back, for both storages and both kinds of image; the stamps are the container's."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from uav_perception.cli.main import main
from uav_perception.frames.bags import VideoBagOptions, camera_info, describe_bag, video_to_bag
from uav_perception.frames.convert import frame_from_cdr
from uav_perception.frames.errors import FrameError
from uav_perception.frames.typestore import typestore
from uav_perception.frames.video import VideoWriter, read_video, video_info

SHARED = Path(__file__).parents[2].parent / "shared" / "media" / "action"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Ten frames of 64x48 at 12.5 per second, each with its own grey."""
    path = tmp_path / "flight.mp4"
    with VideoWriter(path, 12.5) as writer:
        for index in range(10):
            writer.write(np.full((48, 64, 3), 20 * index, np.uint8))
    return path


def read_images(bag: Path) -> list:
    with AnyReader([bag], default_typestore=typestore()) as reader:
        images = [c for c in reader.connections if "Image" in c.msgtype]
        return [(stamp, frame_from_cdr(data, c.msgtype)) for c, stamp, data in reader.messages(images)]


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
@pytest.mark.parametrize("image", ["raw", "jpeg"])
def test_a_video_becomes_a_bag_with_its_own_times(tmp_path, video, storage, image):
    options = VideoBagOptions(storage=storage, image=image, start_ns=5_000_000_000)
    assert video_to_bag(video, tmp_path / "bag", options) == 10
    frames = read_images(tmp_path / "bag")
    assert [stamp for stamp, _ in frames] == [5_000_000_000 + 80_000_000 * index for index in range(10)]
    for index, (stamp, frame) in enumerate(frames):
        assert frame.stamp_ns == stamp
        assert frame.frame_id == "camera_optical_frame"
        np.testing.assert_allclose(frame.image.mean(), 20 * index, atol=4)
    described = describe_bag(tmp_path / "bag")
    assert (described["storage"], described["messages"], described["duration_s"]) == (storage, 10, 0.72)
    [topic] = described["topics"]
    assert topic["name"] == "/camera/image_raw" + ("/compressed" if image == "jpeg" else "")
    assert topic["rate_hz"] == pytest.approx(12.5)
    assert ("64x48 bgr8" if image == "raw" else "jpeg") in topic["picture"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag", "flight.mp4"]


def test_camera_info_is_that_of_a_pinhole(tmp_path, video):
    video_to_bag(video, tmp_path / "bag", VideoBagOptions(horizontal_fov_deg=90.0))
    with AnyReader([tmp_path / "bag"], default_typestore=typestore()) as reader:
        [connection] = [c for c in reader.connections if c.topic == "/camera/camera_info"]
        assert connection.msgcount == 10
        _, _, data = next(reader.messages([connection]))
        info = reader.deserialize(data, connection.msgtype)
    assert info.k[0] == pytest.approx(32.0)  # half the width over tan 45 deg
    assert (info.k[2], info.k[5]) == (31.5, 23.5)
    # The left edge, half a pixel before the middle of the first one, lies 45 degrees from the axis.
    ray = np.linalg.inv(info.k.reshape(3, 3)) @ [-0.5, 23.5, 1]
    assert np.degrees(np.arctan2(ray[0], ray[2])) == pytest.approx(-45)


def test_a_frame_whose_stamp_does_not_grow_gets_the_next_period(monkeypatch, video):
    class LosesItsStamps:
        """What OpenCV gives for the last frames of some AVI files."""

        def __init__(self, path, capture=cv2.VideoCapture):
            self._capture = capture(path)

        def __getattr__(self, name):
            return getattr(self._capture, name)

        def get(self, prop):
            value = self._capture.get(prop)
            return 0.0 if prop == cv2.CAP_PROP_POS_MSEC and value > 500 else value

    monkeypatch.setattr(cv2, "VideoCapture", LosesItsStamps)
    stamps = [stamp for stamp, _ in read_video(video)]
    assert stamps == [80_000_000 * index for index in range(10)]


def test_an_existing_bag_is_not_touched(tmp_path, video):
    (tmp_path / "bag").mkdir()
    with pytest.raises(FrameError, match="bag exists already"):
        video_to_bag(video, tmp_path / "bag", VideoBagOptions())
    assert list((tmp_path / "bag").iterdir()) == []


def test_a_video_without_frames_leaves_nothing_behind(tmp_path, video):
    empty = tmp_path / "empty.avi"
    empty.write_bytes(b"RIFF" + bytes(200))
    with pytest.raises(FrameError, match="cannot be opened as a video"):
        video_to_bag(empty, tmp_path / "bag", VideoBagOptions())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.avi", "flight.mp4"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"storage": "rosbag"}, "Unknown storage 'rosbag'. Known are: sqlite3, mcap"),
        ({"image": "png"}, "Unknown kind of image 'png'"),
        ({"topic": "image"}, "must be absolute, such as /camera/image_raw, not 'image'"),
        ({"quality": 0}, "1..100, not 0"),
        ({"start_ns": -1}, "from 1970 to 2038"),
        ({"start_ns": 10**40}, r"from 1970 to 2038, .*1e\+31 s"),
        ({"horizontal_fov_deg": 180.0}, "between 0 and 180 deg, not 180.0"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(FrameError, match=message):
        VideoBagOptions(**options)


def test_the_commands(tmp_path, video, capsys):
    bag = str(tmp_path / "bag")
    assert main(["bag", "from-video", str(video), bag, "--start", "1000", "--storage", "sqlite3", "--hfov", "60"]) == 0
    assert "10 images on /camera/image_raw" in capsys.readouterr().out
    assert main(["bag", "info", bag]) == 0
    out = capsys.readouterr().out
    assert "sqlite3, 20 messages, 0.720 s from 1970-01-01T00:16:40.000+00:00" in out
    assert "12.50 Hz  sensor_msgs/msg/Image  64x48 bgr8" in out
    assert main(["bag", "from-video", str(video), str(tmp_path / "other")]) == 0
    assert main(["bag", "info", str(tmp_path / "other" / "other.mcap")]) == 0  # without its folder
    assert "mcap, 10 messages" in capsys.readouterr().out
    assert main(["bag", "info", str(tmp_path / "none")]) == 1
    assert "cannot be read as a bag" in capsys.readouterr().err
    assert main(["bag", "from-video", str(tmp_path / "no.mp4"), str(tmp_path / "x")]) == 1
    assert "no.mp4 does not exist" in capsys.readouterr().err


def test_camera_info_serialises():
    types = typestore().types
    header = types["std_msgs/msg/Header"](stamp=types["builtin_interfaces/msg/Time"](sec=0, nanosec=0), frame_id="c")
    info = camera_info(640, 384, 70.0, header)
    back = typestore().deserialize_cdr(typestore().serialize_cdr(info, info.__msgtype__), info.__msgtype__)
    np.testing.assert_array_equal(back.p, info.p)


@pytest.mark.parametrize("name", ["arm_wrestling.mp4", "test.avi"])
def test_real_videos(tmp_path, name):
    if not SHARED.is_dir():
        pytest.skip("../shared/media is not here")
    stamps = [stamp for stamp, _ in read_video(SHARED / name)]
    info = video_info(SHARED / name)
    assert len(stamps) == info.frames
    np.testing.assert_allclose(np.diff(stamps), 1e9 / info.fps, rtol=1e-6)
