"""Core records to messages and back."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")
pytest.importorskip("uav_perception.msg", reason="the messages are not built")

from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image
from uav_perception.msg import ActionArray, ActionLabel, DetectionArray

from uav_perception.actions.results import ActionResult, ClassScore
from uav_perception.frames.compressed import encode_png
from uav_perception.frames.errors import FrameError
from uav_perception.inference.detections import Detections
from uav_perception.nodes import conversions
from uav_perception.nodes.allocator import keep_large_blocks
from uav_perception.nodes.geolocation_parameters import parse_heights
from uav_perception.nodes.picture import Picture
from uav_perception.nodes.qos import Policies, latched, mismatch, results, sensor


def _detections() -> Detections:
    rng = np.random.default_rng(3)
    return Detections(
        boxes=rng.uniform(0, 100, (5, 4)),
        scores=np.array([0.5, 0.9, 0.7, 0.9, 0.1]),
        class_ids=np.array([0, 1, 2, 0, 9]),
        track_ids=np.array([4, -1, 2**40, 3, -1]),
        velocities=rng.normal(0, 10, (5, 2)),
    )


def test_detections_survive_the_wire_by_falling_score():
    found = _detections()
    header = conversions.to_header(1_234_567_890_123_456_789, "camera")
    message = conversions.to_detection_array(found, ("a", "b", "c"), header, 640, 480, "model")
    message = deserialize_message(serialize_message(message), DetectionArray)
    order = [1, 3, 2, 0, 4]
    assert [d.class_name for d in message.detections] == ["b", "a", "c", "a", "9"]
    assert (message.image_width, message.image_height, message.model) == (640, 480, "model")
    assert conversions.from_time(message.header.stamp) == 1_234_567_890_123_456_789
    back = conversions.from_detection_array(message)
    for name in ("boxes", "scores", "class_ids", "track_ids", "velocities"):
        np.testing.assert_array_equal(getattr(back, name), getattr(found, name)[order], err_msg=name)


def test_no_detections_survive_too():
    header = conversions.to_header(0, "")
    message = conversions.to_detection_array(Detections.empty(), (), header, 1, 1, "m")
    assert len(conversions.from_detection_array(deserialize_message(serialize_message(message), DetectionArray))) == 0


def test_action_labels_survive_the_wire_with_numpy_numbers_in_them():
    scores = (ClassScore(np.int64(1), "walk", np.float32(0.75)), ClassScore(0, "run", 0.25))
    found = [
        ActionResult("frame", -1, "walk", np.float32(0.75), scores, 10, 2_000_000_000, np.int64(3)),
        ActionResult("track", 7, "unknown", 0.0, (), 0, 0, 3),
    ]
    message = conversions.to_action_array(found, conversions.to_header(5, "camera"), "larmuv")
    message = deserialize_message(serialize_message(message), ActionArray)
    first, second = message.actions
    assert (first.scope, first.track_id, first.label, first.score) == (ActionLabel.SCOPE_FRAME, -1, "walk", 0.75)
    assert [(s.class_id, s.class_name, s.score) for s in first.scores] == [(1, "walk", 0.75), (0, "run", 0.25)]
    assert conversions.from_time(first.window_start) == 10 and conversions.from_time(first.window_end) == 2_000_000_000
    assert (second.scope, second.track_id, second.label, second.scores) == (ActionLabel.SCOPE_TRACK, 7, "unknown", [])


@pytest.mark.parametrize("stamp", [0, 1, 999_999_999, 1_000_000_000, 2**31 * 1_000_000_000 - 1])
def test_times_are_exact(stamp):
    assert conversions.from_time(conversions.to_time(stamp)) == stamp


def _raw(**fields) -> bytes:
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    values = {"height": 2, "width": 3, "encoding": "bgr8", "step": 9, "data": image.tobytes(), **fields}
    return bytes(serialize_message(Image(header=conversions.to_header(77, "camera"), **values)))


def test_a_picture_is_decoded_once_from_the_serialised_message():
    picture = Picture(_raw(), False, 1.5)
    assert (picture.stamp_ns, picture.time_ns, picture.frame_id, picture.received) == (77, 77, "camera", 1.5)
    frame = picture.frame()
    np.testing.assert_array_equal(frame.image, np.arange(18, dtype=np.uint8).reshape(2, 3, 3))
    assert picture.frame() is frame


def test_a_picture_that_cannot_be_decoded_says_so_each_time():
    picture = Picture(_raw(encoding="cmyk8"), False, 0.0)
    for _ in range(2):
        with pytest.raises(FrameError, match="cmyk8"):
            picture.frame()
    with pytest.raises(FrameError):
        Picture(b"nothing of the kind", False, 0.0)


def test_a_compressed_picture_without_a_stamp_takes_the_time_of_arrival():
    image = np.full((4, 4, 3), 9, np.uint8)
    message = CompressedImage(header=conversions.to_header(0, "camera"), format="png", data=encode_png(image))
    picture = Picture(bytes(serialize_message(message)), True, 0.0)
    assert picture.stamp_ns == 0 and picture.time_ns > 1_500_000_000 * 10**9
    np.testing.assert_array_equal(picture.frame().image, image)


@pytest.mark.parametrize(
    ("offered", "wanted", "policy"),
    [
        (("best_effort", "volatile"), ("reliable", "volatile"), "reliability"),
        (("reliable", "volatile"), ("reliable", "transient_local"), "durability"),
        (("reliable", "transient_local"), ("best_effort", "volatile"), None),
        (("best_effort", "volatile"), ("best_effort", "volatile"), None),
    ],
)
def test_a_mismatch_names_both_policies_and_the_remedy(offered, wanted, policy):
    text = mismatch("/image", "/camera", Policies(*offered), Policies(*wanted))
    if policy is None:
        assert text == ""
    else:
        assert f"/camera offers {policy}" in text
        assert f"qos_overrides./image.subscription.{policy}" in text


def test_profiles_are_new_objects_since_rclpy_writes_overrides_into_them():
    assert sensor() is not sensor()
    assert sensor().reliability is ReliabilityPolicy.BEST_EFFORT and results().reliability is ReliabilityPolicy.RELIABLE
    assert latched().durability is DurabilityPolicy.TRANSIENT_LOCAL and latched().depth == 1


def test_heights_are_read_by_class_name():
    assert parse_heights("person=1.7, car=1.5,") == {"person": 1.7, "car": 1.5}
    assert parse_heights("") == {}


def test_the_allocator_takes_the_setting_on_glibc():
    import platform

    assert keep_large_blocks() == (platform.libc_ver()[0] == "glibc")
