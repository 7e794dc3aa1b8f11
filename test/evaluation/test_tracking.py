import contextlib
import io

import numpy as np
import pytest
import trackeval

from uav_perception.evaluation.tracking import count_sequence, frames_of_class, tracking_metrics
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.inference.detections import Detections


def random_flight(seed, frames=40, objects=8, classes=2):
    """Objects that move; detections that shake, vanish, appear from nowhere and swap their ids."""
    rng = np.random.default_rng(seed)
    place, speed = rng.uniform(0, 300, (objects, 2)), rng.normal(0, 4, (objects, 2))
    size, class_ids = rng.uniform(15, 50, (objects, 2)), rng.integers(0, classes, objects)
    ids = np.arange(objects) + 100
    truths, detections = [], []
    for _ in range(frames):
        place = place + speed
        present = rng.random(objects) < 0.9
        boxes = np.hstack([place, place + size])
        truths.append(ImageTruth(boxes[present], class_ids[present], track_ids=np.arange(objects)[present]))
        if rng.random() < 0.15:
            a, b = rng.choice(objects, 2, replace=False)
            ids[a], ids[b] = ids[b], ids[a]
        if rng.random() < 0.1:
            ids[rng.integers(objects)] = rng.integers(200, 1000)
        seen = rng.random(objects) < (0.0 if rng.random() < 0.05 else 0.8)
        noise = rng.normal(0, 3, (objects, 4))
        false = rng.uniform(0, 300, (1, 2))
        found = np.vstack([(boxes + noise)[seen], np.hstack([false, false + 20])])
        track_ids = np.concatenate([ids[seen], [5000 + rng.integers(3)]])
        found_classes = np.concatenate([class_ids[seen], [rng.integers(classes)]])
        detections.append(Detections(found, np.full(len(found), 0.9), found_classes, track_ids))
    return truths, detections


def reference(frames):
    """trackeval on the same similarities."""
    data = {
        "num_timesteps": len(frames),
        "num_gt_ids": len(np.unique(np.concatenate([f.truth_ids for f in frames]))),
        "num_tracker_ids": len(np.unique(np.concatenate([f.ids for f in frames]))),
        "num_gt_dets": sum(len(f.truth_ids) for f in frames),
        "num_tracker_dets": sum(len(f.ids) for f in frames),
        "gt_ids": [f.truth_ids for f in frames],
        "tracker_ids": [f.ids for f in frames],
        "similarity_scores": [f.similarity for f in frames],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        metrics = trackeval.metrics.HOTA(), trackeval.metrics.Identity(), trackeval.metrics.CLEAR()
        return metrics, [m.eval_sequence(data) for m in metrics]


@pytest.mark.parametrize("seed", range(5))
def test_equals_trackeval_on_one_class(seed):
    truths, detections = random_flight(seed)
    frames = frames_of_class(list(zip(truths, detections, strict=True)), 0)
    found = count_sequence(frames).metrics()
    _, (hota, identity, clear) = reference(frames)
    assert found["HOTA"] == pytest.approx(hota["HOTA"].mean(), abs=1e-9)
    assert found["DetA"] == pytest.approx(hota["DetA"].mean(), abs=1e-9)
    assert found["AssA"] == pytest.approx(hota["AssA"].mean(), abs=1e-9)
    assert found["LocA"] == pytest.approx(hota["LocA"].mean(), abs=1e-9)
    for name in ("IDF1", "IDP", "IDR"):
        assert found[name] == pytest.approx(identity[name], abs=1e-9)
    assert found["MOTA"] == pytest.approx(clear["MOTA"], abs=1e-9)
    assert (found["id_switches"], found["fragments"]) == (clear["IDSW"], clear["Frag"])
    assert (found["found"], found["missed"], found["false"]) == (clear["CLR_TP"], clear["CLR_FN"], clear["CLR_FP"])
    assert found["id_switches"] > 0
    assert 0.2 < found["HOTA"] < 0.9


def test_flights_and_classes_combine_as_in_trackeval():
    flights = [random_flight(seed) for seed in (11, 12, 13)]
    found = tracking_metrics(flights, ["car", "bus"])
    by_class = []
    for class_id in range(2):
        results = [reference(frames_of_class(list(zip(*f, strict=True)), class_id)) for f in flights]
        hota, identity, _ = results[0][0]
        by_flight = [{i: result[1][k] for i, result in enumerate(results)} for k in range(2)]
        by_class.append([hota.combine_sequences(by_flight[0]), identity.combine_sequences(by_flight[1])])
    for class_id, name in enumerate(("car", "bus")):
        expected = by_class[class_id][0]["HOTA"].mean()
        assert found["per_class"][name]["HOTA"] == pytest.approx(expected, abs=1e-9)
    combined = hota.combine_classes_det_averaged({i: c[0] for i, c in enumerate(by_class)})
    assert found["HOTA"] == pytest.approx(combined["HOTA"].mean(), abs=1e-9)
    combined = identity.combine_classes_det_averaged({i: c[1] for i, c in enumerate(by_class)})
    assert found["IDF1"] == pytest.approx(combined["IDF1"], abs=1e-9)


def flight(ids, truth_ids=None):
    """One standing object, found perfectly under the given ids; None where it was not found."""
    box = [[0, 0, 10, 10]]
    truths = [ImageTruth(box, [0], track_ids=[t]) for t in truth_ids or [1] * len(ids)]
    found = [Detections(box, [0.9], [0], [i]) if i is not None else Detections.empty() for i in ids]
    return truths, found


def test_one_switch_in_the_middle_by_hand():
    metrics = tracking_metrics([flight([7, 7, 8, 8])], ["car"])
    # Each half has TPA 2, FNA 2, FPA 0: AssA 1/2, DetA 1, so HOTA is the root of 1/2. IDTP 2, IDFN 2, IDFP 2.
    assert metrics["HOTA"] == pytest.approx(np.sqrt(0.5))
    assert metrics["IDF1"] == pytest.approx(0.5)
    assert (metrics["id_switches"], metrics["MOTA"]) == (1, 0.75)


def test_a_gap_is_a_miss_and_no_switch():
    metrics = tracking_metrics([flight([7, None, 7, 7])], ["car"])
    assert (metrics["missed"], metrics["id_switches"]) == (1, 0)


def test_what_was_found_on_ignored_objects_or_without_an_id_does_not_count():
    truth = ImageTruth([[0, 0, 10, 10], [50, 50, 90, 90]], [0, 0], [False, True], track_ids=[1, 2])
    found = Detections([[0, 0, 10, 10], [60, 60, 70, 70], [200, 0, 220, 20]], [0.9] * 3, [0] * 3, [5, 6, -1])
    metrics = tracking_metrics([([truth], [found])], ["car"])
    assert (metrics["HOTA"], metrics["false"], metrics["missed"]) == (pytest.approx(1.0), 0, 0)


def test_nothing_at_all_is_undefined_and_nothing_found_is_zero():
    empty = ([ImageTruth.empty()], [Detections.empty()])
    assert tracking_metrics([empty], ["car"])["HOTA"] is None
    assert tracking_metrics([flight([None, None])], ["car"])["HOTA"] == 0.0
