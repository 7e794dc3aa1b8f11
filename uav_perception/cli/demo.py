"""`uav-perception demo`: a recorded flight through the live nodes, an annotated video and a summary."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "play the shipped flight through the live nodes; writes an annotated video and a summary"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder of the results (default out/demo)")
    parser.add_argument("--flight", type=Path, help="another rosbag2 folder (default: the shipped flight)")
    parser.add_argument("--model", default="gfl_light_sim.onnx", help="detector model (default: the shipped one)")
    parser.add_argument("--action-model", default="larmuv_sim.onnx", help="action model (default: the shipped one)")
    parser.add_argument("--score-threshold", type=float, default=0.5, help="show detections from here (default 0.5)")
    parser.add_argument("--rate", type=float, default=1.0, help="speed of playing (default 1)")
    parser.add_argument("--separate", action="store_true", help="a process for each node instead of one for all")


def run(args: argparse.Namespace) -> int:
    """Start the nodes, play the flight, write and print what was seen."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions
    from tqdm import tqdm

    from uav_perception.cli._demo_results import report, write_results
    from uav_perception.evaluation.bag import Bag
    from uav_perception.nodes.errors import NodeError
    from uav_perception.nodes.live import replay
    from uav_perception.nodes.live_processes import nodes_command, running, stay_on_this_machine
    from uav_perception.nodes.model_parameters import find_model
    from uav_perception.resources import resource

    if not 0.0 <= args.score_threshold <= 1.0:
        raise NodeError(f"--score-threshold must lie from 0 to 1, but it is {args.score_threshold:g}.")
    flight = args.flight or resource("resource", "demo_flight")
    if not flight.exists():
        raise FileNotFoundError(f"{flight} does not exist; give a rosbag2 folder.")
    find_model(args.model, "detector")
    find_model(args.action_model, "action")
    stay_on_this_machine()
    bag = Bag(flight)
    command = nodes_command(bag, args.model, args.action_model, args.separate)
    # The nodes keep showing a tracked object down to a much lower score; a picture for newcomers shows what is sure.
    for name in ("score_threshold", "track_low_score"):
        command += ["-p", f"detector.{name}={args.score_threshold}"]
    print(f"Starting the nodes: uav-perception {' '.join(command[3:])}", flush=True)
    # rclpy's own handlers would take SIGTERM without ending the process.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        with running(command) as nodes, tqdm(total=len(bag), unit="frame", desc="Flight") as bar:
            record = replay(
                flight, nodes.pid, rate=args.rate, is_alive=lambda: nodes.poll() is None, on_image=bar.update
            )
    finally:
        rclpy.try_shutdown()
    summary = write_results(flight, record, args.out)
    print(report(summary, args.out))
    return 0 if record.complete else 1
