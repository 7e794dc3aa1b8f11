"""`uav-perception play`: a recorded flight over DDS in real time."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "play a recorded flight over DDS in real time (sqlite3 or MCAP; no rosbag2 needed)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("flight", type=Path, help="a rosbag2 folder, the one that holds metadata.yaml")
    parser.add_argument("--rate", type=float, default=1.0, help="speed; 2 is twice as fast (default 1)")
    parser.add_argument("--loop", action="store_true", help="start again at the end, until Ctrl-C")
    parser.add_argument("--topics", nargs="+", metavar="TOPIC", help="play only these (default: all)")
    parser.add_argument("--clock", action="store_true", help="publish /clock, for nodes with use_sim_time")
    parser.add_argument("--prefix", default="", help="put before every topic, for example /drone1")
    parser.add_argument("--wait", type=float, default=0.0, metavar="S", help="wait up to S seconds for a subscriber")


def run(args: argparse.Namespace) -> int:
    """Play until the end, or for ever with ``--loop``."""
    from uav_perception.nodes.transport import use_shipped_profile

    use_shipped_profile()
    import rclpy
    from rclpy.signals import SignalHandlerOptions
    from tqdm import tqdm

    from uav_perception.nodes.player import FlightPlayer

    if not args.flight.exists():
        raise FileNotFoundError(f"{args.flight} does not exist; give a rosbag2 folder.")
    # rclpy's own handlers would take SIGTERM without ending the process.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("uav_perception_player")
    try:
        player = FlightPlayer(node, args.flight, args.topics, args.rate, args.clock, args.prefix)
        try:
            if args.wait and not player.wait_for_subscriber(args.wait):
                node.get_logger().warning(f"no subscriber came within {args.wait:g} s; playing all the same.")
            again = True
            while again:
                with tqdm(total=player.message_count, unit="msg", desc=args.flight.name) as bar:
                    player.play(lambda played, data, bar=bar: bar.update())
                again = args.loop
        finally:
            player.close()
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0
