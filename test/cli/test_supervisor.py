"""The supervisor of `uav-perception run`, over processes that are no nodes."""

import os
import signal
import sys
import threading
import time

import pytest

from uav_perception.cli._supervisor import Supervisor


def _python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_is_still_starting_ends_at_once_and_silently(tmp_path, capfd, number):
    up = tmp_path / "up"
    # As a node that still imports: it has no handlers of its own yet.
    commands = {"node": _python(f"import pathlib, time; pathlib.Path({str(up)!r}).touch(); time.sleep(60)")}

    def signal_when_up() -> None:
        while not up.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=signal_when_up)
    sender.start()
    begin = time.monotonic()
    assert Supervisor(commands, respawn=False).run() == 0
    sender.join()
    assert time.monotonic() - begin < 8
    assert capfd.readouterr().err == ""


def test_the_worst_exit_code_is_handed_on_when_all_have_ended(capfd):
    commands = {"good": _python("pass"), "bad": _python("raise SystemExit(3)")}
    assert Supervisor(commands, respawn=False).run() == 3
    assert "the process bad ended with code 3" in capfd.readouterr().err
