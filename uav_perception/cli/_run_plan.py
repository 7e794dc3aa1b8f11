"""Turns the options of `uav-perception run` into command lines."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

from uav_perception.nodes.errors import NodeError
from uav_perception.nodes.plan import ALL, NODES, Plan, find_parameters


def command_lines(args: argparse.Namespace, folder: str | Path) -> dict[str, list[str]]:
    """The processes to start.

    Args:
        args: the parsed options.
        folder: where parameter overrides are written; it must outlive the processes' start.

    Returns:
        Command lines by process name.

    Raises:
        NodeError: an unknown node, a parameter that cannot be read, a missing file.
    """
    plan = Plan(
        params_file=find_parameters(args.params_file),
        model=args.model,
        action_model=args.action_model,
        names=tuple(name.strip() for name in args.nodes.split(",") if name.strip()),
        use_sim_time=args.use_sim_time,
        autostart=False if args.no_autostart else None,
        parameters=_parameters(args.param),
    )
    nodes = plan.nodes()
    ros = ["--ros-args", "--log-level", args.log_level]
    for path in plan.write_overrides(Path(folder) / "overrides.yaml"):
        ros += ["--params-file", str(path)]
    if args.namespace:
        ros += ["-r", f"__ns:=/{args.namespace.strip('/')}"]
    if args.image:
        ros += ["-r", f"image:={args.image}"]
    program = [sys.executable, "-m", "uav_perception.nodes.programs"]
    if args.separate:
        return {node: [*program, node, *ros] for node in nodes}
    return {"perception": [*program, *nodes, *ros]}


def _parameters(texts: list[str]) -> dict[str, dict[str, object]]:
    values: dict[str, dict[str, object]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        node, dot, parameter = name.partition(".")
        if not (node and equals and dot and parameter):
            raise NodeError(
                f"--param {text!r} must have the form NODE.NAME=VALUE, such as detector.score_threshold=0.4."
            )
        if node not in (*NODES, ALL):
            raise NodeError(
                f"--param {text!r}: there is no node {node}; known are {', '.join(NODES)}, and {ALL} for all."
            )
        try:
            values.setdefault(node, {})[parameter] = yaml.safe_load(value) if value else ""
        except yaml.YAMLError as error:
            raise NodeError(f"--param {text!r}: {value!r} is no value in YAML; put a text into quotes.") from error
    return values
