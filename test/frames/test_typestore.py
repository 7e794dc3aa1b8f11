"""Our messages survive a bag that is written and read without ROS."""

import pytest
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer

from uav_perception.frames.typestore import typestore
from uav_perception.resources import resource


def detection_array():
    types = typestore().types
    time = types["builtin_interfaces/msg/Time"](sec=12, nanosec=345)
    header = types["std_msgs/msg/Header"](stamp=time, frame_id="camera_optical_frame")
    detection = types["uav_perception/msg/Detection"](
        class_id=2, class_name="car", score=0.5, x_min=1.0, y_min=2.0, x_max=3.5, y_max=4.0,
        track_id=-1, velocity_x=0.0, velocity_y=-1.0,
    )  # fmt: skip
    return types["uav_perception/msg/DetectionArray"](
        header=header, image_width=640, image_height=384, model="demo", detections=[detection]
    )


def test_every_message_file_is_registered():
    names = {f"uav_perception/msg/{path.stem}" for path in resource("msg").glob("*.msg")}
    assert len(names) >= 8
    assert names <= set(typestore().types)
    assert typestore() is typestore()


@pytest.mark.parametrize("storage", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
def test_a_bag_with_our_messages_reads_back_equal(tmp_path, storage):
    store, message = typestore(), detection_array()
    name = "uav_perception/msg/DetectionArray"
    with Writer(tmp_path / "bag", version=8, storage_plugin=storage) as writer:
        connection = writer.add_connection("/detections", name, typestore=store)
        writer.write(connection, 7, store.serialize_cdr(message, name))
    with AnyReader([tmp_path / "bag"], default_typestore=store) as reader:
        [(connection, stamp, raw)] = list(reader.messages())
        back = reader.deserialize(raw, connection.msgtype)
    assert stamp == 7
    assert back.header.frame_id == "camera_optical_frame"
    assert back.detections[0].class_name == "car"
    assert back.detections[0].x_max == 3.5
    assert back.detections[0].track_id == -1
