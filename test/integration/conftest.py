"""Real nodes in real processes over real DDS, on a domain of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed; `make setup` installs it")
pytest.importorskip("uav_perception.msg", reason="the messages are not built; `make setup` builds them")

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Real processes meet over real discovery in real time: a machine that pauses for seconds earns a second try."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=2))


@pytest.fixture(scope="module")
def ros_context():
    """rclpy, with the shipped transport profile, seeing this machine only; other tests start it for themselves."""
    import rclpy

    from uav_perception.nodes.transport import use_shipped_profile

    before = dict(os.environ)
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    use_shipped_profile()
    rclpy.init()
    yield
    rclpy.try_shutdown()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def client(ros_context):
    """A node of the test's process."""
    from ros_client import Client

    client = Client()
    yield client
    client.close()


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Tiny models, by name."""
    from tiny_models import blob_detector, brightness_recogniser

    folder = tmp_path_factory.mktemp("models")
    return {
        "blobs": blob_detector(folder / "blobs.onnx"),
        "slow": blob_detector(folder / "slow.onnx", work=1500),
        "brightness": brightness_recogniser(folder / "brightness.onnx"),
    }


@pytest.fixture
def run(tmp_path, ros_context):
    """Starts `uav-perception run`; whatever a test leaves running is stopped."""
    from ros_client import Nodes

    started = []

    def start(*arguments, environment=None):
        nodes = Nodes(tmp_path / f"run{len(started)}.log", *arguments, environment=environment)
        started.append(nodes)
        return nodes

    yield start
    for nodes in started:
        nodes.stop()
