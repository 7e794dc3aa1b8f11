import sqlite3
from types import SimpleNamespace

import numpy as np
import pytest
from flight_bags import START_NS, STEP_NS, detection_array, header, image_message, scene, write_flight
from rosbags.rosbag2 import Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from uav_perception.evaluation.truth_topics import _vision_truth, read_truth_topics, truth_topics

# Newer releases may add fields; a bag's own definitions are what counts.
VISION = {
    "vision_msgs/msg/Point2D": "float64 x\nfloat64 y\n",
    "vision_msgs/msg/Pose2D": "vision_msgs/Point2D position\nfloat64 theta\n",
    "vision_msgs/msg/BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n",
    "vision_msgs/msg/ObjectHypothesis": "string class_id\nfloat64 score\n",
    "vision_msgs/msg/ObjectHypothesisWithPose": (
        "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n"
    ),
    "vision_msgs/msg/Detection2D": (
        "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
        "vision_msgs/BoundingBox2D bbox\nstring id\n"
    ),
    "vision_msgs/msg/Detection2DArray": "std_msgs/Header header\nvision_msgs/Detection2D[] detections\n",
}
NEWER = VISION | {"vision_msgs/msg/Detection2D": "int32 added\n" + VISION["vision_msgs/msg/Detection2D"]}


@pytest.mark.parametrize(("definitions", "carried"), [(VISION, True), (VISION, False), (NEWER, True)])
def test_vision_msgs_recorded_by_others_are_read(tmp_path, definitions, carried):
    """By the bag's own definitions, and by those of vision_msgs 4 where it has none, as sqlite3 bags of Humble."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    types = {}
    for name, text in definitions.items():
        types.update(get_types_from_msg(text, name))
    store.register(types)
    t = store.types
    stamp = t["builtin_interfaces/msg/Time"](sec=START_NS // 10**9, nanosec=START_NS % 10**9)
    head = t["std_msgs/msg/Header"](stamp=stamp, frame_id="camera")
    zero = t["geometry_msgs/msg/PoseWithCovariance"](
        pose=t["geometry_msgs/msg/Pose"](
            position=t["geometry_msgs/msg/Point"](x=0.0, y=0.0, z=0.0),
            orientation=t["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0),
        ),
        covariance=np.zeros(36),
    )
    results = [
        t["vision_msgs/msg/ObjectHypothesisWithPose"](
            hypothesis=t["vision_msgs/msg/ObjectHypothesis"](class_id=name, score=score), pose=zero
        )
        for name, score in (("bus", 0.2), ("car", 0.8))
    ]
    centre = t["vision_msgs/msg/Pose2D"](position=t["vision_msgs/msg/Point2D"](x=50.0, y=40.0), theta=0.0)
    box = t["vision_msgs/msg/BoundingBox2D"](center=centre, size_x=20.0, size_y=10.0)
    more = {"added": 3} if definitions is NEWER else {}
    one = t["vision_msgs/msg/Detection2D"](header=head, results=results, bbox=box, id="12", **more)
    array = t["vision_msgs/msg/Detection2DArray"](header=head, detections=[one])
    kind = "vision_msgs/msg/Detection2DArray"
    with Writer(tmp_path / "flight", version=8) as writer:
        connection = writer.add_connection("/labels", kind, typestore=store)
        writer.write(connection, START_NS, store.serialize_cdr(array, kind))
    if not carried:
        with sqlite3.connect(tmp_path / "flight/flight.db3") as database:
            database.execute("DELETE FROM message_definitions")
        database.close()
    topics = truth_topics({"/labels": kind}, "/labels", tmp_path)
    truth = read_truth_topics(tmp_path / "flight", topics)
    assert truth.class_names == ("car",)
    assert truth.images[START_NS].boxes.tolist() == [[40, 35, 60, 45]]
    assert truth.images[START_NS].track_ids.tolist() == [12]


def test_older_vision_msgs_have_their_centre_and_class_elsewhere():
    bbox = SimpleNamespace(center=SimpleNamespace(x=50.0, y=40.0), size_x=20.0, size_y=10.0)
    result = SimpleNamespace(id="3", score=1.0)
    message = SimpleNamespace(
        detections=[SimpleNamespace(bbox=bbox, results=[result]), SimpleNamespace(bbox=bbox, results=[])]
    )
    names = {}
    truth = _vision_truth(message, names)
    assert truth.boxes.tolist() == [[40, 35, 60, 45]]
    assert names == {"3": 0}


def test_action_labels_become_spans_and_a_pause_ends_one(tmp_path):
    def labels(i):
        if 8 <= i < 14:
            return {}
        return {-1: "walk" if i < 4 else "run", 7: "walk"}

    path = write_flight(tmp_path / "flight", count=20, actions=labels)
    truth = read_truth_topics(
        path, truth_topics({"/ground_truth/actions": "uav_perception/msg/ActionArray"}, None, path)
    )
    spans = [
        (s.track_id, s.label, (s.start_ns - START_NS) // STEP_NS, (s.end_ns - START_NS) // STEP_NS) for s in truth.spans
    ]
    assert spans == [
        (-1, "walk", 0, 4),
        (-1, "run", 4, 8),
        (-1, "run", 14, 20),
        (7, "walk", 0, 8),
        (7, "walk", 14, 20),
    ]
    assert truth.spans_absolute


def test_only_topics_of_truth_are_taken_by_default(tmp_path):
    topics = {
        "/ground_truth/detections": "uav_perception/msg/DetectionArray",
        "/detector/detections": "uav_perception/msg/DetectionArray",
        "/ground_truth/note": "std_msgs/msg/String",
    }
    assert truth_topics(topics, None, tmp_path) == {"/ground_truth/detections": "uav_perception/msg/DetectionArray"}


def test_samples_are_what_they_say():
    image, rows = scene(4)
    assert image_message(START_NS, image, compressed=False).step == image.shape[1] * 3
    assert len(detection_array(START_NS, rows).detections) == 2
    assert header(START_NS).stamp.sec == START_NS // 10**9
