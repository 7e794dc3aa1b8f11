"""Where the files that ship with the package lie (models, config, messages, launch files)."""

from __future__ import annotations

import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _candidates() -> list[Path]:
    places = [_PACKAGE.parent]  # a source tree
    # An install: <prefix>/lib/python3.x/site-packages/uav_perception or <prefix>/local/lib/.../dist-packages.
    places += [parent / "share" / "uav_perception" for parent in list(_PACKAGE.parents)[2:6]]
    places.append(Path(sys.prefix) / "share" / "uav_perception")
    return places


def share_directory() -> Path:
    """The folder that holds ``msg/``, ``config/``, ``models/`` and ``launch/``.

    Raises:
        FileNotFoundError: the package was copied without its data files.
    """
    places = _candidates()
    for place in places:
        if (place / "msg" / "DetectionArray.msg").is_file():
            return place
    tried = ", ".join(str(place) for place in places)
    raise FileNotFoundError(
        f"The files that ship with uav_perception were not found (looked in {tried}). "
        "Install the package with `make setup`, `colcon build` or `pip install .`."
    )


def resource(*parts: str) -> Path:
    """Path of a shipped file, for example ``resource("config", "perception.yaml")``.

    Raises:
        FileNotFoundError: there is no such file; the message lists what the folder holds.
    """
    path = share_directory().joinpath(*parts)
    if not path.exists():
        folder = path.parent
        there = ", ".join(sorted(p.name for p in folder.iterdir())) if folder.is_dir() else "no such folder"
        raise FileNotFoundError(f"{path} does not exist; {folder} holds: {there or 'nothing'}.")
    return path
