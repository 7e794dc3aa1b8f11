"""Starts processes, watches them, and leaves none behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from uav_perception.nodes.child import die_with_parent
from uav_perception.nodes.transport import use_shipped_profile

_POLL = 0.1  # [s]
_PATIENCE = 10.0  # from SIGTERM to SIGKILL [s]
_RESPAWN_DELAY = 2.0  # [s]


class Supervisor:
    """Runs processes until SIGINT or SIGTERM, or until all have ended.

    Args:
        commands: command lines by process name.
        respawn: start a process again when it ends by itself.
    """

    def __init__(self, commands: Mapping[str, Sequence[str]], respawn: bool) -> None:
        self._commands = commands
        self._respawn = respawn
        self._children: dict[str, subprocess.Popen] = {}
        self._due: dict[str, float] = {}
        self._stopping = False

    def run(self) -> int:
        """Start all and wait.

        Returns:
            0 after a signal, otherwise the worst exit code of the processes.
        """
        before = {s: signal.signal(s, self._stop) for s in (signal.SIGINT, signal.SIGTERM)}
        environment = dict(os.environ)
        use_shipped_profile(environment)
        code = 0
        try:
            for name, command in self._commands.items():
                self._start(name, command, environment)
            while not self._stopping and (self._children or self._due):
                time.sleep(_POLL)
                code = max([code, *self._reap()])
                for name in [name for name, due in self._due.items() if time.monotonic() >= due]:
                    del self._due[name]
                    self._start(name, self._commands[name], environment)
        finally:
            self._end_all()
            for number, handler in before.items():
                signal.signal(number, handler)
        return 0 if self._stopping else code

    def _start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        # A group of its own: Ctrl-C reaches the supervisor alone, which then ends the processes in order.
        self._children[name] = subprocess.Popen(
            command, env=environment, start_new_session=True, preexec_fn=die_with_parent
        )

    def _reap(self) -> list[int]:
        """Collect the processes that have ended; returns their exit codes as a shell gives them."""
        codes = []
        for name, child in list(self._children.items()):
            code = child.poll()
            if code is None:
                continue
            del self._children[name]
            codes.append(code if code >= 0 else 128 - code)
            how = f"ended with code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
            if self._respawn:
                self._due[name] = time.monotonic() + _RESPAWN_DELAY
                how += f"; it starts again in {_RESPAWN_DELAY:g} s"
            print(f"uav-perception: the process {name} {how}", file=sys.stderr, flush=True)
        return codes

    def _stop(self, signum: int, frame: object) -> None:
        self._stopping = True

    def _end_all(self) -> None:
        for child in self._children.values():
            child.terminate()  # not SIGINT: a child that still imports would answer it with a traceback
        deadline = time.monotonic() + _PATIENCE
        for name, child in self._children.items():
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                print(f"uav-perception: {name} did not stop within {_PATIENCE:g} s and is killed", file=sys.stderr)
                child.kill()
                child.wait()
