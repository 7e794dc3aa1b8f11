"""Errors of the simulation."""

from __future__ import annotations

from uav_perception.errors import UavPerceptionError


class SimulationError(UavPerceptionError):
    """A simulated flight or data set cannot be made as asked; says why and what to change."""
