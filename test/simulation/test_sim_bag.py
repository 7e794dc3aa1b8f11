"""Bags read back with rosbags."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pymap3d
import pytest
import yaml
from rosbags.highlevel import AnyReader
from scipy.spatial.transform import Rotation

from uav_perception.evaluation.truth_topics import read_truth_topics, truth_topics
from uav_perception.frames.typestore import typestore
from uav_perception.simulation.bag import HOME, START_NS, write_bag
from uav_perception.simulation.errors import SimulationError
from uav_perception.simulation.flight import Flight, FlightConfig

SMALL = {
    "seconds": 1.0,
    "rate": 3.0,
    "width": 160,
    "height": 96,
    "people": 4,
    "vehicles": 4,
    "ground_pixels": 256,
    "vertical_fov": 20.0,
}


def read(folder):
    """Messages by topic and stamp."""
    messages: dict = {}
    with AnyReader([folder], default_typestore=typestore()) as reader:
        for connection, stamp, raw in reader.messages():
            messages.setdefault(connection.topic, {})[stamp] = reader.deserialize(raw, connection.msgtype)
    return messages


@pytest.mark.parametrize(("storage", "encoding"), [("mcap", "jpeg"), ("sqlite3", "raw")])
def test_bag_holds_the_flight(tmp_path, storage, encoding):
    config = FlightConfig(seed=11, mount="fixed" if encoding == "raw" else "gimbal", **SMALL)
    flight = Flight(config)
    counts = write_bag(tmp_path / "bag", flight, storage, encoding, state_rate=10.0)
    messages = read(tmp_path / "bag")
    assert {topic: len(by_stamp) for topic, by_stamp in messages.items()} == counts

    image_topic = "/camera/image_raw" if encoding == "raw" else "/camera/image_raw/compressed"
    stamps = sorted(messages[image_topic])
    assert stamps == [START_NS + round(k / 3 * 1e9) for k in range(3)]
    truth_topics = ["/camera/camera_info", *(f"/ground_truth/{name}" for name in ("detections", "actions", "targets"))]
    for frame, stamp in zip(Flight(config).frames(), stamps, strict=True):
        image = messages[image_topic][stamp]
        for topic in (image_topic, *truth_topics):
            header = messages[topic][stamp].header
            assert header.stamp.sec * 10**9 + header.stamp.nanosec == stamp
        if encoding == "raw":
            np.testing.assert_array_equal(image.data.reshape(image.height, image.step // 3, 3), frame.image)
        else:
            difference = cv2.imdecode(image.data, cv2.IMREAD_COLOR).astype(float) - frame.image
            assert np.abs(difference).mean() < 6
        k = messages["/camera/camera_info"][stamp].k.reshape(3, 3)
        f = 96 / 2 / np.tan(np.radians(20) / 2)
        np.testing.assert_allclose(k, [[f, 0, 79.5], [0, f, 47.5], [0, 0, 1]])
        detections = messages["/ground_truth/detections"][stamp].detections
        got = {d.track_id: (d.class_id, d.score, (d.x_min, d.y_min, d.x_max, d.y_max)) for d in detections}
        assert got == {o.entity: (o.class_id, float(o.evaluated), o.box) for o in frame.objects}
        actions = messages["/ground_truth/actions"][stamp].actions
        assert (actions[0].scope, actions[0].track_id, actions[0].label) == (0, -1, frame.action)
        assert {a.track_id: a.label for a in actions[1:]} == {
            o.entity: frame.states[o.entity].action for o in frame.objects if frame.states[o.entity].action
        }
        for target in messages["/ground_truth/targets"][stamp].targets:
            place = (target.position.x, target.position.y, target.position.z)
            assert place == pytest.approx(frame.states[target.track_id].position)
            assert pymap3d.geodetic2enu(target.latitude, target.longitude, target.altitude, *HOME) == pytest.approx(
                place, abs=1e-6
            )
    assert ("/tf_static" in messages) == (config.mount == "fixed")


def test_vehicle_topics_agree_with_the_path_and_with_one_another(tmp_path):
    flight = Flight(FlightConfig(seed=12, **SMALL))
    write_bag(tmp_path / "bag", flight, state_rate=10.0)
    messages = read(tmp_path / "bag")
    stamps = sorted(messages["/mavros/local_position/pose"])
    assert stamps[0] == START_NS - 500_000_000 and stamps[-1] >= START_NS + 1_166_000_000 - 100_000_000
    for stamp in stamps:
        state = flight.drone((stamp - START_NS) / 1e9)
        pose, odom = (messages[f"/mavros/local_position/{name}"][stamp] for name in ("pose", "odom"))
        p, q = pose.pose.position, pose.pose.orientation
        np.testing.assert_allclose([p.x, p.y, p.z], state.position, atol=1e-6)
        attitude = Rotation.from_quat([q.x, q.y, q.z, q.w])
        np.testing.assert_allclose(attitude.as_matrix(), state.rotation, atol=1e-6)
        v = odom.twist.twist.linear
        np.testing.assert_allclose(attitude.apply([v.x, v.y, v.z]), state.velocity, atol=1e-5)
        fix = messages["/mavros/global_position/global"][stamp]
        enu = pymap3d.geodetic2enu(fix.latitude, fix.longitude, fix.altitude, *HOME)
        np.testing.assert_allclose(enu, state.position, atol=1e-5)
        assert messages["/mavros/global_position/rel_alt"][stamp].data == pytest.approx(state.position[2], abs=1e-6)
        g = messages["/gimbal/attitude"][stamp].quaternion
        camera = flight.camera_pose((stamp - START_NS) / 1e9)
        np.testing.assert_allclose(Rotation.from_quat([g.x, g.y, g.z, g.w]).as_matrix(), camera.rotation, atol=1e-6)


def test_the_evaluation_reads_the_truth(tmp_path):
    config = FlightConfig(seed=12, actions=("clap",), **SMALL)
    write_bag(tmp_path / "bag", Flight(config), state_rate=10.0)
    with AnyReader([tmp_path / "bag"], default_typestore=typestore()) as reader:
        topics = truth_topics({c.topic: c.msgtype for c in reader.connections}, None, tmp_path / "bag")
    table = read_truth_topics(tmp_path / "bag", topics)
    ignored = 0
    for frame in Flight(config).frames():
        truth = table.images[START_NS + round(frame.t * 1e9)]
        expected = {o.entity: (o.box, not o.evaluated) for o in frame.objects}
        rows = zip(truth.track_ids.tolist(), truth.boxes.tolist(), truth.ignored.tolist(), strict=True)
        assert {track: (tuple(box), left_out) for track, box, left_out in rows} == expected
        ignored += int(truth.ignored.sum())
    assert ignored > 0
    assert [span.label for span in table.spans if span.track_id == -1] == ["clap"]


def test_metadata_tells_what_made_the_bag(tmp_path):
    config = FlightConfig(seed=13, seconds=0.4, rate=3.0, width=64, height=48, ground_pixels=256, people=0, vehicles=0)
    write_bag(tmp_path / "bag", Flight(config))
    information = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert information["version"] == 8 and information["relative_file_paths"] == ["bag.mcap"]
    assert json.loads(information["custom_data"]["simulation"])["seed"] == 13
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bag"]


def test_bad_requests_are_refused_and_leave_nothing(tmp_path):
    flight = Flight(FlightConfig(seed=13, seconds=0.4, width=64, height=48, ground_pixels=256, people=0, vehicles=0))
    with pytest.raises(SimulationError, match="Unknown storage 'tape'; it must be one of mcap, sqlite3"):
        write_bag(tmp_path / "bag", flight, storage="tape")
    with pytest.raises(SimulationError, match="Unknown image encoding 'gif'; it must be one of raw, jpeg"):
        write_bag(tmp_path / "bag", flight, encoding="gif")
    with pytest.raises(SimulationError, match="above 0 and up to 1000 Hz, got 0"):
        write_bag(tmp_path / "bag", flight, state_rate=0.0)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "bag").mkdir()
    with pytest.raises(SimulationError, match="exists; choose another name or remove it"):
        write_bag(tmp_path / "bag", flight)


def test_a_broken_off_bag_leaves_nothing(tmp_path, monkeypatch):
    flight = Flight(FlightConfig(seed=13, seconds=0.4, width=64, height=48, ground_pixels=256, people=0, vehicles=0))

    def interrupted():
        yield from ()
        raise KeyboardInterrupt

    monkeypatch.setattr(flight, "frames", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_bag(tmp_path / "bag", flight)
    assert list(tmp_path.iterdir()) == []
