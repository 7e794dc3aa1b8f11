"""The launch file through the real `launch`, where it is installed; the plain integration tests stand in elsewhere."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip(
    "launch_pytest", reason="launch_pytest is not installed (ros-$ROS_DISTRO-launch-pytest; it is not on PyPI)"
)
pytest.importorskip("launch_ros", reason="launch_ros is not installed (it comes with ROS 2, not from PyPI)")
pytest.importorskip("ament_index_python", reason="ament_index_python is not installed")

import launch_pytest
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

from launch import LaunchDescription

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "test" / "integration"))

try:
    get_package_prefix("uav_perception")
except PackageNotFoundError:
    pytest.skip("uav_perception is not built into this workspace (colcon build)", allow_module_level=True)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A detector that boxes the bright part of an image."""
    from tiny_models import blob_detector

    return {"blobs": blob_detector(tmp_path_factory.mktemp("models") / "blobs.onnx")}


@pytest.fixture(scope="module")
def client():
    """A node of the test's process, on a domain of its own."""
    import rclpy
    from ros_client import Client

    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    rclpy.init()
    client = Client()
    yield client
    client.close()
    rclpy.try_shutdown()


def _description(models, namespace: str, composed: bool) -> LaunchDescription:
    source = PythonLaunchDescriptionSource(str(REPOSITORY / "launch" / "perception.launch.py"))
    arguments = {
        "model": str(models["blobs"]),
        "image": f"/{namespace}/image",
        "namespace": namespace,
        "use_composition": str(composed).lower(),
    }
    return LaunchDescription(
        [IncludeLaunchDescription(source, launch_arguments=arguments.items()), launch_pytest.actions.ReadyToTest()]
    )


@launch_pytest.fixture
def composed(models, client):
    """All nodes in one process."""
    return _description(models, "l1", composed=True)


@launch_pytest.fixture
def separate(models, client):
    """A process for each node."""
    return _description(models, "l2", composed=False)


def _detects(client, namespace: str) -> None:
    from ros_client import Camera, blob, wait_until
    from uav_perception.msg import DetectionArray

    from uav_perception.nodes.qos import results

    client.wait_for_state(f"/{namespace}/detector", "active", 60.0)
    client.wait_for_state(f"/{namespace}/overlay", "active", 60.0)
    found = client.collect(DetectionArray, f"/{namespace}/detector/detections", results())
    camera = Camera(client, f"/{namespace}/image")
    camera.wait_for_subscribers()
    stamp = 1_800_000_000 * 10**9

    def seen() -> bool:
        nonlocal stamp
        stamp += 10**8
        camera.send(blob(), stamp)
        time.sleep(0.1)
        return any(message.detections for message in found)

    wait_until(seen, 20, "detections")
    assert client.get_parameter(f"/{namespace}/detector", "track_low_score").double_value == 0.1


@pytest.mark.launch(fixture=composed)
def test_the_nodes_run_in_one_process(client):
    _detects(client, "l1")


@pytest.mark.launch(fixture=separate)
def test_the_nodes_run_in_processes_of_their_own(client):
    _detects(client, "l2")
