import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
import yaml
from action_samples import CLASSES, recipe, write_set

from uav_perception.networks.losses_action import ActionLoss
from uav_perception.training.action import freeze_batch_norm, parameter_groups, rate_factor, run_training
from uav_perception.training.action_model import load_action_checkpoint
from uav_perception.training.action_recipe import ActionRecipe, OptimizerRecipe
from uav_perception.training.action_teacher import teacher_logits
from uav_perception.training.checked import checked
from uav_perception.training.errors import CheckpointError, RecipeError


@pytest.fixture(scope="module", autouse=True)
def same_threads():
    """Sums depend on the number of threads in their last digits: runs in other processes take as many as this one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("actions") / "set"
    write_set(root)
    return root


def curve_of(folder):
    with (folder / "curve.csv").open() as lines:
        return [{key: row[key] for key in row if key != "epoch_seconds"} for row in csv.DictReader(lines)]


def weights_of(folder):
    return torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]


def write_recipe(path, values):
    path.write_text(yaml.safe_dump(values))
    return path


def command(config, output, *more):
    return [sys.executable, "-m", "uav_perception", "train", "action", "--config", config, "--output", output, *more]


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """One run in this process: three epochs."""
    folder = tmp_path_factory.mktemp("run")
    assert run_training(recipe(data, training={"epochs": 3, "batch": 4, "validate_every": 1}), folder) == 0
    return folder


def test_a_run_leaves_its_results(trained):
    folder = trained / "split1"
    result = json.loads((folder / "result.json").read_text())
    assert result["clips"] == 6 and result["train_clips"] == 12 and result["class_names"] == list(CLASSES)
    assert np.array(result["confusion"]).sum(1).tolist() == [3, 3]
    assert result["provenance"]["seed"] == 0
    assert (folder / "confusion.png").read_bytes().startswith(b"\x89PNG")
    summary = json.loads((trained / "summary.json").read_text())
    assert summary["top1"] == result["top1"]
    curve = curve_of(folder)
    assert [row["epoch"] for row in curve] == ["0", "1", "2"]
    assert all(float(row["train_loss"]) > 0 and 0 <= float(row["test_top1"]) <= 1 for row in curve)
    network, model = load_action_checkpoint(folder / "last.ckpt")
    assert (model.class_names, model.feed.size, network.training) == (CLASSES, 32, False)


def test_a_finished_run_is_not_overwritten(data, trained):
    with pytest.raises(CheckpointError, match="add --resume"):
        run_training(recipe(data), trained)


def test_another_run_is_not_resumed(data, trained):
    with pytest.raises(CheckpointError, match=r"is of a run with feed .*resume with its recipe"):
        run_training(recipe(data, network={"size": 48, "short_side": 54}), trained, resume=True)


def test_killed_and_resumed_gives_the_same(data, trained, tmp_path):
    """Kill -9 in the middle of an epoch after the first checkpoint; go on; same weights and curve to the last digit."""
    values = recipe(data, training={"epochs": 3, "batch": 4, "validate_every": 1})
    config, folder = write_recipe(tmp_path / "r.yaml", values), tmp_path / "run"
    process = subprocess.Popen(
        command(config, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    checkpoint = folder / "split1" / "last.ckpt"
    until = time.monotonic() + 300
    while not checkpoint.is_file() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert checkpoint.is_file()
    assert not (folder / "summary.json").exists(), "the run ended before it could be killed"
    done = torch.load(checkpoint, weights_only=True)["epoch"]
    assert done < 2
    assert run_training(values, folder, resume=True) == 0
    assert curve_of(folder / "split1") == curve_of(trained / "split1")
    expected = weights_of(trained / "split1")
    for name, value in weights_of(folder / "split1").items():
        assert torch.equal(value, expected[name]), name


def test_two_processes_learn_what_one_does(data, tmp_path):
    """torchrun with two gloo processes against one; batch norms frozen, dropout off, so that only rounding differs."""
    options = {"encoder_dropout": 0.0, "classifier_dropout": 0.0}
    values = recipe(
        data,
        network={"options": options},
        training={"epochs": 2, "batch": 5, "validate_every": 1, "frozen_bn": "all"},
        optimizer={"name": "sgd", "rate": 0.01},
    )
    assert run_training(values, tmp_path / "one") == 0
    config = write_recipe(tmp_path / "r.yaml", values)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*run, *command(config, tmp_path / "two")[1:]], env=environment, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = weights_of(tmp_path / "one" / "split1"), weights_of(tmp_path / "two" / "split1")
    for name, value in one.items():
        assert torch.allclose(value, two[name], atol=2e-5), name
    curves = [curve_of(tmp_path / side / "split1") for side in ("one", "two")]
    for alone, together in zip(*curves, strict=True):
        assert float(alone["test_top1"]) == float(together["test_top1"])
    results = [json.loads((tmp_path / side / "split1" / "result.json").read_text()) for side in ("one", "two")]
    assert results[0]["confusion"] == results[1]["confusion"]


def test_a_two_stream_teacher_is_cached_and_checked(data, trained, tmp_path):
    from uav_perception.training.action_data import open_source, videos_of

    checkpoint = trained / "split1" / "last.ckpt"
    values = recipe(
        data,
        teacher=[{"checkpoint": str(checkpoint), "weight": 0.25}, {"checkpoint": str(checkpoint), "weight": 0.75}],
        loss={"distillation": 0.5},
    )
    values["data"]["cache"] = str(tmp_path / "cache")
    settings = checked(ActionRecipe, values)
    _, model = load_action_checkpoint(checkpoint)
    source = open_source(videos_of(settings.data, "train", 1), settings.data, model.feed)
    fused = teacher_logits(settings.teacher, source, settings.data)
    single = teacher_logits(settings.teacher[:1], source, settings.data)
    assert fused.shape == (12, 2)
    assert torch.allclose(fused, 4 * single, atol=1e-5)  # 0.25 z + 0.75 z against 0.25 z
    kept = sorted((tmp_path / "cache").glob("teacher-*.npz"))
    assert len(kept) == 2
    times = [path.stat().st_mtime_ns for path in kept]
    assert torch.equal(teacher_logits(settings.teacher, source, settings.data), fused)
    assert [path.stat().st_mtime_ns for path in kept] == times
    assert run_training(values, tmp_path / "student") == 0
    # Logits of other frames are other logits: another window, another store.
    for change in ({"window": {"seconds": 0.3}}, {"store": "frames", "store_every": 2}):
        other = checked(ActionRecipe, values | {"data": values["data"] | change})
        assert not torch.allclose(teacher_logits(other.teacher, source, other.data), fused)
    settings.teacher[0].__dict__["checkpoint"] = str(tmp_path / "gone.ckpt")
    with pytest.raises(CheckpointError, match=r"gone\.ckpt does not exist"):
        teacher_logits(settings.teacher, source, settings.data)


@pytest.mark.parametrize(
    "options", [{"causal": True}, {"temporal_shift": True}, {"input": "rgb_difference"}, {"attention": False}]
)
def test_every_switch_trains(data, tmp_path, options):
    values = recipe(data, network={"options": options}, training={"epochs": 1, "batch": 6, "validate_every": 0})
    assert run_training(values, tmp_path) == 0
    _, model = load_action_checkpoint(tmp_path / "split1" / "last.ckpt")
    assert model.options == options


@pytest.mark.parametrize("options", [{}, {"causal": True}])
def test_mixed_precision_trains_and_its_checkpoint_loads(data, tmp_path, monkeypatch, options):
    """Convolutions in bfloat16; losses, sums and the checkpoint in float32."""
    of_convolutions, of_losses = set(), set()
    convolve, weigh = torch.nn.Conv2d.forward, ActionLoss.__call__

    def convolving(module, inputs):
        output = convolve(module, inputs)
        if module.training:
            of_convolutions.add(output.dtype)
        return output

    def weighing(loss, logits, labels, teacher=None):
        of_losses.add(logits.dtype)
        return weigh(loss, logits, labels, teacher)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", convolving)
    monkeypatch.setattr(ActionLoss, "__call__", weighing)
    values = recipe(
        data,
        network={"options": options | {"encoder_dropout": 0.0, "classifier_dropout": 0.0}},
        training={"epochs": 5, "precision": "bf16-mixed", "validate_every": 0},
    )
    assert run_training(values, tmp_path) == 0
    assert (of_convolutions, of_losses) == ({torch.bfloat16}, {torch.float32})
    losses = [float(row["train_loss"]) for row in curve_of(tmp_path / "split1")]
    assert losses[-1] < 0.7 * losses[0], losses
    network, model = load_action_checkpoint(tmp_path / "split1" / "last.ckpt")
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
    with torch.no_grad():
        assert torch.isfinite(network(torch.zeros(1, 3, 3, model.feed.size, model.feed.size))).all()


def test_a_flow_stream_trains_and_teaches_a_colour_student(tmp_path):
    """I3D on TV-L1 flow, then LARMUV distilled from it: the published pair, on the smallest clips that I3D takes."""
    write_set(tmp_path / "set", train=1, test=1)
    training = {"epochs": 1, "batch": 2, "validate_every": 0}
    values = recipe(tmp_path / "set", training=training)
    flow = {"name": "i3d_flow", "segments": 9, "size": 193, "short_side": 193}
    assert run_training(values | {"network": flow, "augmentation": {"frame_size": None}}, tmp_path / "flow") == 0
    checkpoint = tmp_path / "flow" / "split{split}" / "last.ckpt"
    taught = values | {"teacher": [{"checkpoint": str(checkpoint)}], "loss": {"distillation": 0.5}}
    assert run_training(taught, tmp_path / "student") == 0
    (kept,) = (tmp_path / "cache").glob("teacher-*.npz")
    with np.load(kept) as cached:
        assert cached["logits"].shape == (2, 2) and np.isfinite(cached["logits"]).all()
    assert run_training(values, tmp_path / "alone") == 0
    losses = [curve_of(tmp_path / run / "split1")[0]["train_loss"] for run in ("student", "alone")]
    assert losses[0] != losses[1]


def test_a_tsn_baseline_trains_and_is_tested_by_the_classic_protocol(data, tmp_path, capsys):
    """25 segments x 10 crops after training on 3; a finished split is not repeated, a changed recipe is."""
    values = recipe(data, training={"epochs": 1, "batch": 6, "validate_every": 0, "protocol": "classic"})
    values["network"] = {"name": "resnet18", "size": 32, "short_side": 36}
    assert run_training(values, tmp_path) == 0
    result = json.loads((tmp_path / "split1" / "result.json").read_text())
    assert (result["network"], result["protocol"], result["clips"]) == ("resnet18", "classic", 6)
    network, _ = load_action_checkpoint(tmp_path / "split1" / "last.ckpt")
    assert network(torch.zeros(1, 25, 3, 32, 32)).shape == (1, 2)
    assert run_training(values, tmp_path, resume=True) == 0
    assert json.loads((tmp_path / "split1" / "result.json").read_text()) == result
    assert run_training(values | {"training": values["training"] | {"epochs": 2}}, tmp_path, resume=True) == 0
    assert len(curve_of(tmp_path / "split1")) == 2


def test_loader_processes_change_nothing(data, tmp_path):
    curves = []
    for workers in (0, 2):
        training = {"epochs": 1, "batch": 4, "validate_every": 1, "workers": workers}
        values = recipe(data, training=training, data=recipe(data)["data"] | {"store": "frames"})
        assert run_training(values, tmp_path / f"{workers}") == 0
        curves.append(curve_of(tmp_path / f"{workers}" / "split1"))
    assert curves[0] == curves[1]


def test_partial_batch_norm_keeps_the_first():
    network = torch.nn.Sequential(*(torch.nn.BatchNorm2d(4) for _ in range(3)))
    freeze_batch_norm(network.train(), "partial")
    assert [norm.training for norm in network] == [True, False, False]
    assert [norm.weight.requires_grad for norm in network] == [True, False, False]


def test_the_backbone_has_its_own_rate():
    from uav_perception.networks.action_zoo import build

    network = build("larmuv", 5)
    recipe = OptimizerRecipe(rate=1e-3, backbone_rate_scale=0.1)
    groups = parameter_groups(network, recipe, "head.classifier")
    assert [group["lr"] for group in groups] == [1e-3, pytest.approx(1e-4)]
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))


def test_a_new_classifier_is_no_backbone():
    from uav_perception.networks.action_zoo import NETWORKS, build, classifier_of

    recipe = OptimizerRecipe(rate=1e-3, backbone_rate_scale=0.1)
    for name in NETWORKS:
        with torch.device("meta"):
            network = build(name, 5, 16 if name.startswith(("c3d", "mvit")) else 3)
        groups = parameter_groups(network, recipe, classifier_of(name))
        rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
        assert len(rates) == len(list(network.parameters()))
        head = dict(network.named_modules())[classifier_of(name)]
        assert head.weight.shape[0] == 5 and {rates[id(p)] for p in head.parameters()} == {1e-3}, name
        if name in ("larmuv", "resnet50", "vgg16", "bn_inception", "inception_v3"):
            assert rates[id(next(network.backbone.parameters()))] == pytest.approx(1e-4)


def test_schedules():
    cosine = rate_factor(OptimizerRecipe(schedule="cosine"))
    assert [cosine(0.0), cosine(0.5), cosine(1.0)] == pytest.approx([1.0, 0.5, 0.0])
    cycle = rate_factor(OptimizerRecipe(schedule="one_cycle", warmup=0.2))
    assert cycle(0.0) == pytest.approx(0.04) and cycle(0.2) == pytest.approx(1.0) and cycle(1.0) == pytest.approx(1e-3)
    steps = rate_factor(OptimizerRecipe(schedule="steps", milestones=(0.5, 0.8)))
    assert [steps(0.4), steps(0.6), steps(0.9)] == pytest.approx([1.0, 0.1, 0.01])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": {"nmae": "larmuv"}}, r"recipe\.network has no key 'nmae'"),
        ({"optimizer": {"rate": "1e-3"}}, r"recipe\.optimizer\.rate must be a number.*1\.0e-3"),
        ({"training": {"epochs": 2.5}}, r"recipe\.training\.epochs must be int"),
        ({"training": {"protocol": "best"}}, "choose one of centre, ten-crop"),
        ({"training": {"protocol": "classic"}}, "classic tests on more segments than larmuv takes"),
        ({"network": {"name": "c3d", "options": {}}, "training": {"channels_last": True}}, "c3d is 3D"),
        ({"training": {"precision": "fp16"}}, "choose one of 32-true, bf16-mixed, 16-mixed"),
        ({"loss": {"distillation": 0.5}}, "names no teacher"),
        ({"augmentation": {"scales": 1.0}}, r"scales must be a list"),
    ],
)
def test_wrong_recipes_are_refused_by_name(data, change, message):
    with pytest.raises(RecipeError, match=message):
        checked(ActionRecipe, recipe(data, **change))
