"""``--require "ap50>=0.5"``: what a model must reach to fly."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass

from uav_perception.evaluation.errors import EvaluationError
from uav_perception.evaluation.measures import HEADLINES

_OPERATORS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_PATTERN = re.compile(r"\s*([A-Za-z0-9_@.]+)\s*(>=|<=|>|<)\s*([-+0-9.eE]+)\s*")


@dataclass(frozen=True)
class Requirement:
    """A measure and its bound.

    Attributes:
        name: one of :data:`~uav_perception.evaluation.measures.HEADLINES`.
        sign: ``>=``, ``<=``, ``>`` or ``<``.
        bound: the number.
    """

    name: str
    sign: str
    bound: float

    def __str__(self) -> str:
        return f"{self.name}{self.sign}{self.bound:g}"

    def holds(self, found: Mapping[str, float]) -> bool:
        """Whether the measure is there and within its bound."""
        return self.name in found and _OPERATORS[self.sign](found[self.name], self.bound)


def parse_requirement(text: str) -> Requirement:
    """Read ``name>=number``.

    Raises:
        EvaluationError: it is written wrongly, or there is no such measure.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise EvaluationError(f'A requirement is written like "ap50>=0.5", not {text!r}; signs are >=, <=, > and <.')
    name, sign, number = match.groups()
    try:
        bound = float(number)
    except ValueError as error:
        raise EvaluationError(f"The bound {number!r} of the requirement {text!r} is no number.") from error
    if name.lower() not in HEADLINES:
        raise EvaluationError(f"There is no measure {name!r} to require; there are {', '.join(HEADLINES)}.")
    return Requirement(name.lower(), sign, bound)


def unmet(requirements: list[Requirement], found: Mapping[str, float]) -> list[str]:
    """One line for each requirement that does not hold."""
    return [
        f"{r} is not met: {r.name} is {found[r.name]:.4f}"
        if r.name in found
        else f"{r} is not met: it was not measured"
        for r in requirements
        if not r.holds(found)
    ]
