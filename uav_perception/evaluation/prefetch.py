"""Reading ahead in a thread, so that decoding the next images overlaps with inference on this one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def prefetch(items: Iterable[Item], depth: int) -> Iterator[Item]:
    """Yield ``items`` in order while a thread fetches at most ``depth`` of them ahead.

    An error of ``items`` is raised here after the items before it. When the consumer stops early the thread ends too.

    Args:
        items: consumed in the thread, from its first item on; sqlite3 for example wants its connection in one thread.
        depth: how many items may wait; bounds the memory.

    Raises:
        ValueError: ``depth`` is less than one.
    """
    if depth < 1:
        raise ValueError(f"Reading ahead needs a depth of at least 1, but got {depth}.")
    waiting: queue.Queue = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def put(value: tuple[str, object]) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(value, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def fetch() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                if not put(("item", item)):
                    return
            put(("end", None))
        except BaseException as error:  # handed over: the consumer raises it
            put(("error", error))
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=fetch, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stopped.set()
        thread.join()
