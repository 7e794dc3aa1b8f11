import json
import resource
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from flight_bags import NAMES, START_NS, STEP_NS, write_action_model, write_detector, write_flight
from rosbags.highlevel import AnyReader

from uav_perception.cli.main import main
from uav_perception.errors import UavPerceptionError
from uav_perception.evaluation.actions import UNKNOWN, ActionSequence, Segment
from uav_perception.evaluation.pipeline import Pipeline
from uav_perception.evaluation.playback import (
    ACTIONS,
    ANNOTATED,
    DETECTIONS,
    TRUE_ACTIONS,
    TRUE_DETECTIONS,
    write_playback,
)
from uav_perception.evaluation.record import ActorLabels
from uav_perception.evaluation.recordings import find_recordings
from uav_perception.evaluation.runner import evaluate_source
from uav_perception.evaluation.settings import Settings
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


def test_actors_carry_their_actions(tmp_path):
    """The car under the id that it is followed with, true or not; one that is followed no more is not shown."""
    write_flight(tmp_path / "flight", count=6)
    settings = Settings(model=str(write_detector(tmp_path / "d.onnx")))
    recording = find_recordings([tmp_path / "flight"])[0]
    record = evaluate_source(*recording.open(settings), Pipeline(settings))
    end = START_NS + 6 * STEP_NS
    car = int(record.images[2].tracks.track_ids[0])
    first, later = START_NS + STEP_NS, START_NS + 3 * STEP_NS
    actors = ActorLabels([first, first, later], [car, 99, car], [1, 0, UNKNOWN], [0.8, 0.9, 0.0])
    walking = ActionSequence([], np.zeros((0, 2)), [], (Segment(START_NS, end, 1),), end)
    record = replace(record, actions={7: walking, 8: walking}, actors=actors)
    names = {"detector": {"class_names": NAMES}, "action": {"class_names": ["run", "walk"]}}
    write_playback(recording, record, {"models": names}, settings, tmp_path, bag=True, video=False)
    with AnyReader([tmp_path / "playback/flight"], default_typestore=typestore()) as reader:
        rows = [(c.topic, t, reader.deserialize(d, c.msgtype)) for c, t, d in reader.messages()]
    followed = {stamp: m.detections[0].track_id for topic, stamp, m in rows if topic == DETECTIONS}
    found = {stamp: m.actions for topic, stamp, m in rows if topic == ACTIONS}
    true = {stamp: m.actions for topic, stamp, m in rows if topic == TRUE_ACTIONS}
    assert START_NS not in found  # before the first tick
    third = START_NS + 2 * STEP_NS
    assert followed[third] > 0
    assert [(a.scope, a.track_id, a.label) for a in found[third]] == [(1, followed[third], "walk")]
    assert found[third][0].score == pytest.approx(0.8)
    assert [(a.track_id, a.label) for a in found[later]] == [(car, "unknown")]
    assert [(a.scope, a.track_id, a.label) for a in true[START_NS]] == [(1, 7, "walk"), (1, 8, "walk")]


@contextmanager
def disk_of(limit):
    """A limit on the size of files stands in for the end of the disk: the same failing write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("bag", "message"), [(True, "cannot be written: File too large"), (False, "to its end")])
def test_a_full_disk_is_said_and_nothing_unfinished_is_left(tmp_path, bag, message):
    write_flight(tmp_path / "flight", count=60)
    settings = Settings(model=str(write_detector(tmp_path / "d.onnx")))
    recording = find_recordings([tmp_path / "flight"])[0]
    record = evaluate_source(*recording.open(settings), Pipeline(settings))
    metrics = {"models": {"detector": {"class_names": NAMES}}}
    with disk_of(8192), pytest.raises(UavPerceptionError, match=message):
        write_playback(recording, record, metrics, settings, tmp_path, bag=bag, video=not bag)
    left = [path.name for path in (tmp_path / "playback").iterdir()]
    assert left == (["foxglove_layout.json"] if bag else [])
