"""The console command: expected errors are one line with a remedy, unexpected ones are not hidden."""

import types

import pytest

from uav_perception.cli import main as cli
from uav_perception.errors import UavPerceptionError


def _main_with(monkeypatch, error):
    def fail(args):
        raise error

    parser = types.SimpleNamespace(parse_args=lambda argv: types.SimpleNamespace(run=fail))
    monkeypatch.setattr(cli, "build_parser", lambda: parser)
    return cli.main([])


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (UavPerceptionError("score_threshold is 1.5; give a value from 0 to 1."), 1, "score_threshold is 1.5"),
        (FileNotFoundError(2, "No such file or directory", "model.onnx"), 1, "model.onnx"),
        (PermissionError(13, "Permission denied", "report"), 1, "Permission denied: 'report'"),
        (ModuleNotFoundError("x", name="torch"), 1, "uav_perception[train]"),
        (ModuleNotFoundError("x", name="mujoco"), 1, "uav_perception[sim]"),
        (ModuleNotFoundError("x", name="rclpy"), 1, "make setup"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_expected_errors_are_one_line(monkeypatch, capsys, error, status, message):
    assert _main_with(monkeypatch, error) == status
    output = capsys.readouterr().err
    assert output.startswith("uav-perception: ")
    assert message in output
    assert output.count("\n") == 1


def test_a_programming_error_is_not_hidden(monkeypatch):
    with pytest.raises(ZeroDivisionError):
        _main_with(monkeypatch, ZeroDivisionError())


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out.startswith("uav-perception ")
