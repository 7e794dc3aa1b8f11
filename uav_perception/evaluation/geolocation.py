"""How far places on the ground are from the truth, and whether the stated uncertainty is honest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from uav_perception.evaluation.errors import EvaluationError

CHI2_95 = 5.991464547107979
"""The 95 % point of chi-squared with two degrees of freedom, -2 ln 0.05."""


@dataclass(frozen=True)
class PlacedTargets:
    """Places of objects together with their true ones.

    Attributes:
        east_north: shape (N, 2), estimated [m].
        true_east_north: shape (N, 2) [m].
        covariance: shape (N, 2, 2), stated covariance of the estimate [m^2].
    """

    east_north: np.ndarray
    true_east_north: np.ndarray
    covariance: np.ndarray

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "east_north", np.asarray(self.east_north, np.float64).reshape(-1, 2))
        set_(self, "true_east_north", np.asarray(self.true_east_north, np.float64).reshape(-1, 2))
        set_(self, "covariance", np.asarray(self.covariance, np.float64).reshape(-1, 2, 2))
        if not len(self.east_north) == len(self.true_east_north) == len(self.covariance):
            raise EvaluationError(
                f"Geolocation needs a true place and a covariance for each estimate: {len(self.east_north)} estimates, "
                f"{len(self.true_east_north)} true places, {len(self.covariance)} covariances."
            )

    @classmethod
    def joined(cls, parts: Sequence[PlacedTargets]) -> PlacedTargets:
        """All targets of several flights."""
        return cls(
            np.concatenate([np.zeros((0, 2)), *(p.east_north for p in parts)]),
            np.concatenate([np.zeros((0, 2)), *(p.true_east_north for p in parts)]),
            np.concatenate([np.zeros((0, 2, 2)), *(p.covariance for p in parts)]),
        )

    def errors(self) -> np.ndarray:
        """Horizontal distance to the truth [m], shape (N,)."""
        return np.linalg.norm(self.east_north - self.true_east_north, axis=1)

    def inside_95(self) -> np.ndarray:
        """bool, shape (N,): the truth lies in the ellipse that the covariance says holds 95 %."""
        difference = self.east_north - self.true_east_north
        # A covariance without extent holds only the truth itself; the pseudo-inverse keeps that case finite.
        inverse = np.linalg.pinv(self.covariance, hermitian=True)
        distance = np.einsum("ni,nij,nj->n", difference, inverse, difference)
        outside_support = np.abs(np.einsum("nij,njk,nk->ni", self.covariance, inverse, difference) - difference)
        return (distance <= CHI2_95) & (outside_support.max(axis=1, initial=0.0) < 1e-9 + 1e-6 * self.errors())


def geolocation_metrics(targets: PlacedTargets) -> dict[str, object]:
    """Error of places on the ground.

    Returns:
        ``targets`` (how many), ``error_median_m``, ``error_p95_m``, ``error_mean_m``, ``bias_east_m``,
        ``bias_north_m`` (estimate minus truth) and ``coverage_95`` (share of truths in the stated 95 % ellipse; near
        0.95 when the stated uncertainty is right). None without targets.
    """
    names = ("error_median_m", "error_p95_m", "error_mean_m", "bias_east_m", "bias_north_m", "coverage_95")
    if not len(targets.east_north):
        return {"targets": 0, **dict.fromkeys(names)}
    errors = targets.errors()
    east, north = (targets.east_north - targets.true_east_north).mean(axis=0)
    values = (
        np.median(errors),
        np.percentile(errors, 95),
        errors.mean(),
        east,
        north,
        targets.inside_95().mean(),
    )
    return {"targets": len(errors), **{name: float(v) for name, v in zip(names, values, strict=True)}}
