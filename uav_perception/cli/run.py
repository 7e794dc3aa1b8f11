"""`uav-perception run`: the nodes without `ros2 launch`, from the same parameter file."""

from __future__ import annotations

import argparse

HELP = "run the nodes (what perception.launch.py starts), until Ctrl-C"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; they carry the names of the launch file's arguments."""
    parser.add_argument(
        "--model", default="", metavar="ONNX", help="detector model; without one, the detector is left out"
    )
    parser.add_argument("--action-model", default="", metavar="ONNX", help="action model; without one, it is left out")
    parser.add_argument(
        "--image", default="", metavar="TOPIC", help="image topic of the camera, such as /camera/image_raw"
    )
    parser.add_argument(
        "--nodes", default="", metavar="A,B", help="which nodes to run; default: what has a model, and overlay"
    )
    parser.add_argument(
        "--params-file", default="", metavar="YAML", help="parameters; default: the shipped perception.yaml"
    )
    parser.add_argument("-p", "--param", action="append", default=[], metavar="NODE.NAME=VALUE",
                        help="one parameter, such as detector.score_threshold=0.4; may be repeated")  # fmt: skip
    parser.add_argument("--namespace", default="", metavar="NS", help="namespace of all nodes, such as /drone1")
    parser.add_argument("--use-sim-time", action="store_true", help="take the time from /clock")
    parser.add_argument("--separate", action="store_true", help="one process for each node instead of one for all")
    parser.add_argument(
        "--no-autostart", action="store_true", help="leave the nodes unconfigured, for a lifecycle manager"
    )
    parser.add_argument("--respawn", action="store_true", help="start a process again when it dies")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warn", "error", "fatal"))


def run(args: argparse.Namespace) -> int:
    """Start the processes and watch them until SIGINT or SIGTERM."""
    import tempfile
    from importlib.util import find_spec

    from uav_perception.cli._run_plan import command_lines
    from uav_perception.cli._supervisor import Supervisor

    for module in ("rclpy", "uav_perception.msg"):
        if find_spec(module) is None:  # the processes would say it with a traceback
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
    with tempfile.TemporaryDirectory(prefix="uav_perception_") as folder:
        return Supervisor(command_lines(args, folder), respawn=args.respawn).run()
