"""Videos, pictures and data sets in their published layouts, through the same command."""

import json

import cv2
import numpy as np
import pytest
from flight_bags import CELL, HEIGHT, WIDTH, scene, write_action_model, write_detector

from uav_perception.cli.main import main
from uav_perception.evaluation.clips import clip_metrics, segment_centres
from uav_perception.evaluation.errors import RecordingError, TruthError
from uav_perception.evaluation.picture_files import Pictures, Video, picture_files
from uav_perception.evaluation.record import ClipResults
from uav_perception.evaluation.recordings import find_recordings, truth_file
from uav_perception.frames.errors import FrameError


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return write_detector(root / "detector.onnx", wrong_boxes=1), write_action_model(root / "actions.onnx")


def evaluated(out, *arguments):
    assert main(["evaluate", *map(str, arguments), "--out", str(out), "--gallery", "2"]) == 0
    return json.loads((out / "metrics.json").read_text())


def write_pictures(folder, count, name="{:04d}.png"):
    folder.mkdir(parents=True)
    for i in range(count):
        cv2.imwrite(str(folder / name.format(i + 1)), scene(i)[0])


def car(i):
    column = i // 4 % 8
    return column * CELL, 2 * CELL, CELL, CELL


def test_visdrone_layout_in_slices_equals_the_whole(models, tmp_path, monkeypatch):
    root = tmp_path / "VisDrone2019-DET-val"
    write_pictures(root / "images", 9)
    (root / "annotations").mkdir()
    for i in range(9):
        box = ",".join(map(str, car(i)))
        (root / f"annotations/{i + 1:04d}.txt").write_text(f"{box},1,4,0,0\n128,64,16,16,1,9,0,0\n0,0,14,9,0,0,0,0\n")
    arguments = (root, "--model", models[0])
    whole = evaluated(tmp_path / "whole", *arguments)
    assert whole["detection"]["coco"]["per_class"]["car"]["truths"] == 9
    assert whole["detection"]["visdrone"]["per_class"]["car"]["AP"] == pytest.approx(1.0)
    assert whole["detection"]["visdrone"]["AP"] == pytest.approx(0.5)
    assert whole["detection"]["uavdt"]["per_class"]["car"]["AP"] == pytest.approx(1.0)
    assert "UAVDT protocol" in (tmp_path / "whole/report.html").read_text()
    assert "tracking" not in whole
    monkeypatch.setattr("uav_perception.evaluation.many.SLICE", 4)
    sliced = evaluated(tmp_path / "sliced", *arguments)
    assert len(sliced["records"]) == 3
    for part in ("detection", "flights"):
        assert sliced[part] == whole[part]
    for limit in ("3", "5"):  # slices without an image, and one that is cut short
        few = evaluated(tmp_path / limit, *arguments, "--limit", limit)
        assert few["flights"][0]["images"]["processed"] == int(limit)
        assert few["flights"][0]["images"]["skipped"] == 9 - int(limit)
        timed = json.loads((tmp_path / limit / "run.json").read_text())["timing"]["stages_ms"]
        assert timed["total"]["count"] == timed["decode"]["count"] == int(limit)


def test_truth_that_is_named_wins_over_the_layouts_own(models, tmp_path):
    root = tmp_path / "set"
    write_pictures(root / "images", 2)
    (root / "annotations").mkdir()
    for i in range(2):
        (root / f"annotations/{i + 1:04d}.txt").write_text("100,0,20,20,1,4,0,0\n")
    data = {
        "images": [{"id": i, "file_name": f"{i + 1:04d}.png"} for i in range(2)],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [{"image_id": i, "category_id": 1, "bbox": list(car(i))} for i in range(2)],
    }
    (tmp_path / "truth.json").write_text(json.dumps(data))
    own = evaluated(tmp_path / "own", root, "--model", models[0])
    named = evaluated(tmp_path / "named", root, "--model", models[0], "--truth", tmp_path / "truth.json")
    assert own["detection"]["coco"]["per_class"]["car"]["AP"] == 0.0
    assert named["detection"]["coco"]["per_class"]["car"]["AP"] == pytest.approx(1.0)


def test_coco_layout(models, tmp_path):
    write_pictures(tmp_path / "images", 3)
    data = {
        "images": [{"id": i, "file_name": f"{i + 1:04d}.png", "width": WIDTH, "height": HEIGHT} for i in range(3)],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [
            {"id": i + 1, "image_id": i, "category_id": 1, "bbox": list(car(i)), "area": CELL**2} for i in range(3)
        ],
    }
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/val.json").write_text(json.dumps(data))
    metrics = evaluated(tmp_path / "out", tmp_path / "annotations/val.json", "--model", models[0])
    assert metrics["detection"]["coco"]["per_class"]["car"]["AP"] == pytest.approx(1.0)
    (tmp_path / "annotations/other.json").write_text('{"images": [{"file_name": "none.png"}]}')
    arguments = ["--model", str(models[0]), "--out", str(tmp_path / "o")]
    assert main(["evaluate", str(tmp_path / "annotations/other.json"), *arguments]) == 1


def test_uavdt_sequences_with_their_truth_folder_are_tracked(models, tmp_path):
    root = tmp_path / "UAV-benchmark-M"
    truth = tmp_path / "GT"
    truth.mkdir()
    for name in ("M0203", "M0205"):
        write_pictures(root / name, 12, "img{:06d}.png")
        rows = [f"{i + 1},7,{','.join(map(str, car(i)))},1,1,1" for i in range(12)]
        (truth / f"{name}_gt_whole.txt").write_text("\n".join(rows))
        (truth / f"{name}_gt_ignore.txt").write_text("1,-1,0,0,14,9,1,-1,-1\n")
    metrics = evaluated(tmp_path / "out", root, "--truth", truth, "--model", models[0])
    assert [f["name"] for f in metrics["flights"]] == ["M0203", "M0205"]
    assert metrics["detection"]["uavdt"]["per_class"]["car"]["AP50"] == pytest.approx(1.0)
    assert metrics["tracking"]["found"] > 0


def write_video(path, count, lamp=lambda i: False):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (WIDTH, HEIGHT))
    for i in range(count):
        writer.write(scene(i, lamp(i))[0])
    writer.release()


def test_a_video_with_action_segments(models, tmp_path):
    write_video(tmp_path / "flight.avi", 80, lambda i: i >= 40)
    (tmp_path / "actions.csv").write_text("start_s,end_s,label\n0,2,walk\n2,4,run\n")
    arguments = (tmp_path / "flight.avi", "--action-model", models[1], "--truth", tmp_path / "actions.csv")
    metrics = evaluated(tmp_path / "out", *arguments)
    assert metrics["actions"]["F1@0.5"] == pytest.approx(1.0)
    assert metrics["actions"]["detected"] == 1.0
    assert 0.0 < metrics["actions"]["time_to_detect_median_s"] < 0.8


def test_hmdb51_layout(models, tmp_path):
    splits = tmp_path / "hmdb51/testTrainMulti_7030_splits"
    splits.mkdir(parents=True)
    for label, light in (("run", True), ("walk", False)):
        for k in range(3):
            write_video(tmp_path / f"hmdb51/{label}/{label}_{k}.avi", 12, lambda i, light=light: light)
        rows = [f"{label}_{k}.avi {1 if k == 0 else 2}" for k in range(3)]
        (splits / f"{label}_test_split1.txt").write_text("\n".join(rows))
    metrics = evaluated(tmp_path / "out", tmp_path / "hmdb51", "--action-model", models[1])
    assert metrics["clips"]["clips"] == 4
    assert metrics["clips"]["top1"] == 1.0
    assert metrics["flights"][0]["images"]["total"] == 4
    assert metrics["clips"]["confusion"]["counts"][0][:2] == [2, 0]


def test_ucf101_layout(models, tmp_path):
    """Two classes spelled as the model has them but for letter case, the videos in ``UCF-101/``, two splits."""
    root = tmp_path / "UCF101"
    lists = root / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_text("1 Walk\n2 Run\n")
    for label, light in (("Walk", False), ("Run", True)):
        for k in range(1, 4):
            name = f"{label}/v_{label}_g0{k}_c01.avi"
            # The third run is dark: the model takes it for walking.
            write_video(root / "UCF-101" / name, 12, lambda i, lit=light and k < 3: lit)
    names = [f"{label}/v_{label}_g0{k}_c01.avi" for label in ("Walk", "Run") for k in range(1, 4)]
    (lists / "testlist01.txt").write_text("\n".join(names))
    (lists / "testlist02.txt").write_text("\n".join(names[:5]))
    (lists / "trainlist01.txt").write_text(f"{names[0]} 1\n{names[5]} 2\n")
    arguments = (root, "--action-model", models[1])
    test = evaluated(tmp_path / "test", *arguments)
    assert test["clips"]["clips"] == 6
    assert test["clips"]["top1"] == pytest.approx(5 / 6)
    assert test["clips"]["mean_class_accuracy"] == pytest.approx((1 + 2 / 3) / 2)
    assert test["clips"]["per_class"]["run"] == {"accuracy": pytest.approx(2 / 3), "clips": 3}
    assert test["clips"]["confusion"]["counts"] == [[2, 1, 0], [0, 3, 0], [0, 0, 0]]
    some = evaluated(tmp_path / "some", *arguments, "--every", 2, "--limit", 2)
    assert some["clips"]["per_class"] == {"walk": {"accuracy": 1.0, "clips": 2}}
    counts = some["flights"][0]["images"]
    assert (counts["total"], counts["processed"], counts["skipped"], counts["unreadable"]) == (6, 2, 4, 0)
    assert evaluated(tmp_path / "split", *arguments, "--split", 2)["clips"]["top1"] == 1.0
    assert evaluated(tmp_path / "train", *arguments, "--part", "train")["clips"]["top1"] == 0.5
    assert main(["evaluate", str(root), "--action-model", str(models[1]), "--out", str(tmp_path / "o"), "--split", "3"])


def test_pictures_of_one_name_in_several_folders_keep_their_own_truth(models, tmp_path):
    """As data sets of videos converted to COCO have them: each sequence begins with its own 0001."""
    for name in ("a", "b"):
        write_pictures(tmp_path / "images" / name, 6)
    files = [(f"{name}/{i + 1:04d}.png", i) for name in ("a", "b") for i in range(6)]
    data = {
        "images": [{"id": n, "file_name": file, "width": WIDTH, "height": HEIGHT} for n, (file, _) in enumerate(files)],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [
            # Only the second sequence was annotated.
            {"id": n + 1, "image_id": n, "category_id": 1, "bbox": list(car(i)), "area": CELL**2, "iscrowd": 0}
            for n, (file, i) in enumerate(files)
            if file.startswith("b/")
        ],
    }
    (tmp_path / "set.json").write_text(json.dumps(data))
    metrics = evaluated(tmp_path / "out", tmp_path / "set.json", "--model", models[0])
    assert metrics["detection"]["images"] == 12
    assert metrics["detection"]["coco"]["per_class"]["car"]["truths"] == 6
    # Six false ones of the first sequence before six right ones of the same score: precision 6 / 12 at every recall.
    assert metrics["detection"]["coco"]["per_class"]["car"]["AP50"] == pytest.approx(0.5)
    arguments = ["evaluate", str(tmp_path / "images/a"), "--model", str(models[0]), "--out", str(tmp_path / "o")]
    assert main([*arguments, "--truth", str(tmp_path / "set.json")]) == 1


def test_a_json_beside_its_recording_is_truth_and_reports_carry_no_folders(models, tmp_path):
    """The same flights elsewhere give the same bytes, also where something is wrong with them."""
    for place in ("here", "there"):
        root = tmp_path / place / "set"
        write_pictures(root / "shots", 4)
        (root / "shots/0002.png").write_bytes(b"no picture")
        data = {
            "images": [{"id": 0, "file_name": "0001.png"}, {"id": 1, "file_name": "0009.png"}],
            "categories": [{"id": 1, "name": "car"}],
            "annotations": [{"image_id": 0, "category_id": 1, "bbox": list(car(0))}],
        }
        (root / "shots.json").write_text(json.dumps(data))
        metrics = evaluated(tmp_path / f"out-{place}", root, "--truth", root, "--model", models[0])
        assert [flight["name"] for flight in metrics["flights"]] == ["shots"]
        assert any("in shots.json and are not judged" in w for w in metrics["flights"][0]["warnings"])
    reports = [(tmp_path / f"out-{place}/metrics.json").read_bytes() for place in ("here", "there")]
    assert reports[0] == reports[1]
    assert str(tmp_path).encode() not in reports[0]


def test_a_data_set_that_cannot_be_read_does_not_stop_the_others(models, tmp_path, capsys):
    write_pictures(tmp_path / "all/shots", 2)
    (tmp_path / "all/notes.json").write_text("{}")
    assert main(["evaluate", str(tmp_path / "all"), "--model", str(models[0]), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert "shots: 2 images = 2 processed" in said.out
    assert "notes FAILED:" in said.err
    assert "notes.json is no COCO file with images" in said.err


def test_pictures_are_taken_in_the_order_of_their_numbers(tmp_path):
    names = ["b.png", *(f"frame_{i}.png" for i in range(1, 12)), "frame_011.png"]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    expected = ["b", *(f"frame_{i}" for i in range(1, 11)), "frame_011", "frame_11"]
    assert [path.stem for path in picture_files(tmp_path)] == expected


def test_what_is_not_in_time_cannot_be_cut_in_time(models, tmp_path, capsys):
    write_pictures(tmp_path / "set/images", 2)
    (tmp_path / "set/annotations").mkdir()
    arguments = ["evaluate", str(tmp_path / "set"), "--model", str(models[0]), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--start", "1"]) == 1
    assert "set is no recording in time, so that --start and --end cannot cut it" in capsys.readouterr().err


def test_unreadable_pictures_are_counted(models, tmp_path):
    write_pictures(tmp_path / "shots", 4)
    (tmp_path / "shots/0002.png").write_bytes(b"no picture")
    (tmp_path / "shots/0003.png").write_bytes(b"")
    metrics = evaluated(tmp_path / "out", tmp_path / "shots", "--model", models[0])
    counts = metrics["flights"][0]["images"]
    assert (counts["total"], counts["processed"], counts["unreadable"]) == (4, 2, 2)
    assert "is no picture, or damaged" in counts["reasons"][0]


def test_sources_say_what_is_wrong(tmp_path):
    with pytest.raises(RecordingError, match="holds no pictures"):
        Pictures("empty", [])
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(RecordingError, match="cannot be opened as a video"):
        Video(tmp_path / "a.mp4")
    image = next(Pictures("one", [tmp_path / "gone.png"]).images())
    with pytest.raises(FrameError, match="cannot be read"):
        image.decode()


def test_the_truth_of_a_recording_is_found_by_its_name(tmp_path):
    flight = tmp_path / "flights/alpha"
    write_pictures(flight, 1)
    folder = tmp_path / "truth"
    (folder / "alpha/gt").mkdir(parents=True)
    (folder / "alpha/gt/gt.txt").write_text("")
    assert truth_file(folder, flight) == folder / "alpha/gt/gt.txt"
    (folder / "alpha.json").write_text("{}")
    assert truth_file(folder, flight) == folder / "alpha.json"
    assert truth_file(folder / "alpha.json", flight) == folder / "alpha.json"
    with pytest.raises(TruthError, match=r"holds no truth of beta: neither beta_gt_whole\.txt"):
        truth_file(folder, tmp_path / "beta")
    with pytest.raises(TruthError, match="There is no truth"):
        truth_file(tmp_path / "none", flight)
    assert [r.kind for r in find_recordings([flight])] == ["pictures"]


def test_segment_centres_and_clip_metrics_by_hand():
    assert segment_centres(30, 3) == [5, 15, 25]
    assert segment_centres(1, 3) == [0, 0, 0]
    scores = np.array([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])
    metrics = clip_metrics([ClipResults(tuple("abcd"), scores, np.array([0, 1, 0, 0]))], ("x", "y", "z"))
    assert (metrics["top1"], metrics["top5"], metrics["clips"]) == (0.75, 1.0, 4)
    assert metrics["mean_class_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert clip_metrics([], ("x",))["top1"] is None
