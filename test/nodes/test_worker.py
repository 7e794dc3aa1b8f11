"""The one-slot mailbox, with threads for real."""

import threading

import pytest

from uav_perception.nodes.worker import NewestWorker


def _gated():
    """A worker that waits at a gate within the first item."""
    seen, entered, gate = [], threading.Event(), threading.Event()

    def process(item):
        seen.append(item)
        entered.set()
        assert gate.wait(10)
        if item == "bad":
            raise ValueError("no good")

    errors = []
    return NewestWorker(process, errors.append, "test"), seen, errors, entered, gate


def test_the_newest_waiting_item_replaces_an_older_one_which_is_counted():
    worker, seen, _, entered, gate = _gated()
    worker.put(1)
    assert entered.wait(10)
    for item in (2, 3, 4):
        worker.put(item)
    gate.set()
    assert worker.wait_idle(10)
    assert seen == [1, 4]
    assert worker.counts == {"received": 4, "processed": 2, "dropped": 2, "failed": 0}
    assert worker.stop()


def test_an_exception_is_handed_over_and_the_next_item_is_processed():
    worker, seen, errors, _, gate = _gated()
    gate.set()
    worker.put("bad")
    assert worker.wait_idle(10)
    worker.put("good")
    assert worker.wait_idle(10)
    assert seen == ["bad", "good"] and [str(error) for error in errors] == ["no good"]
    assert worker.counts == {"received": 2, "processed": 1, "dropped": 0, "failed": 1}
    worker.stop()


def test_stopping_drops_what_waits_and_what_comes_later():
    worker, seen, _, entered, gate = _gated()
    worker.put(1)
    assert entered.wait(10)
    worker.put(2)
    assert not worker.stop(timeout=0.05)  # still busy with the first
    gate.set()
    assert worker.stop()
    worker.put(3)
    assert seen == [1]
    assert worker.counts == {"received": 3, "processed": 1, "dropped": 2, "failed": 0}


def test_clearing_forgets_the_waiting_item():
    worker, seen, _, entered, gate = _gated()
    worker.put(1)
    assert entered.wait(10)
    worker.put(2)
    worker.clear()
    worker.clear()
    gate.set()
    assert worker.wait_idle(10)
    assert seen == [1] and worker.counts["dropped"] == 1
    worker.stop()


@pytest.mark.parametrize("writers", [1, 4])
def test_every_item_is_accounted_for_under_load(writers):
    worker = NewestWorker(lambda item: None, lambda error: None, "test")

    def write():
        for item in range(2000):
            worker.put(item)

    threads = [threading.Thread(target=write) for _ in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worker.wait_idle(10)
    counts = worker.counts
    assert counts["received"] == 2000 * writers == counts["processed"] + counts["dropped"]
    worker.stop()


def test_lanes_keep_an_item_each_and_the_one_that_waits_longest_comes_first():
    worker, seen, _, entered, gate = _gated()
    worker.put(1)
    assert entered.wait(10)
    for item, lane in ((2, "frame"), (3, "track"), (4, "frame"), (5, "frame")):
        worker.put(item, lane)
    gate.set()
    assert worker.wait_idle(10)
    assert seen == [1, 5, 3]
    assert worker.counts == {"received": 5, "processed": 3, "dropped": 2, "failed": 0}
    worker.stop()


def test_clearing_drops_what_waits_in_every_lane():
    worker, seen, _, entered, gate = _gated()
    worker.put(1)
    assert entered.wait(10)
    worker.put(2, "frame")
    worker.put(3, "track")
    worker.clear()
    gate.set()
    assert worker.wait_idle(10)
    assert seen == [1] and worker.counts["dropped"] == 2
    worker.stop()
