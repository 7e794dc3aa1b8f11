"""A thread with a mailbox: the newest item wins, and every item that was overtaken is counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class NewestWorker(Generic[Item]):
    """Processes items on a thread of its own, always the newest one.

    An item that waits is replaced by a newer one and counted as dropped. Items of different lanes do not replace each
    other: one of each may wait, and the lane that has waited longest comes first. An exception in ``process`` is handed
    to ``on_error`` and counted; the thread goes on with the next item.

    Args:
        process: called with one item at a time, on the worker's thread.
        on_error: called on the worker's thread with the exception that ``process`` raised.
        name: the thread's name, as debuggers show it.
    """

    def __init__(self, process: Callable[[Item], None], on_error: Callable[[Exception], None], name: str) -> None:
        self._process = process
        self._on_error = on_error
        self._condition = threading.Condition()
        self._waiting: dict[str, Item] = {}  # by lane, in the order in which the lanes began to wait
        self._stopping = False
        self._busy_since: float | None = None
        self._received = 0
        self._processed = 0
        self._dropped = 0
        self._failed = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def counts(self) -> dict[str, int]:
        """``received``, ``processed``, ``dropped`` (overtaken by a newer one or cleared) and ``failed`` so far."""
        with self._condition:
            return {
                "received": self._received,
                "processed": self._processed,
                "dropped": self._dropped,
                "failed": self._failed,
            }

    def busy_for(self) -> float:
        """How long the item in work has been in work [s]; 0 when there is none."""
        with self._condition:
            return 0.0 if self._busy_since is None else time.monotonic() - self._busy_since

    def put(self, item: Item, lane: str = "") -> None:
        """Hand over an item; never waits for the network. After `stop` the item counts as dropped."""
        with self._condition:
            self._received += 1
            if self._stopping or lane in self._waiting:
                self._dropped += 1
            if not self._stopping:
                self._waiting[lane] = item
                self._condition.notify_all()

    def clear(self) -> None:
        """Forget what waits, and count it as dropped."""
        with self._condition:
            self._drop_waiting()

    def wait_idle(self, timeout: float) -> bool:
        """Wait until nothing waits and nothing is being processed.

        Args:
            timeout: the longest wait [s].

        Returns:
            Whether the worker became idle in time.
        """
        with self._condition:
            return self._condition.wait_for(lambda: not self._waiting and self._busy_since is None, timeout)

    def stop(self, timeout: float = 10.0) -> bool:
        """End the thread after the item in work; what waits is dropped.

        Args:
            timeout: the longest wait for the item in work [s].

        Returns:
            Whether the thread has ended.
        """
        with self._condition:
            self._stopping = True
            self._drop_waiting()
            self._condition.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _drop_waiting(self) -> None:
        self._dropped += len(self._waiting)
        self._waiting.clear()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stopping or self._waiting)
                if self._stopping:
                    return
                item = self._waiting.pop(next(iter(self._waiting)))
                self._busy_since = time.monotonic()
            failed = False
            try:
                self._process(item)
            except Exception as error:  # the thread must outlive any image; the owner logs and counts it
                failed = True
                self._on_error(error)
            item = None  # let go of the image while waiting
            with self._condition:
                self._busy_since = None
                self._failed += failed
                self._processed += not failed
                self._condition.notify_all()
