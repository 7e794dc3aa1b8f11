"""Who is judged: actions of tracked actors, matched to the true actors by their boxes."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from flight_bags import write_action_model, write_detector, write_flight

from uav_perception.actions.results import ActionResult
from uav_perception.cli.main import main
from uav_perception.evaluation.action_tracks import sequences_by_scope
from uav_perception.evaluation.actions import UNKNOWN, Segment
from uav_perception.evaluation.record import ImageRecord
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.inference.detections import Detections

SCHEMA = Path(__file__).parents[2] / "uav_perception/evaluation/schema/metrics.schema.json"
A, B, NOWHERE = [0.0, 0.0, 10.0, 10.0], [50.0, 0.0, 60.0, 10.0], [200.0, 0.0, 210.0, 10.0]
IDS = {"run": 0, "walk": 1}


def image(stamp, ids):
    """Tracks on the true actors 7 and 8 and on nothing."""
    truth = ImageTruth([A, B], [0, 0], track_ids=[7, 8])
    tracks = Detections([A, B, NOWHERE], [0.9] * 3, [0] * 3, ids)
    return ImageRecord(stamp, "", stamp, tracks, tracks, truth)


def said(track, label, scope="track"):
    return ActionResult(scope, track, label, 0.9, (), 0, 0, 3)


def test_results_go_to_the_true_actor_whatever_the_tracks_id():
    first, second = image(10, [1, 2, 3]), image(20, [5, 2, 3])  # the track of actor 7 was lost and started anew
    results = [
        (first, said(1, "run")),
        (first, said(3, "run")),
        (second, said(5, "walk")),
        (second, said(2, "unknown")),
    ]
    segments = {7: (Segment(0, 30, 0),), 8: (Segment(0, 30, 1),)}
    found = sequences_by_scope(results, segments, IDS, lambda r: np.eye(2)[IDS.get(r.label, 0)], 30, ["track"])
    assert sorted(found) == [7, 8]
    assert (found[7].times_ns.tolist(), found[7].labels.tolist()) == ([10, 20], [0, 1])
    assert (found[8].times_ns.tolist(), found[8].labels.tolist()) == ([20], [UNKNOWN])


def test_actors_never_looked_at_count_as_missed_and_scopes_not_judged_do_not():
    results = [(image(10, [1, 2, 3]), said(1, "run"))]
    segments = {7: (Segment(0, 30, 0),), 8: (Segment(0, 30, 1),), -1: (Segment(0, 30, 1),)}
    found = sequences_by_scope(results, segments, IDS, lambda r: np.zeros(2), 30, ["track"])
    assert sorted(found) == [7, 8]
    assert len(found[8].times_ns) == 0
    assert found[8].truth == segments[8]
    whole = [(image(10, [1, 2, 3]), said(-1, "run", "frame"))]
    assert sorted(sequences_by_scope(whole, segments, IDS, lambda r: np.zeros(2), 30, ["frame"])) == [-1]
    assert sorted(sequences_by_scope([], segments, IDS, lambda r: np.zeros(2), 30, ["frame", "track"])) == [-1, 7, 8]


@pytest.mark.parametrize(("classes", "ticks"), [("car", True), ("person", False)])
def test_only_classes_that_act_are_judged(tmp_path, classes, ticks):
    """The stand-in's cars are the actors; a red square is not green, so it "walks"."""
    models = [
        "--model",
        str(write_detector(tmp_path / "d.onnx")),
        "--action-model",
        str(write_action_model(tmp_path / "a.onnx")),
    ]
    flight = write_flight(tmp_path / "flight", count=40, actions=lambda i: {7: "walk"})
    options = ["--action-scope", "track", "--actor-classes", classes, "--out", str(tmp_path / "out"), "--gallery", "0"]
    assert main(["evaluate", str(flight), *models, *options]) == 0
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert metrics["actions"]["per_class"]["walk"]["segments"] == 1
    assert (metrics["actions"]["ticks"] > 0) == ticks
    assert metrics["actions"]["detected"] == 0.0  # the car jumps from cell to cell, no track lives for a whole window


def test_whole_images_and_actors_have_numbers_of_their_own(tmp_path):
    models = [
        "--model",
        str(write_detector(tmp_path / "d.onnx")),
        "--action-model",
        str(write_action_model(tmp_path / "a.onnx")),
    ]
    flight = write_flight(tmp_path / "flight", count=60, actions=lambda i: {-1: "walk", 7: "run"})
    options = ["--action-scope", "both", "--actor-classes", "car", "--out", str(tmp_path / "out"), "--gallery", "0"]
    assert main(["evaluate", str(flight), *models, *options]) == 0
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    jsonschema.validate(metrics, json.loads(SCHEMA.read_text()))
    scopes = metrics["actions"]["by_scope"]
    assert scopes["frame"]["detected"] == 1.0
    assert scopes["track"]["detected"] == 0.0
    assert metrics["actions"]["detected"] == 0.5
    assert metrics["actions"]["ticks"] == scopes["frame"]["ticks"] + scopes["track"]["ticks"]
    page = (tmp_path / "out/report.html").read_text()
    assert page.count("<td>whole image</td>") == page.count("<td>actors</td>") == 1


def test_what_has_no_true_actions_does_not_count_against_the_model(tmp_path):
    """A flight without truth among others, and whole images where only actors have truth."""
    write_action_model(tmp_path / "a.onnx")
    models = ["--model", str(write_detector(tmp_path / "d.onnx")), "--action-model", str(tmp_path / "a.onnx")]
    known = write_flight(tmp_path / "known", count=60, actions=lambda i: {-1: "walk"})
    unknown = write_flight(tmp_path / "unknown", count=60, truth=False)
    actors = write_flight(tmp_path / "actors", count=60, actions=lambda i: {7: "walk"})

    def judged(name, flights, scope):
        options = ["--action-scope", scope, "--actor-classes", "car", "--out", str(tmp_path / name), "--gallery", "0"]
        assert main(["evaluate", *map(str, flights), *models, *options]) == 0
        return json.loads((tmp_path / name / "metrics.json").read_text())["actions"]

    assert judged("both", [known, unknown], "frame") == judged("one", [known], "frame")
    assert judged("all", [actors], "both") == judged("actors only", [actors], "track")
