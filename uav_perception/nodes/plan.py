"""Which nodes to run and with what: the arguments that `ros2 launch` and `uav-perception run` share. No ROS import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from uav_perception.files import write_text
from uav_perception.nodes.errors import NodeError
from uav_perception.resources import resource, share_directory

NODES = ("detector", "action", "overlay", "geolocation")
_NEEDS_MODEL = ("detector", "action")
ALL = "**"


@dataclass(frozen=True)
class Plan:
    """What the user asked for.

    Attributes:
        params_file: ROS parameter file.
        model: detector model, over the file's; empty for the file's.
        action_model: action model, over the file's; empty for the file's.
        names: the nodes to run; empty for the overlay, every node that has a model, and geolocation when the file names
            a ``vehicle``.
        use_sim_time: take the time from ``/clock``.
        autostart: configure and activate at the start; None leaves it to the file.
        parameters: further parameters by node name; `ALL` stands for every node.
    """

    params_file: Path
    model: str = ""
    action_model: str = ""
    names: tuple[str, ...] = ()
    use_sim_time: bool = False
    autostart: bool | None = None
    parameters: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = [name for name in self.names if name not in NODES]
        if unknown:
            raise NodeError(f"there is no node {', '.join(unknown)}; known are {', '.join(NODES)}.")

    def nodes(self) -> tuple[str, ...]:
        """Names of the nodes to run.

        Raises:
            NodeError: the file cannot be read, or no node has a model.
        """
        if self.names:
            return self.names
        found = self._found_parameters()
        left_out = {name for name in _NEEDS_MODEL if not found[name].get("model")}
        if left_out == set(_NEEDS_MODEL):
            raise NodeError(
                "no model is named, so there is nothing to run. Give the path of an ONNX model as `model` (detector) "
                f"or `action_model`, or set `model` in {self.params_file}."
            )
        if found["geolocation"].get("vehicle", "none") == "none":
            left_out.add("geolocation")
        return tuple(name for name in NODES if name not in left_out)

    def overrides(self) -> dict[str, dict[str, object]]:
        """Parameters that go over the file's, by node name."""
        values: dict[str, dict[str, object]] = {}
        if self.use_sim_time:
            values.setdefault(ALL, {})["use_sim_time"] = True
        if self.autostart is not None:
            for name in NODES:
                values.setdefault(name, {})["autostart"] = self.autostart
        for name, model in (("detector", self.model), ("action", self.action_model)):
            if model:
                values.setdefault(name, {})["model"] = model
        for name, parameters in self.parameters.items():
            values.setdefault(name, {}).update(parameters)
        return values

    def write_overrides(self, path: str | Path) -> list[Path]:
        """The parameter files for a node's command line: the user's, and one with the overrides when there are any.

        A file is written because ``-p node:name:=value`` finds a node only in the root namespace.
        """
        values = self.overrides()
        if not values:
            return [self.params_file]
        content = {
            f"/{ALL}" if name == ALL else f"/{ALL}/{name}": {"ros__parameters": parameters}
            for name, parameters in values.items()
        }
        write_text(path, yaml.safe_dump(content, sort_keys=False))
        return [self.params_file, Path(path)]

    def _found_parameters(self) -> dict[str, dict[str, object]]:
        """The file's parameters by last part of the node name, with the overrides on top, and those of all nodes in."""
        found: dict[str, dict[str, object]] = {}
        for key, value in read_parameters(self.params_file).items():
            found.setdefault(key.rsplit("/", 1)[-1], {}).update(value)
        for name, parameters in self.overrides().items():
            found.setdefault(name, {}).update(parameters)
        return {name: {**found.get(ALL, {}), **found.get(name, {})} for name in NODES}


def find_parameters(value: str) -> Path:
    """The parameter file that a user names: a path, or the name of a file in the package's ``config/``.

    Args:
        value: empty for the shipped defaults.

    Returns:
        The path; where there is no such file it is the user's own, for the message of whoever reads it.
    """
    if not value:
        return resource("config", "perception.yaml")
    path = Path(value).expanduser()
    shipped = share_directory() / "config" / value
    return shipped if not path.is_file() and shipped.is_file() else path


def read_parameters(path: Path) -> dict[str, dict[str, object]]:
    """Parameters of a ROS parameter file by full node name.

    Raises:
        NodeError: there is no such file, or it is no ROS parameter file.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError as error:
        raise NodeError(f"the parameter file {path} does not exist.") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise NodeError(f"the parameter file {path} cannot be read: {error}") from error
    found: dict[str, dict[str, object]] = {}
    _collect(content, "", found, path)
    return found


def _collect(content: object, name: str, found: dict[str, dict[str, object]], path: Path) -> None:
    """Walk down to the keys `ros__parameters`; namespaces may be nested."""
    if not isinstance(content, dict):
        raise NodeError(
            f"{path} is no ROS parameter file: {name or 'its top'} must be a mapping down to `ros__parameters`."
        )
    for key, value in content.items():
        if key == "ros__parameters" and isinstance(value, dict | None):
            found[name] = dict(value or {})
        else:
            _collect(value, f"{name}/{str(key).strip('/')}", found, path)
