"""Detections kept in a file: the same come back, and the memory of the process does not hold them."""

from __future__ import annotations

import errno
import os
import tracemalloc

import numpy as np
import pytest

from uav_perception.evaluation.errors import EvaluationError
from uav_perception.evaluation.spool import DetectionSpool
from uav_perception.inference.detections import Detections

FIELDS = ("boxes", "scores", "class_ids", "track_ids", "velocities")


def random_detections(rng: np.random.Generator, count: int) -> Detections:
    corners = rng.uniform(0, 500, (count, 4))
    return Detections(
        corners,
        rng.random(count),
        rng.integers(0, 6, count),
        rng.integers(-1, 2**40, count),
        rng.normal(0, 9, (count, 2)),
    )


def test_everything_comes_back_as_it_was():
    rng = np.random.default_rng(0)
    given = [random_detections(rng, count) for count in (3, 0, 300, 1)]
    given.insert(2, None)
    with DetectionSpool() as spool:
        for detections in given:
            spool.append(detections)
        assert len(spool) == 5
        found = spool.read()
    assert found[2] is None
    for detections, expected in zip(found, given, strict=True):
        if expected is None:
            continue
        for name in FIELDS:  # after the file is closed
            value = getattr(detections, name)
            assert value.dtype == getattr(expected, name).dtype
            assert np.array_equal(value, getattr(expected, name))


@pytest.mark.parametrize("given", [[], [None, None], [Detections.empty()]])
def test_nothing_to_keep(given):
    with DetectionSpool() as spool:
        for detections in given:
            spool.append(detections)
        found = spool.read()
    assert [detections is None for detections in found] == [detections is None for detections in given]
    assert all(len(detections) == 0 for detections in found if detections is not None)


def test_memory_does_not_grow_with_the_images():
    detections = random_detections(np.random.default_rng(1), 300)
    with DetectionSpool() as spool:
        spool.append(detections)
        tracemalloc.start()
        for _ in range(1000):
            spool.append(detections)
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert grown < 300_000  # they take 12 MB


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a device that is always full (Linux)")
def test_a_full_folder_is_named(monkeypatch):
    monkeypatch.setattr("tempfile.TemporaryFile", lambda: open("/dev/full", "w+b"))  # noqa: SIM115
    detections = random_detections(np.random.default_rng(2), 300)
    with pytest.raises(EvaluationError, match=rf"{os.strerror(errno.ENOSPC)}.*TMPDIR"):
        spool = DetectionSpool()
        for _ in range(100):
            spool.append(detections)
