"""Recipe sections checked against dataclasses, nested ones too."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from uav_perception.training.errors import RecipeError

T = TypeVar("T")


def checked(kind: type[T], values: Mapping[str, Any], where: str = "recipe") -> T:
    """Make a dataclass of a mapping, its nested dataclasses too.

    Lists become tuples where the field is one. Unknown and missing keys and wrong types are refused by name.

    Raises:
        RecipeError: the message says where in the recipe.
    """
    if not isinstance(values, Mapping):
        raise RecipeError(f"{where} must be a mapping of keys, not {values!r}.")
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise RecipeError(f"{where} has no key {unknown[0]!r}; its keys: {', '.join(fields)}.")
    missing = [
        name
        for name, field in fields.items()
        if name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise RecipeError(f"{where} lacks the key {missing[0]!r}.")
    return kind(**{name: _value(hints[name], value, f"{where}.{name}") for name, value in values.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        options = [argument for argument in arguments if argument is not type(None)]
        if len(options) == 1:
            return _value(options[0], value, where)
        plain = [option for option in options if isinstance(option, type) and isinstance(value, option)]
        return _value(plain[0] if plain else options[0], value, where)
    if dataclasses.is_dataclass(hint):
        return checked(hint, value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise RecipeError(f"{where} must be a list, not {value!r}.")
        inner = arguments[0]
        return tuple(_value(inner, item, f"{where}[{number}]") for number, item in enumerate(value))
    if origin is dict and not isinstance(value, Mapping):
        raise RecipeError(f"{where} must be a mapping of keys, not {value!r}.")
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if hint in (int, str, bool) and (not isinstance(value, hint) or (hint is int and isinstance(value, bool))):
        raise RecipeError(f"{where} must be {hint.__name__}, not {value!r}.")
    if hint is float:
        raise RecipeError(f"{where} must be a number, not {value!r} (YAML reads 1e-3 as text; write 1.0e-3 or 0.001).")
    return value
