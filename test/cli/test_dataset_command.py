import json

import cv2
import numpy as np
import pytest

from uav_perception.cli.main import main
from uav_perception.networks.detector import Detector, DetectorConfig
from uav_perception.training.checkpoints import DetectorCheckpoint, write_detector


@pytest.fixture
def split(tmp_path):
    root = tmp_path / "split"
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True)
    for name in ("a", "b"):
        cv2.imwrite(str(root / "images" / f"{name}.png"), np.full((64, 96, 3), 90, np.uint8))
        (root / "annotations" / f"{name}.txt").write_text("10,5,20,10,1,4,0,0\n40,5,30,30,1,9,0,0\n")
    return root


def test_check_counts_and_names_what_is_broken(split, capsys):
    description = ["format=visdrone", f"root={split}"]
    assert main(["dataset", "check", "--decode", *description]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 images, 0 problems"
    assert "car                  2" in lines
    image = split / "images" / "a.png"
    image.write_bytes(image.read_bytes()[:60])  # the header is whole, the pixels are not
    assert main(["dataset", "check", "--decode", *description]) == 1
    broken = capsys.readouterr().out.splitlines()[0]
    assert broken.startswith("a.png") and broken.endswith("cannot be decoded")


def test_conversion_there_and_back(split, tmp_path):
    assert main(["dataset", "to-coco", str(tmp_path / "coco.json"), "format=visdrone", f"root={split}"]) == 0
    assert len(json.loads((tmp_path / "coco.json").read_text())["annotations"]) == 4
    back = ["format=coco", f"annotations={tmp_path / 'coco.json'}", f"images={split / 'images'}"]
    assert main(["dataset", "to-visdrone", str(tmp_path / "back"), *back]) == 0
    for name in ("a", "b"):
        assert (tmp_path / "back" / "annotations" / f"{name}.txt").read_text() == (
            split / "annotations" / f"{name}.txt"
        ).read_text()


def test_tiles_are_a_data_set(split, tmp_path, capsys):
    command = ["dataset", "tile", str(tmp_path / "tiles"), "--tile", "64", "--overlap", "16"]
    assert main([*command, "format=visdrone", f"root={split}"]) == 0
    assert "4 tiles of 2 images" in capsys.readouterr().out
    tiles = ["format=coco", f"annotations={tmp_path / 'tiles' / 'coco.json'}", f"images={tmp_path / 'tiles'}"]
    assert main(["dataset", "check", "--decode", *tiles]) == 0


def test_evaluation_prints_both_protocols_side_by_side(split, tmp_path, capsys):
    detector = Detector(DetectorConfig(10, neck_channels=32, head_channels=32, stacked_convs=1, groups=8))
    names = ("pedestrian", "people", "bicycle", "car", "van", "truck", "tricycle", "awning-tricycle", "bus", "motor")
    write_detector(tmp_path / "detector.pt", DetectorCheckpoint(detector, names, (96, 64)))
    command = ["dataset", "evaluate", str(tmp_path / "detector.pt"), "--json", str(tmp_path / "metrics.json")]
    assert main([*command, "format=visdrone", f"root={split}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2 images") and lines[0].endswith("AR500")
    assert [line.split()[0] for line in lines[1:]] == ["coco", "visdrone"]
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert set(written) == {"images", "coco", "visdrone", "made"}
    with (split / "annotations" / "a.txt").open("a") as lines:
        lines.write("0,0,8,8,0,0,0,0\n")  # an ignore region
    assert main([*command, "format=visdrone", f"root={split}"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == ["coco", "visdrone", "uavdt"]
    write_detector(tmp_path / "other.pt", DetectorCheckpoint(Detector(DetectorConfig(1)), ("dog",)))
    assert main(["dataset", "evaluate", str(tmp_path / "other.pt"), "format=visdrone", f"root={split}"]) == 1
    assert "knows the classes dog" in capsys.readouterr().err


def test_a_malformed_description_shows_the_form(capsys):
    with pytest.raises(SystemExit):
        main(["dataset", "check", "visdrone"])
    assert "format=visdrone root=DIR" in capsys.readouterr().err


def test_options_of_the_formats_are_read(split, tmp_path, capsys):
    assert main(["dataset", "to-coco", str(tmp_path / "all.json"), "format=visdrone", f"root={split}"]) == 0
    description = ["format=coco", f"annotations={tmp_path / 'all.json'}", f"images={split / 'images'}"]
    capsys.readouterr()
    assert main(["dataset", "check", *description, "class_names=bus,car"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == ["bus", "car"]
    uavdt = ["format=uavdt", "images=x", "annotations=y", "split=test", "every=two"]
    assert main(["dataset", "check", *uavdt]) == 1
    assert "every=two: it must be a whole number, at least 1" in capsys.readouterr().err
