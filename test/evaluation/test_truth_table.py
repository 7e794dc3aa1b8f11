import pytest

from uav_perception.evaluation.errors import TruthError
from uav_perception.evaluation.source import EncodedImage
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.evaluation.truth_table import LabelledSpan, TruthTable, match_images, renamed, segments_of


def images(*stamps):
    return [EncodedImage(i, f"frame{i}", stamp, lambda: None) for i, stamp in enumerate(stamps)]


CAR = ImageTruth([[0, 0, 10, 10], [5, 5, 9, 9]], [0, 1])


def test_by_stamp_the_nearest_within_tolerance():
    table = TruthTable("truth", ("car", "bus"), "stamp", {1000: CAR, 2009: CAR, 9000: CAR})
    matched = match_images(images(1000, 2000, 3000), table, ("bus", "car"), tolerance_ns=10)
    assert [t is not None for t in matched.truths] == [True, True, False]
    assert matched.truths[0].class_ids.tolist() == [1, 0]
    assert (matched.images_without_truth, matched.truths_without_image) == (1, 1)
    assert matched.warnings("truth") == [
        "1 of 3 images have no truth in truth and are not judged",
        "1 entries of truth belong to no image of the recording",
    ]


@pytest.mark.parametrize(("key", "keys"), [("index", (0, 2)), ("name", ("frame0", "frame2"))])
def test_by_index_and_by_name(key, keys):
    table = TruthTable("truth", ("car", "bus"), key, dict.fromkeys(keys, CAR))
    matched = match_images(images(0, 1, 2), table, ("car", "bus"), 0)
    assert [t is not None for t in matched.truths] == [True, False, True]


def test_classes_are_matched_by_name_and_the_rest_is_left_out_and_named():
    table = TruthTable("truth", ("Car", "tank"), "index", {0: CAR})
    matched = match_images(images(0), table, ("car",), 0)
    assert matched.truths[0].class_ids.tolist() == [0]
    assert matched.warnings("truth") == ["objects of classes that the model does not have are left out: tank (1)"]
    with pytest.raises(
        TruthError, match=r"has the classes Car, tank, and the model has none of them; it knows dog\. R"
    ):
        match_images(images(0), table, ("dog",), 0)


def test_renaming_joins_classes():
    table = renamed(TruthTable("truth", ("human", "man"), "index", {0: CAR}), {"human": "person", "man": "person"})
    assert match_images(images(0), table, ("person",), 0).truths[0].class_ids.tolist() == [0, 0]
    with pytest.raises(TruthError, match="renames 'cat', which truth does not have; it has human, man"):
        renamed(TruthTable("truth", ("human", "man")), {"cat": "dog"})


def test_nothing_that_matches_is_an_error_that_shows_both_sides():
    table = TruthTable("truth.json", ("car",), "stamp", {5_000_000_000: ImageTruth.empty()})
    with pytest.raises(TruthError, match=r"Not one of 2 images .* 0\.000000 to 1\.000000 s.* from 5\.000000 .*1 ms"):
        match_images(images(0, 10**9), table, ("car",), 10**6)
    table = TruthTable("truth.json", ("car",), "name", {"other": ImageTruth.empty()})
    with pytest.raises(TruthError, match="matched by name: the first image is 'frame0', the truth's first is 'other'"):
        match_images(images(0), table, ("car",), 0)
    with pytest.raises(TruthError, match="is empty"):
        match_images(images(0), TruthTable("truth.json", ("car",)), ("car",), 0)


def test_spans_count_from_the_first_image_unless_they_are_stamps():
    spans = (LabelledSpan(0, 10, "walk"), LabelledSpan(20, 30, "Run", 4), LabelledSpan(20, 30, "fly"))
    found, unknown = segments_of(TruthTable("truth", spans=spans), 1000, ("walk", "run"))
    assert [(s.start_ns, s.end_ns, s.class_id) for s in found[-1]] == [(1000, 1010, 0)]
    assert [(s.start_ns, s.class_id) for s in found[4]] == [(1020, 1)]
    assert unknown == {"fly": 1}
    found, _ = segments_of(TruthTable("truth", spans=spans, spans_absolute=True), 1000, ("walk", "run"))
    assert found[-1][0].start_ns == 0


def test_merging_takes_what_is_lacking():
    boxes = TruthTable("a", ("car",), "index", {0: CAR})
    actions = TruthTable("b", spans=(LabelledSpan(0, 1, "walk"),), spans_absolute=True)
    merged = actions.merged(boxes)
    assert (merged.key, merged.class_names, len(merged.spans), merged.spans_absolute) == ("index", ("car",), 1, True)
    assert boxes.merged(actions).spans_absolute


def test_keys_are_checked():
    with pytest.raises(TruthError, match="not by 'colour'"):
        TruthTable("truth", key="colour")
