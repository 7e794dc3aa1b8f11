"""One recording from its first image to its record: what is judged, and what is said about the rest."""

from dataclasses import replace

import numpy as np
import pytest
from flight_bags import START_NS, STEP_NS, write_action_model, write_detector, write_flight

from uav_perception.evaluation.actions import UNKNOWN, action_metrics
from uav_perception.evaluation.errors import TruthError
from uav_perception.evaluation.pipeline import Pipeline
from uav_perception.evaluation.recordings import find_recordings
from uav_perception.evaluation.runner import evaluate_source
from uav_perception.evaluation.settings import Settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """3 s of images: walking, running from 1 s on, walking from 2 s on."""
    root = tmp_path_factory.mktemp("runner")
    write_detector(root / "detector.onnx")
    write_action_model(root / "actions.onnx")
    lamp = {0: "walk", 1: "run", 2: "walk"}
    write_flight(root / "flight", count=60, actions=lambda i: {-1: lamp[i // 20]})
    write_flight(root / "bare", count=10, truth=False)
    return root


def record_of(folder, flight="flight", **more):
    settings = Settings(action_model=str(folder / "actions.onnx"), **more)
    source, truth = find_recordings([folder / flight])[0].open(settings)
    return evaluate_source(source, truth, Pipeline(settings))


def written(path, *rows):
    path.write_text("\n".join(("start_s,end_s,label", *rows)) + "\n")
    return (str(path),)


def test_actions_of_the_whole_recording(folder):
    record = record_of(folder)
    assert [(s.start_ns - START_NS) // STEP_NS for s in record.actions[-1].truth] == [0, 20, 40]
    assert action_metrics(list(record.actions.values()), ("run", "walk"))["detected"] == 1.0


@pytest.mark.parametrize(
    ("part", "steps"),
    [
        ({"limit": 30}, [(0, 20), (20, 30)]),
        ({"start_s": 1.5, "end_s": 1.9}, [(30, 38)]),
        ({"start_s": 1.5}, [(30, 40), (40, 60)]),
        ({"every": 2, "limit": 5}, [(0, 10)]),
    ],
)
def test_actions_that_were_skipped_are_not_missed(folder, part, steps):
    record = record_of(folder, **part)
    truth = record.actions[-1].truth
    assert [((s.start_ns - START_NS) // STEP_NS, (s.end_ns - START_NS) // STEP_NS) for s in truth] == steps
    assert not any("outside" in warning for warning in record.warnings)


def test_actions_outside_the_recording_are_said(folder, tmp_path):
    truth = written(tmp_path / "some.csv", "0,1,walk", "1,2,run", "60,70,run")
    record = record_of(folder, truth=truth)
    assert len(record.actions[-1].truth) == 2
    assert "1 of 3 true actions in some.csv lie outside the recording and are not judged" in record.warnings
    with pytest.raises(TruthError, match=r"Not one of 2 true actions in .*stamps run from 17.*Times in start_s count"):
        record_of(folder, truth=written(tmp_path / "none.csv", "60,70,run", "70,80,walk"))


def test_what_has_no_truth_is_said(folder):
    record = record_of(folder, "bare", model=str(folder / "detector.onnx"))
    assert [warning.partition(":")[0] for warning in record.warnings] == [
        "detections are not judged",
        "actions are not judged",
    ]
    assert "--truth" in record.warnings[0]
    assert not any("not judged" in w for w in record_of(folder, model=str(folder / "detector.onnx")).warnings)


def test_a_name_to_rename_that_does_not_occur_is_said(folder):
    record = record_of(folder, model=str(folder / "detector.onnx"), class_map=(("bus", "car"), ("bsu", "car")))
    told = [warning for warning in record.warnings if "--class-map" in warning]
    assert told == [
        "--class-map renames bsu, but /ground_truth/actions, /ground_truth/detections of flight has bus, car, run, walk"
    ]
    assert record.images[0].truth.class_ids.tolist() == [0, 0]


def test_actions_of_followed_actors_are_kept_without_truth(folder):
    options = {"model": str(folder / "detector.onnx"), "action_scope": "track", "actor_classes": ("car",)}
    record = record_of(folder, "bare", **options)
    assert record.actions == {}
    followed = {int(i) for image in record.images for i in image.tracks.track_ids if i >= 0}
    assert len(record.actors.times_ns) > 0
    assert set(record.actors.track_ids.tolist()) <= followed
    assert (np.diff(record.actors.times_ns) >= 0).all()
    assert set(record.actors.labels.tolist()) <= {UNKNOWN, 0, 1}
    assert len(record_of(folder, "bare").actors.times_ns) == 0


def test_truth_of_another_size_is_said(folder):
    settings = Settings(model=str(folder / "detector.onnx"))
    source, truth = find_recordings([folder / "flight"])[0].open(settings)
    height, width = next(iter(source.images())).decode().image.shape[:2]
    larger = {key: replace(image, width=2 * width, height=2 * height) for key, image in truth.images.items()}
    pipeline = Pipeline(settings)
    assert not any("another size" in warning for warning in evaluate_source(source, truth, pipeline).warnings)
    told = [w for w in evaluate_source(source, replace(truth, images=larger), pipeline).warnings if "another size" in w]
    assert told == [
        f"the truth in {truth.origin} is for images of another size in 60 of 60 images, the first "
        f"{2 * width}x{2 * height} where the image is {width}x{height} [px]; boxes are compared as they are"
    ]
