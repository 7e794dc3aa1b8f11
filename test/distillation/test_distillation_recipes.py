"""Every recipe of the paper's tables is complete: sections, networks, method, teacher, and a place in the docs."""

from pathlib import Path

import pytest
import torch

from uav_perception.datasets.detection_transforms import Augmentation
from uav_perception.distillation.distiller import Distiller, build_method
from uav_perception.networks.decode import DecodeConfig
from uav_perception.networks.detector import Detector, DetectorConfig
from uav_perception.resources import resource
from uav_perception.training.detector import DataConfig, TeacherConfig
from uav_perception.training.detector_module import TrainingConfig
from uav_perception.training.recipes import load_recipe, section

REPOSITORY = Path(__file__).parents[2]
CLASSES = {"visdrone": 10, "uavdt": 3, "coco": 80}
RECIPES = sorted(p for p in resource("config", "recipes").glob("*.yaml") if p.name.split("_")[0] in CLASSES)


def on_meta(recipe, dataset):
    model = {**recipe["model"], "num_classes": CLASSES[dataset]}
    with torch.device("meta"):
        return Detector(DetectorConfig.from_dict(model), load_backbone=False)


def test_there_is_a_recipe_for_every_row():
    names = {path.stem for path in RECIPES}
    for dataset in ("visdrone", "uavdt", "coco"):  # Tables 1 to 3
        rows = [
            f"{dataset}_gfl_{s}_{m}"
            for s in ("r50", "r18")
            for m in ("student", "fgd", "ld", "ld_ours", "bckd", "bckd_ours")
        ]
        assert {f"{dataset}_gfl_r101_teacher", *rows} <= names
    for head in ("fcos", "atss"):  # Table 4
        rows = [f"visdrone_{head}_r18_{m}" for m in ("student", "fgd", "ld", "ld_ours", "bckd", "bckd_ours")]
        assert {f"visdrone_{head}_r101_teacher", *rows} <= names
    ablations = (
        "ld_light_ml", "ld_cid_global",  # Table 5
        "ld_ours_shuffle", "ld_ours_cls_to_reg", "ld_ours_reg_to_cls",  # Table 6
        "ld_ours_k000", "ld_ours_k050", "ld_ours_k075", "ld_ours_k100",  # Table 7
        "ld_ours_cid_only", "ld_ours_global_only",  # Table 8
        "ld_ours_gamma060", "ld_ours_gamma055", "ld_ours_gamma050", "ld_ours_gamma040", "ld_ours_gamma035",  # Table 9
        "ld_vlr000", "ld_vlr050_gamma025", "ld_ours_within_gt",  # Fig. 6
    )  # fmt: skip
    assert {f"visdrone_gfl_r18_{name}" for name in ablations} <= names


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_builds_its_networks_and_method(path):
    recipe = load_recipe(path)
    dataset = path.name.split("_")[0]
    training = section(recipe, "training", TrainingConfig)
    section(recipe, "data", DataConfig)
    section(recipe, "augmentation", Augmentation)
    assert section(recipe, "inference", DecodeConfig).maximum == (100 if dataset == "coco" else 500)
    student = on_meta(recipe, dataset)
    assert student.config.backbone_weights.startswith(f"weights/{student.config.backbone}-")
    if "distillation" not in recipe:
        assert "teacher" not in recipe
        return
    assert training.epochs == (6 if dataset == "uavdt" else 12)
    teacher_config = section(recipe, "teacher", TeacherConfig)
    teacher_path = REPOSITORY / teacher_config.config
    assert teacher_config.checkpoint == f"runs/{teacher_path.stem}/detector.pt"
    teacher_recipe = load_recipe(teacher_path)
    assert teacher_recipe["data"] == recipe["data"]
    assert teacher_recipe["model"]["backbone"] == "resnet101"
    teacher = on_meta(teacher_recipe, dataset)
    with torch.device("meta"):
        distiller = Distiller(teacher, build_method(recipe["distillation"], student, teacher), student.head)
    ours = recipe["distillation"]["method"].endswith("_ours")
    has_global_term = ours and recipe["distillation"]["cid"]["global_tensor"] != "none"
    assert has_global_term == any("global_term" in name for name, _ in distiller.named_parameters())


@pytest.mark.parametrize(
    ("name", "where", "value"),
    [
        ("ld_ours", ("model", "light_ml_k"), 0.25),
        ("ld_ours_k075", ("model", "light_ml_k"), 0.75),
        ("ld_ours_shuffle", ("model", "fusion"), "shuffle"),
        ("ld_cid_global", ("model", "fusion"), "none"),
        ("ld_ours", ("distillation", "cid", "gamma"), 0.45),
        ("ld_ours_gamma035", ("distillation", "cid", "gamma"), 0.35),
        ("ld_ours_within_gt", ("distillation", "cid", "region"), "cid_within_gt"),
        ("ld_ours_global_only", ("distillation", "cid", "region"), "own"),
        ("ld_ours_cid_only", ("distillation", "cid", "global_tensor"), "none"),
        ("ld_vlr000", ("distillation", "vlr_weight"), 0.0),
        ("fgd", ("distillation", "inherit"), True),
        ("fgd", ("training", "clip"), 35.0),
    ],
)
def test_the_switches_are_what_the_names_say(name, where, value):
    found = load_recipe(resource("config", "recipes", f"visdrone_gfl_r18_{name}.yaml"))
    for key in where:
        found = found.get(key, "none")
    assert found == value


def test_the_docs_list_every_recipe():
    page = (REPOSITORY / "docs" / "distillation.md").read_text(encoding="utf-8")
    missing = [path.name for path in RECIPES if f"`{path.name}`" not in page]
    assert not missing
