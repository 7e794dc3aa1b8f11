"""MuJoCo with an offscreen renderer chosen. Every module of this area imports ``mujoco`` from here.

MuJoCo reads ``MUJOCO_GL`` once, when it is imported, and its default needs a display, which a drone's computer and a CI
machine lack.
"""

from __future__ import annotations

import ctypes.util
import os
from pathlib import Path

from uav_perception.simulation.errors import SimulationError


def offscreen_backend() -> str | None:
    """Value for ``MUJOCO_GL``: "egl" with a GPU's driver, else "osmesa", else "egl"; None to leave MuJoCo's default.

    The default stays where the user chose one or has a display. Without a GPU both backends draw on the CPU, and
    OSMesa needs about two thirds of EGL's time there.

    Raises:
        SimulationError: there is no display and neither library is installed.
    """
    if os.environ.get("MUJOCO_GL") or os.environ.get("DISPLAY"):
        return None
    has_egl, has_osmesa = (ctypes.util.find_library(name) is not None for name in ("EGL", "OSMesa"))
    if has_egl and Path("/dev/nvidiactl").exists():
        return "egl"
    if has_osmesa:
        return "osmesa"
    if has_egl:
        return "egl"
    raise SimulationError(
        "The simulation draws without a display, and needs OSMesa or EGL for that; neither library was found. "
        "Install one: `apt install libosmesa6` or `apt install libegl1`."
    )


_backend = offscreen_backend()
if _backend is not None:
    os.environ["MUJOCO_GL"] = _backend

import mujoco  # noqa: E402 (after the choice above)

__all__ = ["mujoco", "offscreen_backend"]
