"""Teacher and student through `train detector`: what a user does, on eight tiny images."""

import json

import cv2
import numpy as np
import pytest
import torch
import yaml

from uav_perception.cli.main import main
from uav_perception.training.checkpoints import read_detector

SMALL = {
    "head": "gfl",
    "backbone": "mobilenet_v3_small",
    "frozen_stages": 0,
    "norm_eval": False,
    "neck_channels": 16,
    "head_channels": 16,
    "groups": 4,
    "stacked_convs": 1,
    "reg_max": 8,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data, a base recipe and a trained teacher."""
    root = tmp_path_factory.mktemp("training")
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(4):
        picture = rng.integers(90, 110, (64, 64, 3), dtype=np.uint8)
        x, y = (int(value) for value in rng.integers(4, 36, 2))
        picture[y : y + 20, x : x + 20] = (0, 0, 255)
        cv2.imwrite(str(root / f"{number}.png"), picture)
        images.append({"id": number, "file_name": f"{number}.png", "width": 64, "height": 64})
        annotations.append({"id": number, "image_id": number, "category_id": 1, "bbox": [x, y, 20, 20], "iscrowd": 0})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "car"}]}
    (root / "coco.json").write_text(json.dumps(content))
    data = {"format": "coco", "annotations": str(root / "coco.json"), "images": str(root)}
    base = {
        "data": {"train": data, "test_long_side": 0, "test_short_side": 0, "repeats": 6},  # 12 steps: logged every 10
        "augmentation": {"long_side": 0},
        "model": SMALL,
        "training": {"epochs": 1, "batch_size": 2, "workers": 0, "clip": 10.0, "warmup": 0},
    }
    (root / "base.yaml").write_text(yaml.safe_dump(base))
    assert main(["train", "detector", "--config", str(root / "base.yaml"), "--output", str(root / "teacher")]) == 0
    return root


def train(folder, name, **recipe):
    recipe |= {"base": "base.yaml", "teacher": {"checkpoint": str(folder / "teacher" / "detector.pt")}}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    return main(["train", "detector", "--config", str(folder / f"{name}.yaml"), "--output", str(folder / name)])


def test_a_student_learns_beside_its_teacher(folder):
    before = (folder / "teacher" / "detector.pt").read_bytes()
    assert train(folder, "ours", model={"fusion": "light_ml"}, distillation={"method": "ld_ours"}) == 0
    student = read_detector(folder / "ours" / "detector.pt").detector
    assert student.config.fusion == "light_ml"
    assert (folder / "teacher" / "detector.pt").read_bytes() == before
    logged = (folder / "ours" / "logs" / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"ld_main", "ld_region", "ld_class", "cid_global", "loss_box"} <= set(logged)
    state = torch.load(folder / "ours" / "state" / "last.ckpt", weights_only=True)["state_dict"]
    assert not any("teacher" in name for name in state)
    assert any(name.startswith("distiller.method.global_term") for name in state)  # resuming needs the generator


def test_inheriting_starts_from_the_teachers_neck(folder):
    no_step = {"learning_rate": 0.0}
    assert train(folder, "heir", distillation={"method": "fgd", "inherit": True}, training=no_step) == 0
    teacher = read_detector(folder / "teacher" / "detector.pt").detector
    student = read_detector(folder / "heir" / "detector.pt").detector
    for own, other in zip(student.neck.parameters(), teacher.neck.parameters(), strict=True):
        assert torch.equal(own, other)


def test_a_missing_teacher_is_named(folder, capsys):
    (folder / "alone.yaml").write_text(yaml.safe_dump({"base": "base.yaml", "distillation": {"method": "ld"}}))
    assert main(["train", "detector", "--config", str(folder / "alone.yaml"), "--output", str(folder / "alone")]) == 1
    assert "teacher.checkpoint" in capsys.readouterr().err
