import json
import math
from dataclasses import replace

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from uav_perception.cli.main import main
from uav_perception.flight.geojson import TargetRecord, feature_collection
from uav_perception.frames.typestore import typestore

NAN = float("nan")
FIRST = TargetRecord(
    1_700_000_000_500_000_000, 7, "person", 0.912345, "run", 47.39774251, 8.54559412, 488.12345, 2.104, 3.0
)
SECOND = replace(FIRST, stamp_ns=FIRST.stamp_ns + 1_000_000_000, latitude=47.3978)
OTHER = replace(FIRST, track_id=9, class_name="car", action="")


def test_one_point_for_each_track_where_it_was_last():
    collection = feature_collection([FIRST, OTHER, SECOND])
    assert collection["type"] == "FeatureCollection"
    assert [feature["properties"]["track_id"] for feature in collection["features"]] == [7, 9]
    point = collection["features"][0]
    assert point["geometry"] == {"type": "Point", "coordinates": [8.5455941, 47.3978, 488.123]}
    assert point["properties"] == {
        "track_id": 7, "class": "person", "action": "run", "score": 0.912, "error_radius_m": 2.1, "speed_m_s": 3.0,
        "time": "2023-11-14T22:13:21.500+00:00",
    }  # fmt: skip


def test_every_point_and_lines():
    features = feature_collection([FIRST, OTHER, SECOND], every=True, lines=True)["features"]
    assert [feature["geometry"]["type"] for feature in features] == ["Point"] * 3 + ["LineString"]
    line = features[-1]
    assert [position[1] for position in line["geometry"]["coordinates"]] == [47.3977425, 47.3978]
    assert len(line["properties"]["times"]) == 2


def test_what_has_no_place_is_left_out():
    lost, untracked = replace(FIRST, latitude=NAN), replace(FIRST, track_id=-1)
    assert feature_collection([lost, untracked])["features"] == []
    assert len(feature_collection([lost, untracked], every=True)["features"]) == 1


def test_unknown_numbers_become_null():
    properties = feature_collection([replace(FIRST, error_radius=math.inf, speed=NAN)])["features"][0]["properties"]
    assert properties["error_radius_m"] is properties["speed_m_s"] is None
    json.dumps(properties, allow_nan=False)


def target(**changes):
    types = typestore().types
    vector = types["geometry_msgs/msg/Vector3"](x=3.0, y=4.0, z=0.0)
    fields = {
        "track_id": 7, "class_id": 0, "class_name": "person", "score": 0.9, "action": "run",
        "position": types["geometry_msgs/msg/Point"](x=1.0, y=2.0, z=0.0), "position_covariance": np.zeros(9),
        "latitude": 47.3977, "longitude": 8.5456, "altitude": 488.0, "error_radius": 2.0, "velocity": vector,
    }  # fmt: skip
    return types["uav_perception/msg/GeoTarget"](**{**fields, **changes})


def write_bag(path, topics: list[str]) -> None:
    store, kind = typestore(), "uav_perception/msg/GeoTargetArray"
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic in topics:
            connection = writer.add_connection(topic, kind, typestore=store)
            for i in range(3):
                stamp = store.types["builtin_interfaces/msg/Time"](sec=1_700_000_000 + i, nanosec=0)
                header = store.types["std_msgs/msg/Header"](stamp=stamp, frame_id="map")
                targets = [target(latitude=47.3977 + i * 1e-4), target(track_id=8, latitude=NAN)]
                message = store.types[kind](header=header, method="flat_plane", refused=0, targets=targets)
                writer.write(connection, i, store.serialize_cdr(message, kind))


def test_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_bag(tmp_path / "flight", ["/ground_truth/targets", "/geolocation/targets"])
    assert main(["targets", "to-geojson", "flight", "--lines"]) == 0
    assert capsys.readouterr().out == (
        "/geolocation/targets: 6 targets, 3 with a place on Earth, 2 in flight.geojson\n"
    )
    features = json.loads((tmp_path / "flight.geojson").read_text())["features"]
    assert features[0]["geometry"]["coordinates"] == [8.5456, 47.3979, 488.0]
    assert features[0]["properties"]["speed_m_s"] == 5.0


@pytest.mark.parametrize(
    ("topics", "options", "message"),
    [
        (["/a/targets", "/b/targets"], [], "targets on /a/targets, /b/targets. Choose one with --topic"),
        (
            ["/a/targets"],
            ["--topic", "/c"],
            "no targets on /c; topics of uav_perception/msg/GeoTargetArray: /a/targets",
        ),
        ([], [], "no targets; topics of uav_perception/msg/GeoTargetArray: none. Record"),
    ],
)
def test_bags_without_the_targets(tmp_path, capsys, topics, options, message):
    write_bag(tmp_path / "flight", topics)
    assert main(["targets", "to-geojson", str(tmp_path / "flight"), *options]) == 1
    assert message in capsys.readouterr().err
