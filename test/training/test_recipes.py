from dataclasses import dataclass

import pytest

from uav_perception.training.errors import RecipeError
from uav_perception.training.recipes import load_recipe, merge, section


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_bases_are_merged_in_order_and_lists_are_replaced(tmp_path):
    write(tmp_path, "common/a.yaml", "training: {epochs: 12, drops: [8, 11]}\nmodel: {head: gfl}\n")
    write(tmp_path, "common/b.yaml", "base: a.yaml\ntraining: {epochs: 6}\n")
    write(tmp_path, "c.yaml", "model: {head: fcos, fusion: none}\n")
    path = write(tmp_path, "top.yaml", "base: [common/b.yaml, c.yaml]\ntraining: {drops: [4]}\n")
    assert load_recipe(path) == {
        "training": {"epochs": 6, "drops": [4]},
        "model": {"head": "fcos", "fusion": "none"},
    }


def test_overrides_are_yaml_and_reach_new_and_old_keys(tmp_path):
    path = write(tmp_path, "top.yaml", "training: {epochs: 12}\n")
    recipe = load_recipe(path, ["training.epochs=3", "data.scales=[480, 800]", "teacher.checkpoint=a=b.pt"])
    assert recipe["training"]["epochs"] == 3
    assert recipe["data"]["scales"] == [480, 800]
    assert recipe["teacher"]["checkpoint"] == "a=b.pt"


def test_merge_changes_neither_argument():
    lower, upper = {"a": {"b": 1}}, {"a": {"c": 2}}
    assert merge(lower, upper) == {"a": {"b": 1, "c": 2}}
    assert (lower, upper) == ({"a": {"b": 1}}, {"a": {"c": 2}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: top.yaml\n", "includes itself: top.yaml -> top.yaml"),
        ("- 1\n", "must hold a mapping, not list"),
        ("a: [1\n", "not valid YAML"),
        ("base: nowhere.yaml\n", "nowhere.yaml cannot be read"),
    ],
)
def test_bad_recipes_are_named(tmp_path, text, message):
    path = write(tmp_path, "top.yaml", text)
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)


@pytest.mark.parametrize("override", ["epochs", "=3", "a..b=1", "a=[1"])
def test_bad_overrides_are_refused(tmp_path, override):
    path = write(tmp_path, "top.yaml", "a: 1\n")
    with pytest.raises(RecipeError, match="override"):
        load_recipe(path, [override])


@dataclass
class Schedule:
    epochs: int
    rate: float = 0.01


def test_a_section_becomes_its_dataclass():
    assert section({"training": {"epochs": 3}}, "training", Schedule) == Schedule(3)
    with pytest.raises(RecipeError, match=r"The recipe's training has no key 'epoch'; its keys: epochs, rate"):
        section({"training": {"epoch": 3}}, "training", Schedule)
    with pytest.raises(RecipeError, match="lacks the key 'epochs'"):
        section({}, "training", Schedule)
    with pytest.raises(RecipeError, match="must be a mapping of keys, not 3"):
        section({"training": 3}, "training", Schedule)
    with pytest.raises(RecipeError, match=r"training\.rate must be a number, not '1e-3' \(YAML reads 1e-3 as text"):
        section({"training": {"epochs": 3, "rate": "1e-3"}}, "training", Schedule)
