"""What a user does with a folder of clips: train, test, export, and let the stream's runtime name what is done."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from uav_perception.actions.recogniser import Recogniser
from uav_perception.cli.main import main

RECIPE = Path(__file__).parents[2] / "config" / "recipes" / "larmuv_own.yaml"
CLASSES = ("bright", "dark")


def frames(name, count, seed):
    rng = np.random.default_rng(seed)
    low, high = (140, 256) if name == "bright" else (0, 100)
    return [cv2.resize(rng.integers(low, high, (5, 6, 3), np.uint8), (60, 48)) for _ in range(count)]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Five clips a class with the names that a drone gives, 3 s at 10 Hz."""
    root = tmp_path_factory.mktemp("uav")
    for name in CLASSES:
        (root / name).mkdir()
        for number in range(5):
            path = root / name / f"DJI_{number:04d}.avi"
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (60, 48))
            for frame in frames(name, 30, number):
                writer.write(frame)
            writer.release()
    return root


def test_from_a_folder_of_clips_to_a_stream(clips, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    changes = {
        "data.root": clips,
        "network": "{weights: null, size: 32, options: {norm_momentum: 0.3, classifier_dropout: 0.0}}",
        "training": "{epochs: 4, batch: 6, workers: 0, validate_every: 0}",
        "optimizer.backbone_rate_scale": 1.0,
    }
    overrides = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    assert main(["train", "action", "--config", str(RECIPE), *overrides]) == 0
    checkpoint = tmp_path / "runs" / "larmuv_own" / "last.ckpt"
    result = json.loads(checkpoint.with_name("result.json").read_text())
    assert (result["train_clips"], result["clips"], result["class_names"]) == (6, 4, list(CLASSES))
    capsys.readouterr()
    assert main(["test-action", str(checkpoint), "--config", str(RECIPE), *overrides]) == 0
    assert f"top-1 {result['top1']:.4f}" in capsys.readouterr().out

    assert main(["export", str(checkpoint), "my_actions.onnx"]) == 0
    recogniser = Recogniser(tmp_path / "my_actions.onnx")
    contract = recogniser.model.contract
    assert (contract.class_names, recogniser.model.window_s, contract.input_width) == (CLASSES, 2.0, 32)
    assert contract.provenance["top1"] == result["top1"] and "recipe" not in contract.provenance
    for number, frame in enumerate(frames("dark", 30, 99)):
        judged = recogniser.update(frame, round(number * 1e8))
        if judged is not None:
            last = judged
    assert {score.class_name for score in last.scores} == set(CLASSES)
    assert sum(score.score for score in last.scores) == pytest.approx(1)
