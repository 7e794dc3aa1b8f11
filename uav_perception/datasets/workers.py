"""Loader processes."""

from __future__ import annotations

import cv2


def single_threaded(_worker: int) -> None:
    """For a `DataLoader`'s ``worker_init_fn``: OpenCV on one thread.

    Its pool of threads does not survive a fork, and the workers share the cores among themselves already.
    """
    cv2.setNumThreads(0)
