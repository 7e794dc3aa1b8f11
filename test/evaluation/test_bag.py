import shutil

import numpy as np
import pytest
from flight_bags import (
    START_NS,
    STEP_NS,
    CompressionMode,
    StoragePlugin,
    image_fields,
    image_message,
    scene,
    write_compressed_flight,
    write_flight,
)
from rosbags.rosbag2 import Writer

from uav_perception.evaluation.bag import Bag, is_bag
from uav_perception.evaluation.errors import RecordingError
from uav_perception.evaluation.recordings import Recording, find_recordings
from uav_perception.evaluation.settings import Settings
from uav_perception.evaluation.truth_topics import read_truth_topics, truth_topics
from uav_perception.frames.errors import FrameError
from uav_perception.frames.typestore import typestore

STORAGES = (StoragePlugin.SQLITE3, StoragePlugin.MCAP)


def assert_whole(path, count=24):
    source = Bag(path)
    assert len(source) == count
    images = list(source.images())
    assert [image.index for image in images] == list(range(count))
    assert [image.stamp_ns for image in images] == [START_NS + i * STEP_NS for i in range(count)]
    for image in Bag(path).images():
        np.testing.assert_array_equal(image.decode().image, scene(image.index)[0])
    truth = read_truth_topics(path, truth_topics(source.topics, None, path))
    assert sorted(truth.images) == [image.stamp_ns for image in images]
    assert truth.images[START_NS].track_ids.tolist() == [7, 8]


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("version", [8, 9])
def test_reads_both_storages_with_raw_and_compressed_images(tmp_path, storage, compressed, version):
    assert_whole(write_flight(tmp_path / "flight", storage=storage, compressed=compressed, version=version))


@pytest.mark.parametrize(
    ("storage", "mode"),
    [
        (StoragePlugin.SQLITE3, CompressionMode.FILE),
        (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
        (StoragePlugin.MCAP, CompressionMode.FILE),
        (StoragePlugin.MCAP, CompressionMode.MESSAGE),
        (StoragePlugin.MCAP, CompressionMode.STORAGE),
    ],
)
def test_reads_every_compression(tmp_path, storage, mode):
    assert_whole(write_compressed_flight(tmp_path / "flight", mode, storage))


@pytest.mark.parametrize("suffix", [".mcap", ".db3"])
def test_reads_a_storage_file_without_its_folder(tmp_path, suffix):
    storage = StoragePlugin.MCAP if suffix == ".mcap" else StoragePlugin.SQLITE3
    folder = write_flight(tmp_path / "flight", storage=storage)
    file = shutil.copy(folder / f"flight{suffix}", tmp_path / f"alone{suffix}")
    assert is_bag(tmp_path / f"alone{suffix}")
    assert_whole(tmp_path / file)


def test_reads_a_split_bag(tmp_path):
    """Two files under one metadata.yaml, as `ros2 bag record --max-bag-duration` leaves them."""
    import yaml

    first = write_flight(tmp_path / "part0", count=24)
    whole = tmp_path / "flight"
    shutil.copytree(first, whole)
    store, count = typestore(), 16
    with Writer(tmp_path / "part1", version=9) as writer:
        connection = writer.add_connection("/camera/image_raw", "sensor_msgs/msg/Image", typestore=store)
        for i in range(24, 24 + count):
            stamp = START_NS + i * STEP_NS
            message = image_message(stamp, scene(i)[0], compressed=False)
            writer.write(connection, stamp, store.serialize_cdr(message, "sensor_msgs/msg/Image"))
    shutil.copy(tmp_path / "part1" / "part1.db3", whole / "part1.db3")
    metadata = yaml.safe_load((whole / "metadata.yaml").read_text())
    information = metadata["rosbag2_bagfile_information"]
    information["relative_file_paths"].append("part1.db3")
    information["message_count"] += count
    for topic in information["topics_with_message_count"]:
        if topic["topic_metadata"]["name"] == "/camera/image_raw":
            topic["message_count"] += count
    (whole / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    assert [image.index for image in Bag(whole).images()] == list(range(40))


def test_damaged_messages_keep_their_place(tmp_path):
    path = write_flight(tmp_path / "flight", broken=(3, 9))
    unreadable = []
    for image in Bag(path).images():
        try:
            image.decode()
        except FrameError:
            unreadable.append((image.index, image.stamp_ns))
    assert unreadable == [(3, START_NS + 3 * STEP_NS), (9, START_NS + 9 * STEP_NS)]


@pytest.mark.parametrize("suffix", [".mcap", ".db3"])
def test_a_truncated_bag_says_so(tmp_path, suffix):
    storage = StoragePlugin.MCAP if suffix == ".mcap" else StoragePlugin.SQLITE3
    file = write_flight(tmp_path / "flight", storage=storage) / f"flight{suffix}"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(RecordingError, match=r"(cannot be opened|is damaged after|says it holds).*(recover|reindex)"):
        list(Bag(tmp_path / "flight").images())


def test_a_missing_split_file_says_so(tmp_path):
    path = write_flight(tmp_path / "flight")
    (path / "flight.db3").unlink()
    with pytest.raises(RecordingError, match="cannot be opened"):
        Bag(path)


def test_topics_are_checked(tmp_path):
    path = write_flight(tmp_path / "flight")
    with pytest.raises(RecordingError, match=r"has no topic /front\. It holds: /camera/image_raw \(sensor_msgs"):
        Bag(path, "/front")
    with pytest.raises(RecordingError, match="is uav_perception/msg/DetectionArray, not sensor_msgs/msg/Image"):
        Bag(path, "/ground_truth/detections")
    store = typestore()
    with Writer(tmp_path / "none", version=9) as writer:
        writer.add_connection("/chatter", "std_msgs/msg/String", typestore=store)
    with pytest.raises(RecordingError, match="has no image topic"):
        Bag(tmp_path / "none")
    write_topics(tmp_path / "two", "/left/image_raw", "/right/image_raw")
    with pytest.raises(RecordingError, match=r"several image topics: /left/image_raw, /right/image_raw\. Choose one"):
        Bag(tmp_path / "two")
    assert Bag(tmp_path / "two", "/left/image_raw").topic == "/left/image_raw"
    with pytest.raises(RecordingError, match="There is no bag"):
        Bag(tmp_path / "nowhere")


def write_topics(path, *filled, empty=()):
    """One image on each filled topic; the empty ones are there without messages."""
    store = typestore()
    with Writer(path, version=9) as writer:
        for topic in (*filled, *empty):
            compressed = topic.endswith("/compressed")
            kind = "sensor_msgs/msg/CompressedImage" if compressed else "sensor_msgs/msg/Image"
            connection = writer.add_connection(topic, kind, typestore=store)
            if topic in filled:
                message = image_message(START_NS, scene(0)[0], compressed)
                writer.write(connection, START_NS, store.serialize_cdr(message, kind))
    return path


def test_topics_without_messages_are_no_choice(tmp_path):
    path = write_topics(tmp_path / "a", "/cam/image_raw", empty=("/cam/image_raw/compressed", "/rear/image_raw"))
    assert Bag(path).topic == "/cam/image_raw"
    with pytest.raises(RecordingError, match=r"/rear/image_raw of the bag .*a holds no images"):
        Bag(path, "/rear/image_raw")
    with pytest.raises(RecordingError, match=r"/cam/image_raw of the bag .*b holds no images"):
        Bag(write_topics(tmp_path / "b", empty=("/cam/image_raw",)))


def test_a_folder_of_flights_becomes_all_of_them_with_unique_names(tmp_path):
    for name in ("a", "b"):
        write_flight(tmp_path / "flights" / name, count=2)
    write_flight(tmp_path / "a", count=2)
    found = find_recordings([tmp_path / "flights", tmp_path / "a"])
    assert [(r.name, r.kind) for r in found] == [("a", "bag"), ("b", "bag"), ("a-2", "bag")]
    with pytest.raises(RecordingError, match="There is no recording"):
        find_recordings([tmp_path / "nothing"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordingError, match="nothing that can be evaluated"):
        find_recordings([tmp_path / "empty"])


def test_names_stay_unique_where_one_looks_like_a_repeated_one(tmp_path):
    paths = [write_flight(tmp_path / folder, count=1) for folder in ("x/a", "y/a", "z/a-2")]
    assert [r.name for r in find_recordings(paths)] == ["a", "a-3", "a-2"]


def test_a_named_truth_topic_must_be_there_and_hold_truth(tmp_path):
    path = write_flight(tmp_path / "flight", count=2)
    recording = Recording(str(path), "bag", "flight")
    with pytest.raises(Exception, match="has no topic /truth"):
        recording.open(Settings(model="m.onnx", truth_topic="/truth"))
    with pytest.raises(Exception, match="Truth on /camera/image_raw is sensor_msgs/msg/Image; known are"):
        recording.open(Settings(model="m.onnx", truth_topic="/camera/image_raw"))


def test_reads_bags_of_ros_1(tmp_path):
    from rosbags.rosbag1 import Writer as Ros1Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS1_NOETIC)
    t = store.types
    path = tmp_path / "flight.bag"
    with Ros1Writer(path) as writer:
        connection = writer.add_connection("/camera/image_raw", "sensor_msgs/msg/Image", typestore=store)
        for i in range(5):
            stamp = START_NS + i * STEP_NS
            time = t["builtin_interfaces/msg/Time"](sec=stamp // 10**9, nanosec=stamp % 10**9)
            image, _ = scene(i)
            message = t["sensor_msgs/msg/Image"](
                header=t["std_msgs/msg/Header"](seq=i, stamp=time, frame_id="camera"), **image_fields(image)
            )
            data = bytes(store.serialize_ros1(message, "sensor_msgs/msg/Image"))
            writer.write(connection, stamp, data[: {3: 10, 4: len(data) // 2}.get(i, len(data))])
    images = list(Bag(path).images())
    assert [image.stamp_ns for image in images] == [START_NS + i * STEP_NS for i in range(5)]
    for image in list(Bag(path).images())[:3]:
        np.testing.assert_array_equal(image.decode().image, scene(image.index)[0])
    for image in images[3:]:
        with pytest.raises(FrameError, match="is damaged"):
            image.decode()
