"""Every detector recipe that ships can be built, as far as that goes without its data."""

import pytest

from uav_perception.datasets.detection_transforms import Augmentation
from uav_perception.networks.decode import DecodeConfig
from uav_perception.networks.detector import DetectorConfig
from uav_perception.resources import resource
from uav_perception.training.detector import DataConfig, InitialConfig, TeacherConfig
from uav_perception.training.detector_module import TrainingConfig
from uav_perception.training.recipes import load_recipe, section

RECIPES = sorted(
    path.name
    for path in resource("config", "recipes").glob("*.yaml")
    if path.name.startswith(("visdrone_", "uavdt_", "coco_", "sim_gfl"))
)


def load(name):
    return load_recipe(resource("config", "recipes", name))


@pytest.mark.parametrize("name", RECIPES)
def test_sections_hold_only_what_the_code_knows(name):
    recipe = load(name)
    section(recipe, "training", TrainingConfig)
    section(recipe, "data", DataConfig)
    section(recipe, "augmentation", Augmentation)
    section(recipe, "inference", DecodeConfig)
    section(recipe, "initial", InitialConfig)
    section(recipe, "teacher", TeacherConfig)
    DetectorConfig.from_dict({"num_classes": 10, **recipe["model"]}).head_config()


def test_the_paper_has_its_rows():
    rows = {f"{data}_gfl_{net}" for data in ("visdrone", "uavdt", "coco") for net in ("r18_ld_ours", "r50_bckd_ours")}
    assert rows <= {name.removesuffix(".yaml") for name in RECIPES}


@pytest.mark.parametrize(("name", "epochs", "drops"), [("visdrone", 12, [8, 11]), ("uavdt", 6, [4, 5])])
def test_schedules_are_the_published_ones(name, epochs, drops):
    training = load(f"{name}_gfl_r18_ld_ours.yaml")["training"]
    assert (training["epochs"], list(training["drops"]), training["learning_rate"]) == (epochs, drops, 0.01)
