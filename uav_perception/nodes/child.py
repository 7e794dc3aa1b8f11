"""A child process that does not outlive the one that started it."""

from __future__ import annotations

import ctypes
import signal

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
_PRCTL = getattr(ctypes.CDLL(None), "prctl", None)  # looked up here: between fork and exec little is safe


def die_with_parent() -> None:
    """The ``preexec_fn`` of a `subprocess.Popen`: when its parent ends, in whatever way, it gets SIGTERM (Linux)."""
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGTERM)
