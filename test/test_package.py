"""The package's own promises: which way the imports go, and that every message field is explained."""

import ast
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "uav_perception"
MIDDLEWARE = {"rclpy", "launch", "launch_ros", "cv_bridge"}
TRAINING = {"torch", "torchvision", "lightning", "torchmetrics"}
# Areas that fly: they may not need torch. `nodes` alone may import ROS.
RUNTIME = ("frames", "inference", "actions", "tracking", "flight", "evaluation", "nodes")
TRAINING_AREAS = ("networks", "distillation", "training")
ROS_FREE = [area for area in RUNTIME if area != "nodes"] + [*TRAINING_AREAS, "datasets", "simulation", "deployment"]


def _imports(path: Path, top_level_only: bool) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _roots(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def _areas(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("uav_perception.")}


def _sources(area: str) -> list[Path]:
    return sorted((PACKAGE / area).rglob("*.py"))


@pytest.mark.parametrize("area", RUNTIME)
def test_what_flies_needs_no_torch(area):
    for path in _sources(area):
        names = _imports(path, top_level_only=False)
        assert not _roots(names) & TRAINING, path
        assert not _areas(names) & {*TRAINING_AREAS}, path


@pytest.mark.parametrize("area", ROS_FREE)
def test_only_the_nodes_import_ros(area):
    for path in _sources(area):
        names = _imports(path, top_level_only=False)
        assert not _roots(names) & MIDDLEWARE, path
        assert "nodes" not in _areas(names), path


def test_the_command_line_answers_without_the_extras():
    for path in _sources("cli"):
        names = _imports(path, top_level_only=True)
        assert not _roots(names) & (MIDDLEWARE | TRAINING | {"mujoco", "tensorrt"}), path


@pytest.mark.parametrize("path", sorted((ROOT / "msg").glob("*.msg")), ids=lambda path: path.stem)
def test_every_message_is_explained(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# "), "the first line says what the message is"
    for line in lines:
        if line and not line.startswith("#") and "=" not in line.split("#")[0]:
            assert re.match(r"\S+ \w+ +# \S", line), f"no explanation: {line}"


def test_the_version_is_the_same_everywhere():
    version = re.search(r'^__version__ = "(.+)"$', (PACKAGE / "__init__.py").read_text(), re.MULTILINE).group(1)
    assert ElementTree.parse(ROOT / "package.xml").findtext("version") == version
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text()
