"""Detection data sets: VisDrone files, COCO file, determinism."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from uav_perception.simulation.classes import DETECTION_CLASSES, VISDRONE_CATEGORY
from uav_perception.simulation.detection_set import render_scene, visdrone_line, write_detection_set
from uav_perception.simulation.errors import SimulationError
from uav_perception.simulation.truth import VisibleObject


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets") / "detection"
    write_detection_set(folder, images=5, seed=21, width=160, height=96)
    return folder


def test_visdrone_layout(data_set):
    images = sorted((data_set / "images").glob("*.jpg"))
    annotations = sorted((data_set / "annotations").glob("*.txt"))
    assert [p.stem for p in images] == [p.stem for p in annotations] == [f"{i:07d}" for i in range(1, 6)]
    assert cv2.imread(str(images[0])).shape == (96, 160, 3)
    rows = [line.split(",") for path in annotations for line in path.read_text().splitlines()]
    assert len(rows) > 5
    for row in rows:
        left, top, width, height, score, category, truncation, occlusion = map(int, row)
        assert left >= 0 and top >= 0 and left + width <= 160 and top + height <= 96 and min(width, height) > 0
        assert (score, category) == (0, 0) or (score == 1 and category in VISDRONE_CATEGORY.values())
        assert truncation in (0, 1) and occlusion in (0, 1, 2)


def test_coco_file_says_the_same(data_set):
    coco = COCO(str(data_set / "coco.json"))
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == list(DETECTION_CLASSES)
    for image in coco.loadImgs(coco.getImgIds()):
        assert (data_set / "images" / image["file_name"]).is_file() and image["width"] == 160
        lines = (data_set / "annotations" / image["file_name"]).with_suffix(".txt").read_text().splitlines()
        boxes = [[int(v) for v in line.split(",")[:4]] for line in lines]
        annotations = coco.loadAnns(coco.getAnnIds(image["id"]))
        assert [a["bbox"] for a in annotations] == boxes
        for annotation, line in zip(annotations, lines, strict=True):
            assert annotation["iscrowd"] == 1 - int(line.split(",")[4])
    assert json.loads((data_set / "simulation.json").read_text())["parameters"]["seed"] == 21


def test_the_same_seed_gives_the_same_images():
    one, two = (render_scene(21, 0, 2, 160, 96) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        assert a.objects == b.objects
    assert not np.array_equal(one[0].image, one[1].image)


def test_visdrone_line_by_hand():
    seen = VisibleObject(entity=3, class_id=5, box=(10, 20, 40, 60), pixels=900, truncated=0.2, occluded=0.3)
    assert visdrone_line(seen) == "10,20,30,40,1,9,1,1"
    hidden = VisibleObject(entity=3, class_id=0, box=(10, 20, 13, 60), pixels=90, truncated=0.0, occluded=0.0)
    assert visdrone_line(hidden) == "10,20,3,40,0,0,0,0"


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"images": 0}, "at least one image, but 0"), ({"images": 5, "width": 8}, "16x16 pixels, but got 8x384")],
)
def test_impossible_data_sets_are_refused_and_claim_nothing(tmp_path, fields, message):
    with pytest.raises(SimulationError, match=message):
        write_detection_set(tmp_path / "set", seed=1, **fields)
    assert not (tmp_path / "set").exists()


def test_another_data_set_is_not_overwritten(data_set, tmp_path):
    with pytest.raises(SimulationError, match=r"another data set \(seed 21 instead of 22\)"):
        write_detection_set(data_set, images=5, seed=22, width=160, height=96)
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(SimulationError, match="not empty and was not made by this command"):
        write_detection_set(tmp_path, images=5, seed=22)
    with pytest.raises(SimulationError, match="at least 1, got 0"):
        write_detection_set(tmp_path / "new", images=5, seed=22, jobs=0)
