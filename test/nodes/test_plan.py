from pathlib import Path

import pytest
import yaml

from uav_perception.nodes.errors import NodeError
from uav_perception.nodes.plan import Plan, find_parameters, read_parameters
from uav_perception.nodes.transport import PROFILE_VARIABLES, profile_path, profile_variable, use_shipped_profile
from uav_perception.resources import resource

SHIPPED = resource("config", "perception.yaml")


def _file(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "parameters.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ({"model": "d.onnx"}, ("detector", "overlay")),
        ({"action_model": "a.onnx"}, ("action", "overlay")),
        ({"model": "d.onnx", "action_model": "a.onnx"}, ("detector", "action", "overlay")),
        ({"names": ("action",)}, ("action",)),
    ],
)
def test_nodes_without_a_model_are_left_out(models, expected):
    assert Plan(SHIPPED, **models).nodes() == expected


def test_models_and_vehicle_may_come_from_the_file(tmp_path):
    path = _file(
        tmp_path,
        {
            "/**/detector": {"ros__parameters": {"model": "d.onnx"}},
            "drone1": {"geolocation": {"ros__parameters": {"vehicle": "mavros"}}},
        },
    )
    assert Plan(path).nodes() == ("detector", "overlay", "geolocation")


def test_parameters_of_every_node_count_for_each(tmp_path):
    content = {
        "/**": {"ros__parameters": {"vehicle": "mavros", "model": "shared.onnx"}},
        "/**/action": {"ros__parameters": {"model": ""}},
    }
    assert Plan(_file(tmp_path, content)).nodes() == ("detector", "overlay", "geolocation")


@pytest.mark.parametrize("name", ["mavros.yaml", "px4.yaml"])
def test_the_flight_stack_files_run_geolocation(name):
    assert "geolocation" in Plan(resource("config", name), model="d.onnx").nodes()


def test_no_model_at_all_is_refused_with_the_remedy():
    with pytest.raises(NodeError, match="no model is named, so there is nothing to run"):
        Plan(SHIPPED).nodes()


def test_an_unknown_node_is_refused():
    with pytest.raises(NodeError, match="there is no node radar; known are detector, action"):
        Plan(SHIPPED, names=("radar",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "cannot be read"),
        ("- a", "no ROS parameter file"),
        ("detector: 3", "detector must be a mapping down"),
        ("detector: {ros__parameters: [1]}", "detector/ros__parameters must be a mapping"),
    ],
)
def test_a_file_that_is_no_parameter_file_is_refused(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(NodeError, match=message):
        read_parameters(path)


def test_a_parameter_file_is_a_path_or_the_name_of_a_shipped_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_parameters("") == SHIPPED
    assert find_parameters("mavros.yaml") == resource("config", "mavros.yaml")
    Path("mavros.yaml").write_text("{}")  # the user's own comes first
    Path("perception.yaml").write_text("{}")  # and is not taken unasked
    assert find_parameters("mavros.yaml") == Path("mavros.yaml") and find_parameters("") == SHIPPED
    monkeypatch.setenv("HOME", "/home/pilot")
    assert find_parameters("~/mine.yaml") == Path("/home/pilot/mine.yaml")
    assert find_parameters("mine.yaml") == Path("mine.yaml")


def test_overrides_reach_one_node_in_any_namespace(tmp_path):
    plan = Plan(
        SHIPPED,
        model="d.onnx",
        use_sim_time=True,
        autostart=False,
        parameters={"detector": {"score_threshold": 0.5}, "action": {"scope": "track"}},
    )
    files = plan.write_overrides(tmp_path / "o.yaml")
    assert files == [SHIPPED, tmp_path / "o.yaml"]
    content = yaml.safe_load(files[1].read_text())
    assert content["/**"]["ros__parameters"] == {"use_sim_time": True}
    assert content["/**/detector"]["ros__parameters"] == {
        "autostart": False, "model": "d.onnx", "score_threshold": 0.5,
    }  # fmt: skip
    assert content["/**/action"]["ros__parameters"]["scope"] == "track"


def test_without_overrides_no_file_is_written(tmp_path):
    assert Plan(SHIPPED).write_overrides(tmp_path / "o.yaml") == [SHIPPED]
    assert not (tmp_path / "o.yaml").exists()


@pytest.mark.parametrize(
    ("environment", "set_", "variable"),
    [
        ({}, True, PROFILE_VARIABLES[0]),
        ({"ROS_DISTRO": "humble"}, True, PROFILE_VARIABLES[1]),
        ({"ROS_DISTRO": "kilted"}, True, PROFILE_VARIABLES[0]),
        ({PROFILE_VARIABLES[1]: "/mine.xml"}, False, PROFILE_VARIABLES[0]),
    ],
)
def test_the_profile_is_set_unless_the_user_chose_one(environment, set_, variable):
    before = dict(environment)
    assert profile_variable(environment) == variable
    assert use_shipped_profile(environment) is set_
    assert environment == ({**before, variable: str(profile_path())} if set_ else before)
