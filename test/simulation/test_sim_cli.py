"""`uav-perception simulate` from the command line."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from uav_perception.cli.main import main


def test_flight_command_writes_a_bag(tmp_path, capsys):
    size = ["--seconds", "0.5", "--rate", "4", "--width", "64", "--height", "48"]
    content = ["--people", "0", "--vehicles", "0", "--actions", "clap", "--seed", "2"]
    assert main(["simulate", "flight", str(tmp_path / "bag"), *size, *content]) == 0
    assert "     2  /ground_truth/actions" in capsys.readouterr().out
    assert (tmp_path / "bag" / "metadata.yaml").is_file()


def test_detection_command_writes_images(tmp_path, capsys):
    arguments = ["--images", "1", "--width", "96", "--height", "64", "--seed", "2"]
    assert main(["simulate", "detection", str(tmp_path / "set"), *arguments]) == 0
    assert "1 images in" in capsys.readouterr().out
    assert (tmp_path / "set" / "coco.json").is_file()


def test_a_full_disk_leaves_no_cut_off_picture(tmp_path, capsys):
    """A limit on the size of files stands in for the end of the disk: the same failing write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # simulation.json fits, a picture does not
    try:
        arguments = ["--images", "1", "--width", "96", "--height", "64", "--seed", "2"]
        assert main(["simulate", "detection", str(tmp_path / "set"), *arguments]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "cannot be written: File too large" in capsys.readouterr().err
    assert list((tmp_path / "set/images").iterdir()) == []


def test_the_installed_command_works_with_several_processes(tmp_path):
    root = Path(__file__).parents[2]
    size = ["--images", "5", "--width", "96", "--height", "64"]
    subprocess.run(
        [
            sys.executable,
            root / "scripts/uav-perception",
            "simulate",
            "detection",
            tmp_path / "set",
            "--jobs",
            "2",
            *size,
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])},
        check=True,
        timeout=120,
    )
    assert (tmp_path / "set" / "coco.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["flight", "bag", "--actions", "fly"], "uav-perception: Unknown actions ['fly']"),
        (["actions", "set", "--clips", "5"], "uav-perception: 5 clips do not give every action"),
    ],
)
def test_mistakes_are_said_in_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith(message) and error.count("\n") == 1
