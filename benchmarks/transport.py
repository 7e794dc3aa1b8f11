"""Whether camera images arrive between two processes: Fast DDS's defaults against the shipped profile.

A publisher process sends best-effort images at a camera's rate, this process receives them the way the nodes do (raw
bytes, `mallopt`). For each image size and profile: the share that arrived, and the time from publishing to arrival.

    python benchmarks/transport.py --seconds 4
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from uav_perception.files import write_json
from uav_perception.nodes.transport import PROFILE_VARIABLES, profile_path, profile_variable
from uav_perception.provenance import provenance

SIZES = {"640x480": (640, 480), "1280x720": (1280, 720), "1920x1080": (1920, 1080)}
RESULT = Path(__file__).parent / "results" / "transport.json"


def publish(size: str, rate: float, seconds: float) -> None:
    """The camera: publishes for a while after the first subscriber came, then prints how many images were sent."""
    import rclpy
    from sensor_msgs.msg import Image

    from uav_perception.nodes.conversions import to_header
    from uav_perception.nodes.publishing import publish as send
    from uav_perception.nodes.qos import sensor

    width, height = SIZES[size]
    rclpy.init(args=[])
    node = rclpy.create_node("benchmark_camera")
    publisher = node.create_publisher(Image, "benchmark_image", sensor())
    message = Image(height=height, width=width, encoding="bgr8", step=3 * width)
    message.data = np.random.default_rng(0).integers(0, 255, height * width * 3, np.uint8).tobytes()
    while not publisher.get_subscription_count():
        time.sleep(0.01)
    time.sleep(0.5)
    start, sent = time.monotonic(), 0
    while time.monotonic() - start < seconds:
        message.header = to_header(time.monotonic_ns(), "camera")
        sent += send(publisher, message, node)
        time.sleep(max(0.0, start + sent / rate - time.monotonic()))
    print(sent, flush=True)
    time.sleep(1.0)
    node.destroy_node()
    rclpy.shutdown()


def measure(size: str, rate: float, seconds: float) -> dict[str, float]:
    """Receive in this process; the camera runs in another, both with the environment's profile."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import Image

    from uav_perception.frames.cdr import parse_image
    from uav_perception.nodes.allocator import keep_large_blocks
    from uav_perception.nodes.qos import sensor

    keep_large_blocks()
    rclpy.init(args=[])
    node = rclpy.create_node("benchmark_receiver")
    latencies: list[float] = []

    def receive(data: bytes) -> None:
        header, _ = parse_image(data)
        latencies.append((time.monotonic_ns() - header.stamp_ns) / 1e6)

    node.create_subscription(Image, "benchmark_image", receive, sensor(), raw=True)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    command = [sys.executable, __file__, "--publish", size, "--rate", str(rate), "--seconds", str(seconds)]
    camera = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while camera.poll() is None:
        executor.spin_once(timeout_sec=0.1)
    sent = int(camera.stdout.read())
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown()
    if not latencies:
        return {"sent": sent, "delivered": 0.0}
    p50, p99 = np.percentile(latencies, (50, 99))
    return {
        "sent": sent,
        "delivered": round(len(latencies) / sent, 3),
        "p50_ms": round(float(p50), 2),
        "p99_ms": round(float(p99), 2),
    }


def run(rate: float, seconds: float) -> dict[str, dict[str, dict[str, float]]]:
    """Every size with both profiles, each in fresh processes, since Fast DDS reads its profile once."""
    results: dict[str, dict[str, dict[str, float]]] = {}
    for size in SIZES:
        results[size] = {}
        for profile in ("default", "shipped"):
            environment = {name: value for name, value in os.environ.items() if name not in PROFILE_VARIABLES}
            environment["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
            environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
            if profile == "shipped":
                environment[profile_variable()] = str(profile_path())
            command = [sys.executable, __file__, "--measure", size, "--rate", str(rate), "--seconds", str(seconds)]
            output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
            results[size][profile] = dict(zip_numbers(output))
            print(f"{size:>10} {profile:>8}  {results[size][profile]}", flush=True)
    return results


def zip_numbers(output: str) -> list[tuple[str, float]]:
    """``name=number`` pairs of the last line."""
    return [(name, float(value)) for name, value in (pair.split("=") for pair in output.splitlines()[-1].split())]


def main() -> int:
    """Measure and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=30.0, help="images a second")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each measurement")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--publish", choices=SIZES, help=argparse.SUPPRESS)
    parser.add_argument("--measure", choices=SIZES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.publish:
        publish(args.publish, args.rate, args.seconds)
    elif args.measure:
        print(" ".join(f"{name}={value}" for name, value in measure(args.measure, args.rate, args.seconds).items()))
    else:
        results = run(args.rate, args.seconds)
        record = {"rate_hz": args.rate, "load_average": round(os.getloadavg()[0], 2), "results": results}
        write_json(args.out, {**record, "provenance": provenance(seed=0)})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
