"""Recipes: YAML files that inherit from a ``base`` and can be overridden from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml

from uav_perception.training.checked import checked
from uav_perception.training.errors import RecipeError

Recipe = dict[str, Any]
_T = TypeVar("_T")


def load_recipe(path: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Recipe:
    """Read a recipe, merge it over its bases, and apply overrides.

    ``base`` names one file or a list of files, relative to the recipe; later files win over earlier ones, the recipe
    wins over its bases. Mappings are merged key by key; every other value, lists too, replaces the inherited one.

    Args:
        path: the YAML file.
        overrides: ``key=value`` with dots between the levels (``training.epochs=3``); values are YAML.

    Raises:
        RecipeError: not readable, not a mapping, a base that includes itself, or a malformed override.
    """
    recipe = _load(Path(path), ())
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not all(key.split(".")):
            raise RecipeError(f"{override!r} is no override; write key=value, for example training.epochs=3.")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RecipeError(f"The value of the override {override!r} is not YAML: {error}") from error
        for part in reversed(key.split(".")):
            value = {part: value}
        recipe = merge(recipe, value)
    return recipe


def _load(path: Path, including: tuple[Path, ...]) -> Recipe:
    path = path.resolve()
    if path in including:
        chain = " -> ".join(p.name for p in (*including, path))
        raise RecipeError(f"The recipe includes itself: {chain}.")
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"The recipe {path} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"The recipe {path} is not valid YAML: {error}") from error
    if not isinstance(recipe, dict):
        raise RecipeError(f"The recipe {path} must hold a mapping, not {type(recipe).__name__}.")
    bases = recipe.pop("base", [])
    merged: Recipe = {}
    for base in [bases] if isinstance(bases, str) else bases:
        merged = merge(merged, _load(path.parent / base, (*including, path)))
    return merge(merged, recipe)


def merge(lower: Recipe, upper: Recipe) -> Recipe:
    """``upper`` over ``lower``: mappings key by key, everything else replaced. Neither argument changes."""
    result = dict(lower)
    for key, value in upper.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            value = merge(result[key], value)
        result[key] = value
    return result


def section(recipe: Recipe, name: str, kind: type[_T]) -> _T:
    """Build a dataclass from one section of a recipe.

    Args:
        recipe: the whole recipe.
        name: key of the section; a missing section counts as empty.
        kind: the dataclass.

    Raises:
        RecipeError: the section is not a mapping, a key is unknown, a required one is missing, or a type is wrong.
    """
    values = recipe.get(name)
    return checked(kind, {} if values is None else values, f"The recipe's {name}")
