"""Plays a recorded flight through the perception nodes, with the flight's own time.

    ros2 launch uav_perception replay.launch.py flight:=my_flight model:=detector.onnx image:=/camera/image_raw

Every argument of perception.launch.py is passed on. The launch ends when the flight does.
"""

import shutil
import sys

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import Action, LaunchContext, LaunchDescription
from uav_perception.resources import resource


def play(context: LaunchContext) -> list[Action]:
    """The player; when it ends, everything ends."""
    flight, rate = (LaunchConfiguration(name).perform(context) for name in ("flight", "rate"))
    # The installed program has an interpreter of its own, which need not be that of `ros2 launch`.
    installed = shutil.which("uav-perception")
    program = [installed] if installed else [sys.executable, "-m", "uav_perception"]
    command = [*program, "play", flight, "--rate", rate, "--clock", "--wait", "60"]
    if IfCondition(LaunchConfiguration("loop")).evaluate(context):
        command.append("--loop")
    player = ExecuteProcess(cmd=command, output="screen", name="play")
    end = OnProcessExit(target_action=player, on_exit=[EmitEvent(event=Shutdown(reason="the flight has ended"))])
    return [player, RegisterEventHandler(end)]


def generate_launch_description() -> LaunchDescription:
    """The nodes on simulated time, and the player."""
    nodes = PythonLaunchDescriptionSource(str(resource("launch", "perception.launch.py")))
    return LaunchDescription(
        [
            DeclareLaunchArgument("flight", description="rosbag2 folder, the one that holds metadata.yaml"),
            DeclareLaunchArgument("rate", default_value="1.0", description="Speed of playing"),
            DeclareLaunchArgument("loop", default_value="false", description="Start again at the end"),
            IncludeLaunchDescription(nodes, launch_arguments={"use_sim_time": "true"}.items()),
            OpaqueFunction(function=play),
        ]
    )
