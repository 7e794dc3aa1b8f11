from dataclasses import replace

import numpy as np
import pytest

from uav_perception.actions.errors import ActionError
from uav_perception.actions.model import ActionModel, softmax
from uav_perception.actions.recogniser import Recogniser, RecogniserOptions
from uav_perception.actions.smoothing import SmoothingOptions
from uav_perception.inference.detections import Detections

MS = 1_000_000
STEADY = SmoothingOptions(time_constant_s=0.0, enter=0.0, exit=0.0, min_dwell_s=0.0)


def actors(*ids: int) -> Detections:
    boxes = [[5 + 2 * i, 8, 15 + 2 * i, 30] for i in range(len(ids))]
    return Detections(np.array(boxes), np.ones(len(ids)), np.zeros(len(ids)), np.array(ids))


def full_recomputation(model: ActionModel, frames: list[np.ndarray], stamps_ms: list[int], prepare) -> np.ndarray:
    """Probabilities with every image of the window through the backbone again, chosen by a plain search."""
    end = stamps_ms[-1]
    centres = [end - 1500 + 1500 * (k + 0.5) / 3 for k in range(3)]
    chosen = [min(range(len(stamps_ms)), key=lambda i: abs(stamps_ms[i] - centre)) for centre in centres]
    assert len(set(chosen)) == 3
    features = model.features(prepare([frames[i] for i in chosen]))
    return softmax(model.logits(features[None]))[0]


def scores_by_class(result) -> np.ndarray:
    return np.array([s.score for s in sorted(result.scores, key=lambda s: s.class_id)])


@pytest.mark.parametrize("kind", ["model_path", "clip_path"])
def test_cached_path_equals_full_recomputation(kind, request, images):
    recogniser = Recogniser(request.getfixturevalue(kind), options=RecogniserOptions(smoothing=STEADY))
    stamps, compared = [], 0
    for i, image in enumerate(images):
        stamps.append(i * 100 + (i * 37) % 11)
        result = recogniser.update(image, stamps[-1] * MS)
        if len(stamps) >= 16:
            expected = full_recomputation(recogniser.model, images, stamps, recogniser.model.preprocess_frames)
            np.testing.assert_allclose(scores_by_class(result), expected, atol=1e-4)
            assert result.label == recogniser.model.class_names[int(np.argmax(expected))]
            compared += 1
    assert compared == 25


def test_one_backbone_pass_a_tick(model_path, images, monkeypatch):
    recogniser = Recogniser(model_path)
    passes = []
    features = recogniser.model.features
    monkeypatch.setattr(recogniser.model, "features", lambda frames: passes.append(len(frames)) or features(frames))
    results = [recogniser.update(image, round(i * 1000 / 30) * MS) for i, image in enumerate(images[:31])]
    assert passes == [1] * 11
    assert sum(result is not None for result in results) == 11


def test_unknown_until_k_distinct_images(model_path, images):
    recogniser = Recogniser(model_path, options=RecogniserOptions(smoothing=STEADY))
    results = [recogniser.update(image, i * 100 * MS) for i, image in enumerate(images[:3])]
    assert [(r.label, r.score, r.scores) for r in results[:2]] == [("unknown", 0.0, ())] * 2
    assert results[2].label != "unknown"
    assert [(r.window_start_ns, r.window_end_ns) for r in results] == [(0, 0), (0, 100 * MS), (0, 200 * MS)]
    assert {(r.scope, r.track_id, r.segments) for r in results} == {("frame", -1, 3)}


def test_no_label_is_older_than_one_segment(model_path, images):
    """The newest image that counts lies in the window's last segment, at most 1.5 s / 3 ago."""
    recogniser = Recogniser(model_path)
    for i, image in enumerate(images):
        stamp = round(i * 1000 / 24) * MS
        result = recogniser.update(image, stamp)
        assert result is None or stamp - 500 * MS <= result.window_end_ns <= stamp


@pytest.mark.parametrize(("jump_ms", "reason"), [(-5000, "frame_time_jump"), (2000, "frame_gap")])
def test_state_is_dropped_on_a_time_jump_or_a_gap(model_path, images, jump_ms, reason):
    recogniser = Recogniser(model_path, options=RecogniserOptions(smoothing=STEADY))
    start = 10_000
    for i in range(20):
        recogniser.update(images[i], (start + i * 100) * MS)
    after = start + 1900 + jump_ms
    results = [recogniser.update(images[20 + i], (after + i * 100) * MS) for i in range(3)]
    assert [r.label == "unknown" for r in results] == [True, True, False]
    assert results[2].window_start_ns == after * MS
    assert recogniser.drops == {reason: 1}


def test_top_k(model_path, images):
    recogniser = Recogniser(model_path, options=RecogniserOptions(top_k=2))
    for i in range(5):
        result = recogniser.update(images[i], i * 100 * MS)
    assert len(result.scores) == 2
    assert result.scores[0].score >= result.scores[1].score
    assert all(s.class_name == recogniser.model.class_names[s.class_id] for s in result.scores)


def test_each_actor_has_its_own_cache(model_path, images):
    """Actor 2 comes a second later; both equal a recomputation of their own crops."""
    from uav_perception.actions.crops import square_crop

    recogniser = Recogniser(model_path, options=RecogniserOptions(smoothing=STEADY))
    crops: dict[int, list] = {1: [], 2: []}
    stamps: dict[int, list] = {1: [], 2: []}
    for i, image in enumerate(images):
        seen = actors(1, 2) if i >= 10 else actors(1)
        stamp = i * 100 + (i * 37) % 11
        results = recogniser.update_tracks(image, stamp * MS, seen)
        assert [r.track_id for r in results] == seen.track_ids.tolist()
        for box, track_id, result in zip(seen.boxes, seen.track_ids.tolist(), results, strict=True):
            crops[track_id].append(square_crop(image, box, recogniser.options.crop_scale))
            stamps[track_id].append(stamp)
            assert (result.label == "unknown") == (len(stamps[track_id]) < 3)
            if len(stamps[track_id]) >= 16:
                expected = full_recomputation(
                    recogniser.model, crops[track_id], stamps[track_id], recogniser.model.preprocess_crops
                )
                np.testing.assert_allclose(scores_by_class(result), expected, atol=1e-4)


def test_a_lost_actor_starts_anew(model_path, images):
    recogniser = Recogniser(model_path, options=RecogniserOptions(smoothing=STEADY))
    for i in range(6):
        recogniser.update_tracks(images[i], i * 100 * MS, actors(1, 2))
    for i in range(6, 14):
        recogniser.update_tracks(images[i], i * 100 * MS, actors(1))
    assert recogniser.drops == {"track_lost": 1}
    results = recogniser.update_tracks(images[14], 1400 * MS, actors(1, 2))
    assert [r.label == "unknown" for r in results] == [False, True]


def test_actors_of_a_looping_bag_start_anew(model_path, images):
    recogniser = Recogniser(model_path, options=RecogniserOptions(smoothing=STEADY))
    for i in range(6):
        recogniser.update_tracks(images[i], (5000 + i * 100) * MS, actors(1, 2))
    results = recogniser.update_tracks(images[6], 0, actors(1, 2))
    assert [r.label for r in results] == ["unknown", "unknown"]
    assert recogniser.drops == {"track_time_jump": 2}


def test_the_budget_holds_with_many_actors(model_path, images, monkeypatch):
    recogniser = Recogniser(model_path, options=RecogniserOptions(track_budget=4, smoothing=STEADY))
    batches = []
    features = recogniser.model.features
    monkeypatch.setattr(recogniser.model, "features", lambda frames: batches.append(len(frames)) or features(frames))
    known, counts = set(), []
    for i, image in enumerate(images):
        results = recogniser.update_tracks(image, i * 100 * MS, actors(*range(20)))
        known |= {r.track_id for r in results if r.label != "unknown"}
        counts.append(len(known))
    assert max(batches) == 4
    assert recogniser.tracks_waiting == 4
    assert counts[29] == 16  # as many as the budget can keep up with
    assert counts[-1] == 20  # after two windows the places are handed on
    assert set(recogniser.drops) == {"track_released"}


def test_untracked_detections_and_boxes_outside_are_left_out(model_path, images):
    outside = Detections(np.array([[100, 100, 120, 130], [5, 5, 20, 30]]), np.ones(2), np.zeros(2), np.array([3, -1]))
    assert Recogniser(model_path).update_tracks(images[0], 0, outside) == []


def test_both_scopes_at_once_do_not_disturb_each_other(model_path, images):
    alone, both = Recogniser(model_path), Recogniser(model_path)
    for i, image in enumerate(images):
        expected = alone.update(image, i * 100 * MS)
        both.update_tracks(image, i * 100 * MS, actors(1, 2))
        assert both.update(image, i * 100 * MS) == expected


def test_reset(model_path, images):
    recogniser = Recogniser(model_path, options=RecogniserOptions(smoothing=STEADY))
    for i in range(5):
        recogniser.update(images[i], i * 100 * MS)
        recogniser.update_tracks(images[i], i * 100 * MS, actors(1))
    recogniser.reset()
    assert recogniser.update(images[5], 500 * MS).label == "unknown"
    assert recogniser.update_tracks(images[5], 500 * MS, actors(1))[0].label == "unknown"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (RecogniserOptions(tick_hz=1.0), r"1\.5 s at 1\.0 Hz never holds the 3 images.*2 Hz or more"),
        (RecogniserOptions(max_gap_s=0.05), r"0\.05 s is shorter than the 0\.1 s"),
    ],
)
def test_options_that_contradict_the_model(model_path, options, message):
    with pytest.raises(ActionError, match=message):
        Recogniser(model_path, options=options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tick_hz": -1.0}, "`tick_hz`.*-1.0"),
        ({"crop_scale": 0.5}, "`crop_scale`.*0.5"),
        ({"track_budget": 0}, "`track_budget`.*0"),
    ],
)
def test_wrong_options(changes, message):
    with pytest.raises(ActionError, match=message):
        replace(RecogniserOptions(), **changes)
