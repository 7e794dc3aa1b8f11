from pathlib import Path

import pytest

from uav_perception.networks.action_zoo import NETWORKS
from uav_perception.training.action_model import model_of
from uav_perception.training.action_recipe import ActionRecipe
from uav_perception.training.checked import checked
from uav_perception.training.recipes import load_recipe

RECIPES = Path(__file__).parents[2] / "config" / "recipes"
ACTION = [
    path
    for path in sorted(RECIPES.glob("*.yaml"))
    if load_recipe(path).get("task") == "action" and "data" in load_recipe(path)
]
TABLE_1 = {
    "vgg16": (42.3, 75.41, 62.14),
    "resnet18": (43.82, 77.75, 58.96),
    "resnet34": (45.94, 80.5, 70.42),
    "resnet50": (47.54, 81.33, 76.17),
    "bn_inception": (45.94, 83.23, 76.67),
    "inception_v3": (46.36, 80.24, 77.96),
    "c3d_scratch": (7.10, 40.26, 36.74),
    "c3d_kinetics": (41.60, 80.16, 78.86),
    "i3d_imagenet": (43.06, 74.25, 74.58),
    "i3d_kinetics": (66.03, 90.83, 92.13),
    "larmuv": (55.14, 86.41, 87.81),
    "larmuv_model1": (48.2, 81.97, 78.85),
    "larmuv_model2": (50.0, 82.47, 81.10),
    "larmuv_model3": (51.99, 82.56, 81.77),
    "larmuv_model4": (51.43, 83.91, 84.25),
}


def recipe(name):
    return checked(ActionRecipe, load_recipe(RECIPES / f"{name}.yaml"))


@pytest.mark.parametrize("path", ACTION, ids=lambda path: path.stem)
def test_every_recipe_is_valid(path):
    settings = checked(ActionRecipe, load_recipe(path))
    assert settings.network.name in NETWORKS
    assert model_of(settings.network, ("a", "b")).feed.size > 0


@pytest.mark.parametrize("row", TABLE_1)
def test_every_row_of_the_paper_has_a_recipe_with_its_number(row):
    for data, printed in zip(("hmdb51", "ucf101", "uav"), TABLE_1[row], strict=True):
        assert recipe(f"{row}_{data}").published["top1"] == pytest.approx(printed / 100)


def test_the_published_settings():
    settings = recipe("larmuv_hmdb51")
    assert settings.network.segments == 3 and settings.network.weights == "IMAGENET1K_V2"
    assert (settings.optimizer.name, settings.optimizer.rate, settings.optimizer.weight_decay) == ("adam", 1e-3, 1e-4)
    assert (settings.loss.gamma, settings.loss.temperature, settings.loss.distillation) == (2.0, 2.0, 0.5)
    assert settings.augmentation.frame_size == (256, 340)
    assert settings.data.splits == (1, 2, 3)
    assert [stream.checkpoint.format(split=2) for stream in settings.teacher] == [
        "runs/i3d_kinetics_hmdb51/split2/last.ckpt",
        "runs/i3d_flow_hmdb51/split2/last.ckpt",
    ]


def test_the_ablation_adds_one_thing_at_a_time():
    arms = [recipe(f"larmuv_model{number}_ucf101") for number in (1, 2, 3, 4)] + [recipe("larmuv_ucf101")]
    switches = [(arm.network.options.get("attention", True), arm.loss.gamma, arm.loss.distillation) for arm in arms]
    assert switches == [(False, 0.0, 0.0), (True, 0.0, 0.0), (False, 2.0, 0.0), (False, 0.0, 0.5), (True, 2.0, 0.5)]
