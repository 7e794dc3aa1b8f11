"""The newcomer's command: flight, live nodes, video and summary; and nothing left running."""

import json
import os
import subprocess
import sys

import cv2
import psutil
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed; `make setup` brings it")
pytest.importorskip("uav_perception.msg", reason="the messages are not built; `make setup` builds them")


def _node_processes():
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if "uav_perception.nodes.programs" in line and str(os.getpid()) in process.environ().get("TEST_OWNER", ""):
            found.append(line)
    return found


@pytest.mark.slow
def test_demo_flies_the_shipped_flight(tmp_path):
    command = [sys.executable, "-m", "uav_perception", "demo", "--out", str(tmp_path), "--rate", "2"]
    environment = {**os.environ, "TEST_OWNER": str(os.getpid())}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["complete"]
    assert summary["frames_in"] == 288
    assert summary["frames_processed"] + summary["frames_dropped"] == summary["frames_in"]
    assert summary["frames_processed"] > 10
    assert summary["detections"]["person"] > 10
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p99"]
    assert {row["label"] for row in summary["true_action_segments"]} >= {"hug", "clap", "squat", "walk"}
    assert "frames      288 in" in done.stdout

    video = cv2.VideoCapture(str(tmp_path / "annotated.mp4"))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == summary["frames_in"]
    assert (video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (960, 576)
    assert _node_processes() == []


@pytest.mark.parametrize(
    ("option", "message"), [("--flight", "nothing does not exist"), ("--model", "nothing does not exist")]
)
def test_what_is_missing_is_said_at_once_and_nothing_stays(tmp_path, option, message):
    command = [sys.executable, "-m", "uav_perception", "demo", "--out", str(tmp_path / "out")]
    environment = {**os.environ, "TEST_OWNER": str(os.getpid())}
    done = subprocess.run(
        [*command, option, str(tmp_path / "nothing")], env=environment, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
    assert _node_processes() == []
