import json

import pytest
from flight_bags import NAMES, START_NS, write_action_model, write_detector, write_flight
from rosbags.highlevel import AnyReader

from uav_perception.cli.main import main
from uav_perception.evaluation.playback import ACTIONS, ANNOTATED, DETECTIONS, TRUE_ACTIONS, TRUE_DETECTIONS
from uav_perception.frames.compressed import decode
from uav_perception.frames.typestore import typestore
from uav_perception.frames.video import read_video


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    root = tmp_path_factory.mktemp("playback")
    write_flight(root / "flight", count=24, actions=lambda i: {-1: "run" if i > 11 else "walk"}, broken=(2,))
    models = [
        "--model",
        str(write_detector(root / "d.onnx")),
        "--action-model",
        str(write_action_model(root / "a.onnx")),
    ]
    options = ["--out", str(root / "out"), "--bag", "--video", "--gallery", "0"]
    assert main(["evaluate", str(root / "flight"), *models, *options]) == 0
    return root / "out/playback"


def test_the_bag_holds_what_was_found_and_what_is_there(out):
    with AnyReader([out / "flight"], default_typestore=typestore()) as reader:
        counts = {c.topic: c.msgcount for c in reader.connections}
        assert counts[ANNOTATED] == counts[DETECTIONS] == counts[TRUE_DETECTIONS] == counts[TRUE_ACTIONS] == 23
        assert 0 < counts[ACTIONS] <= 23
        rows = [(c.topic, t, reader.deserialize(d, c.msgtype)) for c, t, d in reader.messages()]
    first = {topic: message for topic, stamp, message in rows if stamp == START_NS}
    truth = first[TRUE_DETECTIONS].detections
    assert [(d.class_name, d.track_id) for d in truth] == [("car", 7), ("bus", 8)]
    last = [message for topic, _, message in rows if topic == DETECTIONS][-1]
    assert [d.class_name for d in last.detections] == [NAMES[0]]
    assert last.detections[0].track_id > 0
    assert (last.image_width, last.image_height) == (160, 96)
    assert {m.actions[0].label for topic, _, m in rows if topic == TRUE_ACTIONS} == {"walk", "run"}
    image = decode(first[ANNOTATED].data, "jpeg")
    assert image.shape == (96, 160, 3)
    corner = image[2 * 16 : 2 * 16 + 3, 0:3].reshape(-1, 3).mean(axis=0)
    assert corner[1] > 100  # the green corner of the true car


def test_the_video_has_one_frame_for_each_processed_image(out):
    frames = list(read_video(out / "flight.mp4"))
    assert len(frames) == 23
    assert frames[1][0] == pytest.approx(50e6, rel=0.02)


def test_the_layout_shows_topics_that_the_bag_has(out):
    layout = json.loads((out / "foxglove_layout.json").read_text())
    text = json.dumps(layout)
    assert ANNOTATED in text
    assert all(panel in json.dumps(layout["layout"]) for panel in layout["configById"])


def test_nothing_unfinished_is_left(out):
    assert sorted(p.name for p in out.iterdir()) == ["flight", "flight.mp4", "foxglove_layout.json"]
