"""Training from a recipe on drawn pictures: what it writes, that a resume is exact, that it learns."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from uav_perception.cli.main import main
from uav_perception.datasets.errors import DatasetError
from uav_perception.simulation.detection_set import write_detection_set
from uav_perception.training.checkpoints import DetectorCheckpoint, load_detector, read_detector, write_detector
from uav_perception.training.detector import build, run_training
from uav_perception.training.errors import CheckpointError, RecipeError
from uav_perception.training.schedule import Schedule, parameter_groups


def draw_set(folder: Path, count: int, size: int = 96, seed: int = 0) -> dict[str, object]:
    """Pictures of rectangles and ellipses on noise, with a COCO file; returns the recipe's description of them."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    images, annotations = [], []
    for number in range(count):
        image = rng.integers(60, 120, (size, size, 3), dtype=np.uint8)
        for _ in range(3):
            w, h = rng.integers(16, size // 2, 2)
            x, y = rng.integers(0, size - w), rng.integers(0, size - h)
            category = int(rng.integers(2))
            if category:
                cv2.ellipse(
                    image, (int(x + w / 2), int(y + h / 2)), (int(w / 2), int(h / 2)), 0, 0, 360, (0, 0, 255), -1
                )
            else:
                cv2.rectangle(image, (int(x), int(y)), (int(x + w - 1), int(y + h - 1)), (255, 200, 0), -1)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": category + 1,
                    "bbox": [int(x), int(y), int(w), int(h)],
                    "iscrowd": 0,
                }
            )
        cv2.imwrite(str(folder / f"{number}.png"), image)
        images.append({"id": number, "file_name": f"{number}.png", "width": size, "height": size})
    names = [{"id": 1, "name": "rectangle"}, {"id": 2, "name": "ellipse"}]
    content = {"images": images, "annotations": annotations, "categories": names}
    (folder / "coco.json").write_text(json.dumps(content), encoding="utf-8")
    return {"format": "coco", "annotations": str(folder / "coco.json"), "images": str(folder)}


@pytest.fixture
def recipe(tmp_path):
    drawn = draw_set(tmp_path / "drawn", 4, size=64)
    return {
        "model": {
            "backbone": "mobilenet_v3_small",
            "frozen_stages": 0,
            "norm_eval": False,
            "neck_channels": 32,
            "head_channels": 32,
            "stacked_convs": 1,
            "groups": 8,
            "levels": 3,
        },
        "data": {"train": drawn, "val": drawn, "test_long_side": 0, "test_short_side": 0, "test_batch": 2},
        "augmentation": {"long_side": 0, "colour": 0.2},
        "training": {"epochs": 2, "batch_size": 2, "workers": 0, "warmup": 1, "drops": [1], "reference_batch": 0},
    }


def weights(path):
    return read_detector(path).detector.state_dict()


def test_a_run_leaves_detector_logs_state_and_metrics(recipe, tmp_path):
    assert run_training(recipe, tmp_path / "run") == 0
    run = tmp_path / "run"
    checkpoint = read_detector(run / "detector.pt")
    assert checkpoint.class_names == ("rectangle", "ellipse")
    assert checkpoint.recipe == recipe
    assert set(checkpoint.metrics) == {"images", "coco", "visdrone"}
    assert checkpoint.made["versions"]["torch"] == torch.__version__
    assert json.loads((run / "metrics.json").read_text())["images"] == 4
    log = (run / "logs" / "metrics.csv").read_text()
    assert all(name in log.splitlines()[0] for name in ("loss_class", "step_seconds", "memory_mib", "learning_rate"))
    assert (run / "state" / "last.ckpt").is_file()
    assert list((run / "tensorboard").glob("events*"))
    assert (run / "recipe.yaml").is_file()
    with pytest.raises(RecipeError, match="already holds a run; add --resume"):
        run_training(recipe, run)
    with pytest.raises(RecipeError, match="nothing to resume"):
        run_training(recipe, tmp_path / "other", resume=True)
    with pytest.raises(RecipeError, match="is a run with another model section: resume with its own recipe"):
        run_training(recipe | {"model": recipe["model"] | {"neck_channels": 64}}, run, resume=True)
    assert run_training(recipe, run, resume=True) == 0  # nothing is left to do
    assert read_detector(run / "detector.pt").metrics == checkpoint.metrics


class PowerCutError(Exception):
    """Stands for the power cut."""


@pytest.mark.parametrize("workers", [0, 2])
def test_epochs_differ_and_a_resumed_run_is_the_uninterrupted_one(recipe, tmp_path, monkeypatch, workers):
    from uav_perception.training.detector_module import DetectorModule

    del recipe["data"]["val"]
    recipe["training"] |= {"epochs": 3, "workers": workers}
    write_detector(
        tmp_path / "teacher.pt",
        DetectorCheckpoint(build(recipe, tmp_path).module.detector, ("rectangle", "ellipse")),
    )
    recipe["teacher"] = {"checkpoint": str(tmp_path / "teacher.pt")}
    recipe["distillation"] = {"method": "ld_ours"}  # draws masks
    step, seen, cut_at = DetectorModule.training_step, [], 3

    def watched(module, batch, batch_idx):
        if module.current_epoch == cut_at:
            raise PowerCutError
        seen.append((module.current_epoch, batch.indices, batch.images.sum().item()))
        return step(module, batch, batch_idx)

    monkeypatch.setattr(DetectorModule, "training_step", watched)
    run_training(recipe, tmp_path / "whole")
    uninterrupted, seen, cut_at = seen, [], 2
    with pytest.raises(PowerCutError):
        run_training(recipe, tmp_path / "cut")
    cut_at = 3
    run_training(recipe, tmp_path / "cut", resume=True)
    assert seen == uninterrupted
    pictures = [sorted(total for epoch, _, total in seen if epoch == number) for number in range(3)]
    assert pictures[0] != pictures[1] != pictures[2] != pictures[0]  # augmented anew
    whole, resumed = weights(tmp_path / "whole" / "detector.pt"), weights(tmp_path / "cut" / "detector.pt")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    logs = [(tmp_path / "cut" / "logs" / name).read_text().splitlines() for name in ("metrics_1.csv", "metrics.csv")]
    assert [len(lines) for lines in logs] == [1 + 2, 1 + 1]  # a header, every second of the six steps


def test_the_command_trains_and_exports(recipe, tmp_path, capsys):
    import yaml

    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    arguments = ["train", "detector", "--config", str(tmp_path / "tiny.yaml"), "--output", str(tmp_path / "run")]
    assert main([*arguments, "--set", "training.epochs=1"]) == 0
    assert read_detector(tmp_path / "run" / "detector.pt").recipe["training"]["epochs"] == 1
    onnx = tmp_path / "tiny.onnx"
    assert main(["export", str(tmp_path / "run" / "detector.pt"), str(onnx), "--size", "64x64"]) == 0
    assert "decoder gfl, 64x64, 2 classes" in capsys.readouterr().out
    assert onnx.is_file()


def test_two_processes_train_one_detector(recipe, tmp_path):
    import yaml

    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(recipe | {"augmentation": {"long_side": 0}}), encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "uav_perception", "train", "detector", "--config", str(tmp_path / "tiny.yaml")]
    command += ["--output", str(tmp_path / "run"), "--set", "training.epochs=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-3000:]
    checkpoint = read_detector(tmp_path / "run" / "detector.pt")
    assert checkpoint.metrics["images"] == 4  # both processes' halves


def test_fine_tuning_starts_from_the_tensors_that_fit(recipe, tmp_path):
    run_training(recipe | {"data": {"train": recipe["data"]["train"]}}, tmp_path / "first")
    path = tmp_path / "first" / "detector.pt"
    again = build(recipe | {"initial": {"checkpoint": str(path)}}, tmp_path / "second").module.detector.state_dict()
    assert all(torch.equal(again[name], value) for name, value in weights(path).items())
    wider = recipe | {"model": recipe["model"] | {"head_channels": 64}, "initial": {"checkpoint": str(path)}}
    mixed = build(wider, tmp_path / "third").module.detector.state_dict()
    assert torch.equal(mixed["neck.laterals.0.weight"], weights(path)["neck.laterals.0.weight"])


@pytest.mark.parametrize("method", ["ld_ours", "fgd"])
def test_a_teacher_adds_its_losses_and_stays_out_of_the_checkpoint(recipe, tmp_path, method):
    teacher = build(recipe, tmp_path).module.detector
    write_detector(tmp_path / "teacher.pt", DetectorCheckpoint(teacher, ("rectangle", "ellipse")))
    student = recipe | {
        "teacher": {"checkpoint": str(tmp_path / "teacher.pt")},
        "distillation": {"method": method, "inherit": True},
        "training": recipe["training"] | {"epochs": 1},
    }
    run_training(student, tmp_path / "run")
    columns = (tmp_path / "run" / "logs" / "metrics.csv").read_text().splitlines()[0].split(",")
    assert any(name.startswith(method.split("_")[0]) for name in columns), columns
    assert weights(tmp_path / "run" / "detector.pt").keys() == teacher.state_dict().keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modle": {}}, "Unknown sections modle"),
        ({"training": {"epochs": 0}}, "training.epochs must be at least 1, not 0"),
        ({"training": {"optimizer": "lion"}}, "no optimizer 'lion'; choose sgd or adamw"),
        ({"distillation": {"method": "ld"}}, r"needs a trained teacher; set teacher.checkpoint=FILE"),
        ({"model": {"num_classes": 7}}, "num_classes is 7, but the data have 2"),
        ({"augmentation": {"rotate": 3}}, "augmentation has no key 'rotate'"),
        ({"augmentation": {"short_sides": 800}}, r"augmentation\.short_sides must be a list, not 800"),
        ({"augmentation": {"multiscale": "uniform"}}, "multiscale is 'uniform'; choose value or range"),
        ({"augmentation": {"crop": [640]}}, "crop is .640,.; give width and height"),
        ({"augmentation": {"scale_range": [1.5, 0.5]}}, "the smallest and the largest factor"),
        ({"augmentation": {"mosaic": 2}}, r"mosaic is 2\.0; it must lie in \[0, 1\]"),
        ({"data": {"train": {}, "test_short_side": 0}}, "must both be above 0, or both 0"),
        ({"training": {"precision": "fp16"}}, "training.precision is 'fp16'; choose one of 32, 32-true"),
        ({"model": {"neck_channels": "wide"}}, r"model\.neck_channels must be int, not 'wide'"),
        ({"data": {"train": "data/coco"}}, r"data\.train must be a mapping of keys, not 'data/coco'"),
    ],
)
def test_recipes_that_cannot_work_are_refused(recipe, tmp_path, change, message):
    with pytest.raises((RecipeError, DatasetError), match=message):
        build(recipe | change, tmp_path)


def test_other_files_and_wrong_weights_are_refused(recipe, tmp_path):
    detector = build(recipe, tmp_path).module.detector
    with pytest.raises(CheckpointError, match="has 2 classes, but 1 names"):
        write_detector(tmp_path / "a.pt", DetectorCheckpoint(detector, ("one",)))
    write_detector(tmp_path / "a.pt", DetectorCheckpoint(detector, ("one", "two")))
    assert load_detector(tmp_path / "a.pt").config == detector.config
    content = torch.load(tmp_path / "a.pt", weights_only=True)
    torch.save(content | {"config": content["config"] | {"neck_channels": 64}}, tmp_path / "wide.pt")
    with pytest.raises(CheckpointError, match="does not fit the detector it describes"):
        read_detector(tmp_path / "wide.pt")
    torch.save({"weights": 1}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="no detector checkpoint of this package"):
        read_detector(tmp_path / "other.pt")
    (tmp_path / "half.pt").write_bytes((tmp_path / "a.pt").read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="damaged"):
        read_detector(tmp_path / "half.pt")
    torch.save({"format": Path}, tmp_path / "code.pt")
    with pytest.raises(CheckpointError, match="holds more than tensors"):
        read_detector(tmp_path / "code.pt")


def test_the_schedule_is_the_published_one():
    schedule = Schedule(epochs=12, steps_per_epoch=1000, warmup=500, warmup_factor=0.001, drops=(8, 11))
    assert schedule(0) == pytest.approx(0.001)
    assert schedule(250) == pytest.approx(0.5005)
    assert [schedule(step) for step in (500, 7999, 8000, 10999, 11000)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    cosine = Schedule(epochs=2, steps_per_epoch=100, warmup=0, kind="cosine", final_factor=0.01)
    assert [cosine(step) for step in (0, 100, 200)] == pytest.approx([1, 0.505, 0.01])


def test_fcos_biases_learn_faster_and_do_not_decay():
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))
    weight, bias, norm = parameter_groups(network, 0.01, 1e-4, bias_rate=2, bias_decay=0)
    assert (weight["lr"], weight["weight_decay"]) == (0.01, 1e-4)
    assert (bias["lr"], bias["weight_decay"]) == (0.02, 0)
    assert len(norm["params"]) == 2


@pytest.mark.slow
def test_gfl_r18_overfits_sixteen_simulated_images(tmp_path):
    write_detection_set(tmp_path / "simulated", images=16, seed=0, width=160, height=96)
    files = {"annotations": tmp_path / "simulated/coco.json", "images": tmp_path / "simulated/images"}
    simulated = {"format": "coco"} | {name: str(path) for name, path in files.items()}
    recipe = {
        "model": {
            "backbone": "resnet18",
            "frozen_stages": 0,
            "norm_eval": False,
            "neck_channels": 48,
            "head_channels": 48,
            "stacked_convs": 2,
            "groups": 16,
            "finest_stride": 4,  # people of 6 px fall between the centres of a coarser grid
            "anchor_scale": 4.0,
        },
        "data": {
            "train": simulated,
            "val": simulated,
            "test_long_side": 0,
            "test_short_side": 0,
            "test_batch": 8,
            "repeats": 20,
        },
        "augmentation": {"long_side": 0, "flip": 0.0},
        "training": {
            "epochs": 8,
            "batch_size": 8,
            "learning_rate": 0.001,
            "reference_batch": 0,
            "optimizer": "adamw",
            "schedule": "cosine",
            "warmup": 10,
            "validate_every": 8,
            "channels_last": True,
            "workers": 0,
        },
    }
    run_training(recipe, tmp_path / "run")
    assert read_detector(tmp_path / "run" / "detector.pt").metrics["coco"]["AP50"] > 0.95
