from dataclasses import replace

import numpy as np
import planar_scene
import pytest

from uav_perception.inference.detections import Detections
from uav_perception.tracking.camera_motion import KnownPose, ground_homography
from uav_perception.tracking.errors import TrackingError
from uav_perception.tracking.tracker import Tracker, TrackerOptions

MS = 1_000_000


def boxes_at(*centres, side=10.0, score=0.9, class_id=0) -> Detections:
    centres = np.array(centres, float).reshape(-1, 2)
    boxes = np.concatenate([centres - side / 2, centres + side / 2], axis=1)
    return Detections(boxes, np.full(len(boxes), score), np.full(len(boxes), class_id))


def together(*parts: Detections) -> Detections:
    return Detections(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("boxes", "scores", "class_ids")))


def run(scene, mode: str) -> tuple[int, float]:
    tracker, rows, last = Tracker(), [], None
    for moment in scene:
        motion, pose = None, KnownPose(moment.rotation.T, moment.place)
        if mode == "pose" and last is not None:
            motion = ground_homography(planar_scene.INTRINSICS, last, pose)
        last = pose
        image = moment.image if mode == "image" else None
        out = tracker.update(moment.detections, moment.stamp_ns, image, motion)
        ids = np.full(len(moment.detections), -1)
        for box, track_id in zip(out.boxes, out.track_ids, strict=True):
            ids[np.flatnonzero((moment.detections.boxes == box).all(axis=1))[0]] = track_id
        rows.append((moment.truth_of, ids))
    return planar_scene.id_switches(rows)


@pytest.mark.parametrize("kind", ["still", "orbit", "pass"])
def test_compensation_at_least_halves_id_switches(kind):
    scene = planar_scene.fly(kind, seed=1, seconds=6.0, images=True)
    plain, pose, image = (run(scene, mode) for mode in ("none", "pose", "image"))
    for compensated in (pose, image):
        assert compensated[0] <= plain[0] / 2
        assert compensated[1] > plain[1] + 0.2


def test_velocity_is_that_of_the_object_with_the_camera_motion_removed():
    """The camera drifts 40 px/s to the left; one object stands, one moves 30 px/s down."""
    tracker = Tracker()
    shift = np.array([[1, 0, 4.0], [0, 1, 0], [0, 0, 1]])
    for i in range(30):
        seen = boxes_at((100 + 4 * i, 50), (200 + 4 * i, 100 + 3 * i), side=20)
        out = tracker.update(seen, i * 100 * MS, camera_motion=shift if i else None)
    np.testing.assert_allclose(out.velocities, [[0, 0], [0, 30]], atol=1.0)
    assert out.track_ids.tolist() == [1, 2]


def test_the_same_input_gives_the_same_ids():
    scene = planar_scene.fly("hover", seed=5, seconds=3.0, images=True)
    answers = []
    for _ in range(2):
        tracker = Tracker()
        answers.append([tracker.update(m.detections, m.stamp_ns, m.image).track_ids.tolist() for m in scene])
    assert answers[0] == answers[1]
    assert max(map(max, answers[0])) > 10


def test_an_id_needs_two_hits():
    tracker = Tracker()
    assert tracker.update(boxes_at((50, 50)), 0).track_ids.tolist() == [-1]
    assert tracker.update(boxes_at((50, 50), (90, 90)), 100 * MS).track_ids.tolist() == [1, -1]
    assert tracker.update(boxes_at((50, 50)), 200 * MS).track_ids.tolist() == [1]
    assert tracker.update(boxes_at((50, 50), (90, 90)), 300 * MS).track_ids.tolist() == [1, -1]


def test_weak_detections_keep_a_track_but_start_none():
    tracker = Tracker()
    for i in range(3):
        tracker.update(boxes_at((50, 50)), i * 100 * MS)
    weak = together(boxes_at((50, 50), score=0.2), boxes_at((150, 50), score=0.2))
    for i in range(3, 6):
        out = tracker.update(weak, i * 100 * MS)
        assert out.track_ids.tolist() == [1]
    assert out.scores[0] == pytest.approx(0.2)
    assert len(tracker.update(boxes_at((50, 50), score=0.05), 600 * MS)) == 0


def test_a_hidden_object_comes_back_under_its_id_and_not_after_too_long():
    tracker = Tracker()
    for i in range(10):
        tracker.update(boxes_at((50 + 2 * i, 50)), i * 100 * MS)
    for i in range(10, 20):
        assert len(tracker.update(Detections.empty(), i * 100 * MS)) == 0
    assert tracker.update(boxes_at((90, 50)), 2000 * MS).track_ids.tolist() == [1]
    for i in range(21, 42):
        tracker.update(Detections.empty(), i * 100 * MS)
    tracker.update(boxes_at((134, 50)), 4200 * MS)
    assert tracker.update(boxes_at((136, 50)), 4300 * MS).track_ids.tolist() == [2]


def test_the_class_is_voted():
    tracker = Tracker()
    for i, class_id in enumerate([2, 2, 2, 3, 2, 3]):
        out = tracker.update(boxes_at((50, 50), class_id=class_id), i * 100 * MS)
    assert out.class_ids.tolist() == [2]
    assert out.track_ids.tolist() == [1]


def test_classes_can_be_kept_apart():
    tracker = Tracker(TrackerOptions(other_class=0.0))
    for i, class_id in enumerate([2, 2, 3, 3]):
        out = tracker.update(boxes_at((50, 50), class_id=class_id), i * 100 * MS)
    assert out.track_ids.tolist() == [2]


@pytest.mark.parametrize(("stamp_ms", "reason"), [(-5000, "time_jump"), (899, "time_jump"), (3200, "gap")])
def test_time_jumps_and_gaps_end_all_tracks_and_ids_are_never_used_again(stamp_ms, reason):
    tracker = Tracker()
    for i in range(10):
        tracker.update(boxes_at((50, 50)), i * 100 * MS)
    tracker.update(boxes_at((50, 50)), stamp_ms * MS)
    assert tracker.update(boxes_at((50, 50)), (stamp_ms + 100) * MS).track_ids.tolist() == [2]
    assert tracker.resets == {reason: 1}


def test_rows_keep_their_order_and_all_fields():
    tracker = Tracker()
    seen = together(boxes_at((300, 50), class_id=1), boxes_at((50, 50), class_id=0, score=0.6))
    for i in range(3):
        out = tracker.update(seen, i * 100 * MS)
    np.testing.assert_array_equal(out.boxes, seen.boxes)
    np.testing.assert_array_equal(out.scores, seen.scores)
    assert out.class_ids.tolist() == [1, 0]


def test_unusable_motion_is_refused():
    with pytest.raises(TrackingError, match=r"3x3 homography.*nan"):
        Tracker().update(boxes_at((50, 50)), 0, camera_motion=np.full((3, 3), np.nan))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"similarity": "giou"}, "'giou'.*buffered_iou"),
        ({"high_score": 0.05}, r"0\.1, 0\.05, 0\.45"),
        ({"least_similarity": 0.0}, r"`least_similarity`.*0\.0"),
        ({"other_class": 2.0}, r"`other_class`.*2\.0"),
        ({"confirm_hits": 0}, "but got 0 and"),
    ],
)
def test_wrong_options(changes, message):
    with pytest.raises(TrackingError, match=message):
        replace(TrackerOptions(), **changes)


def test_the_same_image_twice_changes_no_id():
    tracker = Tracker()
    for stamp in (0, 100, 100, 200):
        out = tracker.update(boxes_at((50, 50)), stamp * MS)
    assert out.track_ids.tolist() == [1]
    assert not tracker.resets


def test_options_that_go_with_a_threshold():
    assert TrackerOptions.for_threshold(0.4) == TrackerOptions()
    weak = TrackerOptions.for_threshold(0.05, max_lost_s=1.0)
    assert (weak.low_score, weak.high_score, weak.new_score, weak.max_lost_s) == (0.05, 0.05, 0.1, 1.0)
    assert TrackerOptions.for_threshold(1.0).new_score == 1.0
