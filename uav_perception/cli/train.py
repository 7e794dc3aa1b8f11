"""`uav-perception train detector|action`: train from a recipe."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

HELP = "train a detector or an action network from a recipe"

# Task and the module whose ``run_training(recipe, output, resume)`` does it.
_TASKS = {
    "detector": ("uav_perception.training.detector", "train a GFL, ATSS or FCOS detector, alone or with a teacher"),
    "action": ("uav_perception.training.action", "train LARMUV or a network it is compared with"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subparser a task, all with the same options."""
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    for task, (_, help_) in _TASKS.items():
        command = tasks.add_parser(task, help=help_, description=help_)
        command.add_argument("--config", type=Path, required=True, metavar="RECIPE", help="recipe (config/recipes/)")
        command.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            dest="overrides",
            help="override a value of the recipe, for example training.epochs=3; may be repeated",
        )
        command.add_argument("--output", type=Path, help="folder of the run; default runs/<name of the recipe>")
        command.add_argument("--resume", action="store_true", help="go on from the last checkpoint in the folder")


def run(args: argparse.Namespace) -> int:
    """Load the recipe and hand it to the task's trainer."""
    from uav_perception.training.recipes import load_recipe

    recipe = load_recipe(args.config, args.overrides)
    output = args.output or Path("runs") / args.config.stem
    trainer = importlib.import_module(_TASKS[args.task][0])
    return trainer.run_training(recipe, output, resume=args.resume)
