"""Installs the ROS-free half; the ROS package is built by CMakeLists.txt. Metadata lies in pyproject.toml."""

from pathlib import Path

from setuptools import setup

_SHARED = ("config", "launch", "models", "msg", "resource")


def _data_files() -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for folder in _SHARED:
        for path in Path(folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found.setdefault(f"share/uav_perception/{path.parent}", []).append(str(path))
    return sorted(found.items())


setup(data_files=_data_files())
