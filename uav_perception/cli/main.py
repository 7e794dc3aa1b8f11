"""Entry point of `uav-perception`: finds the subcommands, turns expected errors into one clear line."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys

from uav_perception import __version__, cli
from uav_perception.errors import UavPerceptionError

_NOT_COMMANDS = {"main"}


def _commands() -> list[str]:
    names = (module.name for module in pkgutil.iter_modules(cli.__path__))
    return sorted(name for name in names if name not in _NOT_COMMANDS and not name.startswith("_"))


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command, every subcommand included."""
    parser = argparse.ArgumentParser(prog="uav-perception", description=sys.modules["uav_perception"].__doc__)
    parser.add_argument("--version", action="version", version=f"uav-perception {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in _commands():
        module = importlib.import_module(f"uav_perception.cli.{name}")
        subparser = subparsers.add_parser(name.replace("_", "-"), help=module.HELP, description=module.HELP)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand.

    Returns:
        0 on success, 1 on an error the user can mend (said in one line on stderr), 130 on Ctrl-C.
    """
    args = build_parser().parse_args(argv)
    try:
        return args.run(args) or 0
    except UavPerceptionError as error:
        print(f"uav-perception: {error}", file=sys.stderr)
    except OSError as error:  # a file that is missing, a folder that cannot be written, a full disk
        print(f"uav-perception: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        print(f"uav-perception: {_install_hint(error.name or '')}", file=sys.stderr)
    except KeyboardInterrupt:
        print("uav-perception: stopped", file=sys.stderr)
        return 130
    return 1


_EXTRA_OF = {
    "torch": "train", "torchvision": "train", "lightning": "train", "torchmetrics": "train",
    "mujoco": "sim", "tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt", "cuda": "tensorrt",
}  # fmt: skip


def _install_hint(module: str) -> str:
    root = module.split(".")[0]
    if root == "rclpy" or root.endswith("_msgs") or module == "uav_perception.msg":
        return (
            f"this command needs ROS 2, and the module {module!r} is not there. "
            "Source your ROS 2 workspace, or run `make setup` in the repository and use its .venv."
        )
    if root in _EXTRA_OF:
        extra = _EXTRA_OF[root]
        return f"this command needs the module {root!r}; install it with `pip install 'uav_perception[{extra}]'`."
    return f"the module {module!r} is missing; reinstall uav_perception with `pip install .`."


if __name__ == "__main__":
    sys.exit(main())
