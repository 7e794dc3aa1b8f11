"""Starts the perception nodes: all in one process (the default), or each in its own.

    ros2 launch uav_perception perception.launch.py \
        model:=detector.onnx action_model:=larmuv.onnx image:=/camera/image_raw
"""

import os
import tempfile
from pathlib import Path

from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import Action, LaunchContext, LaunchDescription
from uav_perception.nodes.plan import Plan, find_parameters
from uav_perception.nodes.transport import PROFILE_VARIABLES, profile_path, profile_variable
from uav_perception.resources import resource

ARGUMENTS = (
    DeclareLaunchArgument("model", default_value="", description="Detector model (ONNX); empty: as in params_file"),
    DeclareLaunchArgument(
        "action_model",
        default_value="",
        description="Action model (ONNX); empty: as in params_file, without one no action node",
    ),
    DeclareLaunchArgument("image", default_value="image", description="Image topic of the camera"),
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of all nodes"),
    DeclareLaunchArgument("use_sim_time", default_value="false", description="Take the time from /clock"),
    DeclareLaunchArgument(
        "params_file",
        default_value=str(resource("config", "perception.yaml")),
        description="Parameters of all nodes: a file, or the name of one in the package's config/",
    ),
    DeclareLaunchArgument(
        "use_composition", default_value="true", description="One process that shares its images, or one for each node"
    ),
    DeclareLaunchArgument(
        "autostart",
        default_value="",
        description="Configure and activate the nodes; false: leave it to a manager; empty: as in params_file (true)",
    ),
    DeclareLaunchArgument("respawn", default_value="false", description="Start a process again when it dies"),
    DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn, error or fatal"),
    DeclareLaunchArgument(
        "nodes", default_value="", description="Which nodes, by commas; empty: the overlay and those that have a model"
    ),
)


def start_nodes(context: LaunchContext) -> list[Action]:
    """Turn the arguments into processes."""

    def text(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    def flag(name: str) -> bool:
        return IfCondition(LaunchConfiguration(name)).evaluate(context)

    plan = Plan(
        params_file=find_parameters(text("params_file")),
        model=text("model"),
        action_model=text("action_model"),
        names=tuple(name.strip() for name in text("nodes").split(",") if name.strip()),
        use_sim_time=flag("use_sim_time"),
        autostart=flag("autostart") if text("autostart") else None,
    )
    # The processes read the file when they start, again after a respawn, so it stays until the machine cleans its /tmp.
    overrides = Path(tempfile.mkdtemp(prefix="uav_perception_")) / "overrides.yaml"
    common = {
        "package": "uav_perception",
        "namespace": text("namespace"),
        "parameters": [str(path) for path in plan.write_overrides(overrides)],
        "remappings": [("image", text("image"))],
        "ros_arguments": ["--log-level", text("log_level")],
        "respawn": flag("respawn"),
        "respawn_delay": 2.0,
        "output": "screen",
    }
    if flag("use_composition"):
        return [Node(executable="perception", arguments=list(plan.nodes()), **common)]
    return [Node(executable=name, **common) for name in plan.nodes()]


def generate_launch_description() -> LaunchDescription:
    """The arguments, the Fast DDS profile unless the user has chosen one, and the nodes."""
    chosen = any(os.environ.get(name) for name in PROFILE_VARIABLES)
    profile = [] if chosen else [SetEnvironmentVariable(profile_variable(), str(profile_path()))]
    return LaunchDescription([*ARGUMENTS, *profile, OpaqueFunction(function=start_nodes)])
