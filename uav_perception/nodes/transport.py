"""The Fast DDS profile that carries camera images, and how a process gets it.

Fast DDS gives a process 512 KiB of shared memory by default, less than one 640x480 colour image. Best-effort images
between two processes are then lost almost completely. What counts is the *publisher's* segment, so the camera's
process needs the profile; nodes of this package use it as well, for the images that they publish themselves.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from uav_perception.resources import resource

PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
_FAST_DDS_2 = ("humble", "iron", "jazzy")  # read only the second name; newer distributions warn about it


def profile_path() -> Path:
    """The shipped Fast DDS profile."""
    return resource("config", "fastdds.xml")


def use_shipped_profile(environment: MutableMapping[str, str] | None = None) -> bool:
    """Put the shipped profile into an environment, unless the user has chosen one there.

    Args:
        environment: by default this process's own; to have an effect it must come before ``rclpy.init``.

    Returns:
        Whether the shipped profile was set; False when the user's own stays.
    """
    environment = os.environ if environment is None else environment
    if any(environment.get(name) for name in PROFILE_VARIABLES):
        return False
    environment[profile_variable(environment)] = str(profile_path())
    return True


def profile_variable(environment: Mapping[str, str] | None = None) -> str:
    """The environment variable that Fast DDS reads in this ROS distribution."""
    environment = os.environ if environment is None else environment
    return PROFILE_VARIABLES[environment.get("ROS_DISTRO", "") in _FAST_DDS_2]


def profile_assignment() -> str:
    """The assignment to put before the camera's start command."""
    return f"{profile_variable()}={profile_path()}"
