import json

import pytest

from uav_perception.evaluation.errors import TruthError
from uav_perception.evaluation.truth_files import UAVDT_CLASSES, VISDRONE_CLASSES, read_truth
from uav_perception.evaluation.truth_table import LabelledSpan


def written(path, text):
    path.write_text(text)
    return path


def test_visdrone_folder(tmp_path):
    written(
        tmp_path / "0001.txt",
        "10,20,30,40,1,4,0,0\n0,0,50,60,0,0,0,0\n5,5,0,9,1,4,0,0\n1,2,3,4,0,11,0,0\n7,8,9,10,0,1,0,1,\n",
    )
    table = read_truth(tmp_path, "flight")
    truth = table.images["0001"]
    assert (table.key, table.class_names) == ("name", VISDRONE_CLASSES)
    assert truth.boxes.tolist() == [[10, 20, 40, 60], [7, 8, 16, 18]]
    assert truth.class_ids.tolist() == [3, 0]
    assert truth.ignored.tolist() == [False, True]
    assert truth.ignore_regions.tolist() == [[0, 0, 50, 60]]


def test_visdrone_video(tmp_path):
    path = written(tmp_path / "uav.txt", "1,0,593,43,174,190,1,4,0,0\n3,5,0,0,10,10,0,0,0,0\n")
    table = read_truth(path, "uav")
    assert (table.key, sorted(table.images)) == ("index", [0, 2])
    assert table.images[0].track_ids.tolist() == [0]
    assert table.images[0].class_ids.tolist() == [3]
    assert len(table.images[2].ignore_regions) == 1


def test_uavdt_with_its_ignore_areas(tmp_path):
    written(tmp_path / "M0203_gt_ignore.txt", "2,-1,100,100,50,60,1,-1,-1\n")
    path = written(tmp_path / "M0203_gt_whole.txt", "1,7,10,20,30,40,1,1,3\n2,7,12,20,30,40,1,1,3\n")
    table = read_truth(path, "M0203")
    assert table.class_names == UAVDT_CLASSES
    assert table.images[0].class_ids.tolist() == [2]
    assert table.images[1].ignore_regions.tolist() == [[100, 100, 150, 160]]
    assert table.images[1].track_ids.tolist() == [7]


def test_mot_rows_that_do_not_count_are_ignored(tmp_path):
    path = written(tmp_path / "gt.txt", "1,1,10,10,20,20,1,1,0.9\n1,2,50,50,20,20,0,1,1\n1,3,90,90,20,20,1,8,1\n")
    table = read_truth(path, "x")
    assert table.images[0].ignored.tolist() == [False, True, True]
    assert table.images[0].track_ids.tolist() == [1, 2, 3]
    ten = written(tmp_path / "det.txt", "1,-1,10,10,20,20,0.9,-1,-1,-1\n")
    assert read_truth(ten, "x").class_names == ("pedestrian",)


def test_coco(tmp_path):
    data = {
        "images": [{"id": 9, "file_name": "sub/a.jpg", "width": 64, "height": 48}, {"id": 10, "file_name": "b.jpg"}],
        "categories": [{"id": 5, "name": "car"}, {"id": 2, "name": "person"}],
        "annotations": [
            {"image_id": 9, "category_id": 5, "bbox": [1, 2, 3, 4], "iscrowd": 1, "area": 7, "track_id": 3},
            {"image_id": 9, "category_id": 2, "bbox": [1, 2, 0, 4]},
        ],
    }
    table = read_truth(written(tmp_path / "truth.json", json.dumps(data)), "x")
    truth = table.images["a"]
    assert table.class_names == ("person", "car")
    assert (truth.class_ids.tolist(), truth.ignored.tolist(), truth.areas.tolist()) == ([1], [True], [7.0])
    assert (truth.width, truth.height, truth.track_ids.tolist()) == (64, 48, [3])
    assert len(table.images["b"]) == 0


def test_action_csv_after_the_first_image_and_by_stamp(tmp_path):
    path = written(tmp_path / "a.csv", "start_s, end_s, label, track_id\n0.5,1.25,walk,\n1.25,2,run,4\n")
    table = read_truth(path, "x")
    assert table.spans == (
        LabelledSpan(500_000_000, 1_250_000_000, "walk"),
        LabelledSpan(1_250_000_000, 2_000_000_000, "run", 4),
    )
    assert not table.spans_absolute
    path = written(tmp_path / "b.csv", "start_stamp,end_stamp,label\n1700000000.000000001,1700000001.5,walk\n")
    table = read_truth(path, "x")
    assert table.spans_absolute
    assert table.spans[0].start_ns == 1_700_000_000_000_000_001


def test_activitynet(tmp_path):
    data = {"database": {"flight": {"annotations": [{"segment": [1.5, 3], "label": "clap"}]}}}
    path = written(tmp_path / "t.json", json.dumps(data))
    assert read_truth(path, "flight").spans == (LabelledSpan(1_500_000_000, 3_000_000_000, "clap"),)
    with pytest.raises(TruthError, match="has no video 'other'; it has 1, such as flight"):
        read_truth(path, "other")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "no readable JSON"),
        ("a.json", "[]", "must hold a JSON object, not a list"),
        ("a.json", "{}", "no complete COCO file .*'categories'"),
        ("a.csv", "from,to\n", "has the columns from, to; action segments need"),
        ("a.csv", "start_s,end_s,label\n2,1,walk\n", "line 2: a segment needs a label and an end after its start"),
        ("a.csv", "start_s,end_s,label\nx,1,walk\n", "line 2: 'x', '1', '-1' are no start"),
        ("a.txt", "1,2,3\n", "rows of 3 columns"),
        ("a.txt", "1,2,three,4\n", r"line 1: '1,2,three,4' is no row of numbers"),
        ("a_gt_whole.txt", "1,2,3,4,5,6\n", "line 1 has 6 columns; at least 9"),
        ("a.xyz", "", "cannot be told from its suffix"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, name, text, message):
    with pytest.raises(TruthError, match=message):
        read_truth(written(tmp_path / name, text), "flight")


def test_missing_files_and_unknown_formats(tmp_path):
    with pytest.raises(TruthError, match="There is no truth file"):
        read_truth(tmp_path / "nothing.json", "x")
    with pytest.raises(TruthError, match="Unknown truth format 'kitti'"):
        read_truth(written(tmp_path / "a.txt", ""), "x", "kitti")
    (tmp_path / "empty").mkdir()
    with pytest.raises(TruthError, match=r"holds no \.txt files"):
        read_truth(tmp_path / "empty", "x")


def test_coco_with_pictures_of_one_name_cannot_be_told_apart(tmp_path):
    images = [{"id": i, "file_name": f"{folder}/0001.jpg"} for i, folder in enumerate("ab")]
    (tmp_path / "t.json").write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    with pytest.raises(TruthError, match=r"holds 1 names of pictures more than once, such as '0001'"):
        read_truth(tmp_path / "t.json", "flight")


@pytest.mark.parametrize(("name", "text"), [("gt.txt", "\n"), ("a.csv", "start_s,end_s,label\n")])
def test_a_file_that_holds_nothing_is_refused(tmp_path, name, text):
    """It would else be taken for no truth at all, and that of the bag would stand in."""
    (tmp_path / name).write_text(text)
    with pytest.raises(TruthError, match="is empty: it holds no image and no action"):
        read_truth(tmp_path / name, "flight")
