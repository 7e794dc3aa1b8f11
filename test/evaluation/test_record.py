import numpy as np
import pytest
from detection_samples import random_images

from uav_perception.evaluation.actions import ActionSequence, Segment
from uav_perception.evaluation.errors import EvaluationError
from uav_perception.evaluation.geolocation import PlacedTargets
from uav_perception.evaluation.measures import measure
from uav_perception.evaluation.record import (
    Accounting,
    ActorLabels,
    ClipResults,
    FlightRecord,
    ImageRecord,
    joined,
    load_record,
    save_record,
)
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.inference.detections import Detections


def flight(seed=0, truth=True, first=0):
    truths, detections = random_images(seed, images=6)
    images = tuple(
        ImageRecord(first + i, f"image{i}", 1000 + i, d, d if i % 2 else None, t if truth and i != 3 else None)
        for i, (t, d) in enumerate(zip(truths, detections, strict=True))
    )
    actions = {
        -1: ActionSequence([1, 5], np.eye(2), [0, -1], (Segment(0, 4, 1),), 9),
        7: ActionSequence([], np.zeros((0, 2)), [], (Segment(0, 4, 0),), 9),
    }
    placed = PlacedTargets([[1, 2]], [[1, 3]], [np.eye(2)])
    clips = ClipResults(("a", "b"), np.eye(2), np.array([0, 1]))
    accounting = Accounting(9, 6, 2, 1, ("image 3: broken",))
    timings = {"decode": np.arange(6.0), "inference": np.ones(6)}
    actors = ActorLabels([1000, 1002], [4, 5], [1, -1], [0.75, 0.0])
    return FlightRecord(
        "flight", accounting, images, actions, actors, placed, clips, ("careful",), timings, 1.5, 99.0, True
    )


@pytest.mark.parametrize("truth", [True, False])
def test_what_is_saved_comes_back(tmp_path, truth):
    record = flight(truth=truth)
    save_record(tmp_path / "r.npz", record, "mark")
    back = load_record(tmp_path / "r.npz", "mark")
    assert measure([back], "abcd", "xy") == measure([record], "abcd", "xy")
    for name in ("name", "accounting", "warnings", "wall_s", "peak_memory_mb", "in_time_order"):
        assert getattr(back, name) == getattr(record, name)
    for a, b in zip(back.images, record.images, strict=True):
        assert (a.index, a.name, a.stamp_ns, a.tracks is None) == (b.index, b.name, b.stamp_ns, b.tracks is None)
        np.testing.assert_array_equal(a.detections.boxes, b.detections.boxes)
        assert (a.truth is None) == (b.truth is None)
    np.testing.assert_array_equal(back.timings_ms["decode"], record.timings_ms["decode"])
    assert back.clips.names == ("a", "b")
    assert back.actions[7].truth == record.actions[7].truth
    for name in ("times_ns", "track_ids", "labels", "scores"):
        np.testing.assert_array_equal(getattr(back.actors, name), getattr(record.actors, name))


def test_labels_of_actors_are_complete():
    with pytest.raises(EvaluationError, match="one entry in every field"):
        ActorLabels([1, 2], [4, 5], [1], [0.5, 0.5])


def test_an_empty_recording_comes_back(tmp_path):
    save_record(tmp_path / "r.npz", FlightRecord("x", Accounting(0, 0, 0, 0), ()), "mark")
    assert load_record(tmp_path / "r.npz").images == ()


def test_a_record_of_something_else_is_not_taken(tmp_path):
    assert load_record(tmp_path / "none.npz", "mark") is None
    save_record(tmp_path / "r.npz", flight(), "mark")
    assert load_record(tmp_path / "r.npz", "other") is None
    (tmp_path / "r.npz").write_bytes((tmp_path / "r.npz").read_bytes()[:500])
    with pytest.raises(EvaluationError, match=r"is damaged .* Delete it and run again"):
        load_record(tmp_path / "r.npz", "mark")


def test_slices_join_to_the_whole():
    truths, detections = random_images(4, images=10)
    images = [ImageRecord(i, "", i, d, None, t) for i, (t, d) in enumerate(zip(truths, detections, strict=True))]

    def part(own, unreadable):
        accounting = Accounting(12, len(own), 12 - len(own) - unreadable, unreadable)
        return FlightRecord("set", accounting, tuple(own), timings_ms={"decode": np.ones(len(own))}, wall_s=1.0)

    whole = joined([part(images[:4], 2), part(images[4:], 0)])
    assert [image.index for image in whole.images] == list(range(10))
    assert whole.accounting == Accounting(12, 10, 0, 2)
    assert (len(whole.timings_ms["decode"]), whole.wall_s) == (10, 2.0)
    assert measure([whole], "abcd", ()) == measure([part(images, 2)], "abcd", ())


def test_slices_of_different_recordings_do_not_join():
    with pytest.raises(EvaluationError, match="cannot be joined"):
        joined([flight(), FlightRecord("other", Accounting(0, 0, 0, 0), ())])


def test_lost_images_are_an_error():
    with pytest.raises(EvaluationError, match="5 processed, 1 skipped and 1 unreadable do not add up to 8"):
        Accounting(8, 5, 1, 1)
    with pytest.raises(EvaluationError, match="2 clips, 1 rows"):
        ClipResults(("a", "b"), np.eye(1), np.zeros(2))


def test_objects_without_ids_do_not_count_against_the_tracker():
    """A flight whose truth has boxes only, beside one with ids; one in which nothing is to be seen counts."""
    box, elsewhere = [[0.0, 0.0, 9.0, 9.0]], [[50.0, 0.0, 59.0, 9.0]]
    tracks = Detections(box + elsewhere, [0.9, 0.9], [0, 0], [1, 2])

    def seen(truth):
        return FlightRecord("f", Accounting(1, 1, 0, 0), (ImageRecord(0, "", 0, tracks, tracks, truth),))

    known, boxes, nothing = (
        seen(ImageTruth(box, [0], track_ids=[7])),
        seen(ImageTruth(box, [0])),
        seen(ImageTruth.empty()),
    )
    assert measure([known], "a", ())["tracking"]["false"] == 1
    assert measure([known, boxes], "a", ())["tracking"] == measure([known], "a", ())["tracking"]
    assert measure([known, nothing], "a", ())["tracking"]["false"] == 3
    assert "tracking" not in measure([boxes], "a", ())
