"""`uav-perception demo`: a recorded flight through the live nodes, an annotated video and a summary."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

HELP = "play the shipped flight through the live nodes; writes an annotated video and a summary"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder of the results (default out/demo)")
    parser.add_argument("--flight", type=Path, help="another rosbag2 folder (default: the shipped flight)")
    parser.add_argument("--model", default="gfl_light_sim.onnx", help="detector model (default: the shipped one)")
    parser.add_argument("--action-model", default="larmuv_sim.onnx", help="action model (default: the shipped one)")
    parser.add_argument("--rate", type=float, default=1.0, help="speed of playing (default 1)")
    parser.add_argument("--separate", action="store_true", help="a process for each node instead of one for all")


def run(args: argparse.Namespace) -> int:
    """Start the nodes, play the flight, write and print what was seen."""
    from uav_perception.nodes.transport import use_shipped_profile
    from uav_perception.resources import resource

    flight = args.flight or resource("resource", "demo_flight")
    if not flight.exists():
        raise FileNotFoundError(f"{flight} does not exist; give a rosbag2 folder.")
    # Alone on this machine: a demo must neither disturb nor hear other robots on the network.
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    use_shipped_profile()
    import rclpy

    from uav_perception.cli._demo_results import report, write_results
    from uav_perception.nodes.model_parameters import find_model

    find_model(args.model, "detector")
    find_model(args.action_model, "action")
    rclpy.init()
    nodes = _start_nodes(args, flight)
    try:
        record = _replay(args, flight, nodes)
    finally:
        _stop_nodes(nodes)
        rclpy.try_shutdown()
    summary = write_results(flight, record, args.out)
    print(report(summary, args.out))
    return 0 if record.complete else 1


def _start_nodes(args: argparse.Namespace, flight: Path) -> subprocess.Popen:
    from uav_perception.evaluation.bag import Bag
    from uav_perception.frames.convert import COMPRESSED_IMAGE

    bag = Bag(flight)
    compressed = bag.topics[bag.topic] == COMPRESSED_IMAGE
    command = [sys.executable, "-m", "uav_perception", "run", "--use-sim-time", "--log-level", "warn"]
    command += ["--model", args.model, "--action-model", args.action_model]
    command += ["--image", bag.topic.removesuffix("/compressed") if compressed else bag.topic]
    if compressed:
        for node in ("detector", "action", "overlay"):
            command += ["-p", f"{node}.image_transport=compressed"]
    if args.separate:
        command.append("--separate")
    print(f"Starting the nodes: uav-perception {' '.join(command[3:])}", flush=True)
    return subprocess.Popen(command, start_new_session=True)


def _replay(args: argparse.Namespace, flight: Path, nodes: subprocess.Popen):
    from tqdm import tqdm

    from uav_perception.evaluation.bag import Bag
    from uav_perception.nodes.live import replay

    with tqdm(total=len(Bag(flight)), unit="frame", desc="Flight") as bar:
        return replay(
            flight,
            nodes.pid,
            rate=args.rate,
            is_alive=lambda: nodes.poll() is None,
            on_image=bar.update,
        )


def _stop_nodes(nodes: subprocess.Popen) -> None:
    if nodes.poll() is None:
        nodes.send_signal(signal.SIGINT)
    try:
        nodes.wait(timeout=20)
    except subprocess.TimeoutExpired:
        nodes.kill()
        nodes.wait()
