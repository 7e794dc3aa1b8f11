"""The detect command on pictures, folders and videos."""

import json
import resource

import cv2
import numpy as np
import pytest

from uav_perception.cli.main import main
from uav_perception.frames.video import VideoWriter, video_info
from uav_perception.inference.contract import ModelContract, write_contract


@pytest.fixture
def model(save):
    rows = np.array([[[16, 8, 32, 16, 0.9, 1], [0, 0, 64, 32, 0.2, 0]]], np.float32)
    path = save("model", {"output0": rows})
    write_contract(path, ModelContract("detection", "test", 64, 32, ("person", "car"), "yolo_end_to_end"))
    return str(path)


@pytest.fixture
def inputs(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), np.zeros((50, 100, 3), np.uint8))
    with VideoWriter(folder / "b.mp4", 10) as writer:
        for _ in range(5):
            writer.write(np.zeros((48, 96, 3), np.uint8))
    (folder / "notes.txt").write_text("not a picture")
    return folder


def test_a_folder_of_pictures_and_videos(tmp_path, model, inputs, capsys):
    out = tmp_path / "out"
    assert main(["detect", str(inputs), "--model", model, "--out", str(out), "--scale", "2"]) == 0
    assert "6 pictures: car 6" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ["a.jpg", "b.mp4", "detections.json"]
    assert cv2.imread(str(out / "a.jpg")).shape == (100, 200, 3)
    info = video_info(out / "b.mp4")
    assert (info.width, info.height, info.fps, info.frames) == (192, 96, 10.0, 5)
    record = json.loads((out / "detections.json").read_text())
    assert record["detections"] == {"car": 6}
    picture, video = record["results"]
    assert picture["pictures"] == [
        {"width": 100, "height": 50, "detections": [
            {"box": [25.0, 12.5, 50.0, 25.0], "score": 0.9, "class_id": 1, "class_name": "car"},
        ]},
    ]  # fmt: skip
    assert [row["stamp_ns"] for row in video["pictures"]] == [100_000_000 * index for index in range(5)]
    assert set(record["median_ms"]) == {"preprocess", "inference", "postprocess"}
    assert record["provenance"]["versions"]["python"]


@pytest.mark.parametrize(("name", "message"), [("a.png", "cannot be written: File too large"), ("b.mp4", "to its end")])
def test_a_full_disk_is_said_and_leaves_nothing_unfinished(tmp_path, model, inputs, capsys, name, message):
    """A limit on the size of files stands in for the end of the disk: the same failing write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    try:
        assert main(["detect", str(inputs / name), "--model", model, "--out", str(tmp_path / "out")]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert message in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_inputs_of_one_name_get_numbers_and_no_input_is_overwritten(tmp_path, model, inputs, capsys):
    cv2.imwrite(str(inputs / "a.jpg"), np.zeros((50, 100, 3), np.uint8))
    arguments = ["--model", model, "--out"]
    assert main(["detect", str(inputs / "a.jpg"), str(inputs / "a.png"), *arguments, str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.jpg", "a_2.jpg", "detections.json"]
    before = (inputs / "a.jpg").read_bytes()
    assert main(["detect", str(inputs), *arguments, str(inputs)]) == 1
    assert "would overwrite the input" in capsys.readouterr().err
    assert (inputs / "a.jpg").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tmp}/none.jpg"], "none.jpg does not exist"),
        (["{in}/notes.txt"], "notes.txt cannot be read as a picture. Known kinds: .jpg"),
        (["{tmp}/empty"], "empty holds no pictures"),
        (["{in}/a.png", "--model", "{tmp}/none.onnx"], "none.onnx does not exist"),
        (["{in}/a.png", "--backend", "tflite"], "Unknown backend 'tflite'"),
        (["{in}/a.png", "--tile", "8", "8"], "at least 16x16 px"),
    ],
)
def test_wrong_input_is_one_line(tmp_path, model, inputs, capsys, arguments, message):
    (tmp_path / "empty").mkdir()
    given = [text.format(tmp=tmp_path, **{"in": inputs}) for text in arguments]
    named = [] if "--model" in given else ["--model", model]
    assert main(["detect", *given, *named, "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("uav-perception: ")
    assert message in error
