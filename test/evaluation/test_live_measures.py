import numpy as np
import pytest
from flight_bags import write_flight

from uav_perception.cli._run_plan import _parameters
from uav_perception.cli.main import build_parser
from uav_perception.evaluation.bag import Bag
from uav_perception.evaluation.errors import EvaluationError
from uav_perception.evaluation.recordings import Recording
from uav_perception.evaluation.settings import Settings
from uav_perception.nodes.live_evaluation import measure_live, node_parameters, stream_summary
from uav_perception.nodes.live_processes import nodes_command


def test_counts_latency_and_jitter_by_hand():
    found = stream_summary(range(5), np.array([10.0, 20.0, 30.0]), np.array([0, 60_000_000, 100_000_000]))
    assert (found["sent"], found["results"], found["dropped"]) == (5, 3, 2)
    assert found["latency_ms"]["p50"] == 20.0
    assert found["jitter_ms"] == pytest.approx(10.0)
    assert stream_summary([1], np.zeros(0), np.zeros(0))["jitter_ms"] is None


def test_the_nodes_get_the_topic_and_transport_of_the_bag(tmp_path):
    raw = nodes_command(Bag(write_flight(tmp_path / "raw", count=1)), "m.onnx")
    assert raw[raw.index("--image") + 1] == "/camera/image_raw"
    assert "-p" not in raw
    bag = Bag(write_flight(tmp_path / "jpeg", count=1, compressed=True))
    both = nodes_command(bag, "m.onnx", "a.onnx")
    assert both[both.index("--nodes") + 1] == "detector,action"
    assert both[both.index("--image") + 1] == "/camera/image_raw"
    assert "action.image_transport=compressed" in both


def test_the_nodes_run_as_the_rest_of_the_run_does():
    settings = Settings(model="m.onnx", backend="openvino", threads=2, track=False)
    assert node_parameters(settings) == [
        'detector.backend="openvino"',
        "detector.threads=2",
        "detector.tracking=false",
    ]
    actors = Settings(model="m.onnx", action_model="a.onnx", action_scope="both", actor_classes=())
    arguments = ["run", "--model", "m.onnx", "--nodes", "detector,action"]
    for parameter in node_parameters(actors):
        arguments += ["-p", parameter]
    plan = _parameters(build_parser().parse_args(arguments).param)
    assert plan["action"] == {"backend": "onnxruntime", "threads": 0, "scope": "both", "actor_classes": ""}
    assert plan["detector"]["tracking"] is True


def test_live_needs_a_bag_and_a_detector():
    with pytest.raises(EvaluationError, match="none of the recordings is one"):
        measure_live([], Settings(model="m.onnx"), 1.0, 1)
    with pytest.raises(EvaluationError, match="give --model"):
        measure_live([Recording("x", "bag", "x")], Settings(action_model="a.onnx"), 1.0, 1)
