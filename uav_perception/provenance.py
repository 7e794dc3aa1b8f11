"""What made a result: command, seed, versions and machine. Every number that is published carries one."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version

from uav_perception import __version__

_PARTS = (
    "numpy",
    "opencv-contrib-python-headless",
    "onnxruntime",
    "torch",
    "torchvision",
    "mujoco",
    "ros-rclpy",
    "tensorrt",
)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Versions of this package, Python and the parts that are installed."""
    found = {"uav_perception": __version__, "python": platform.python_version()}
    for part in _PARTS:
        try:
            found[part] = version(part)
        except PackageNotFoundError:
            continue
    return found


def provenance(seed: int | list[int] | None = None, command: str | None = None) -> dict[str, object]:
    """A JSON-ready record of how a result came about.

    Args:
        seed: the random seed, or the list of them.
        command: the command line; by default this process's own, the script as a bare name.

    Returns:
        ``command``, ``seed``, ``versions``, ``machine`` and ``date`` (UTC).
    """
    if command is None:
        command = shlex.join([os.path.basename(sys.argv[0]), *sys.argv[1:]])
    return {
        "command": command,
        "seed": seed,
        "versions": versions(),
        "machine": {"processor": _processor(), "cores": len(os.sched_getaffinity(0)), "system": platform.platform()},
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
