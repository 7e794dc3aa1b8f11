import threading

import pytest

from uav_perception.evaluation.prefetch import prefetch


def test_order_is_kept_and_everything_comes():
    assert list(prefetch(range(100), depth=3)) == list(range(100))
    assert list(prefetch([], depth=1)) == []


def test_no_more_than_depth_items_are_fetched_ahead():
    fetched = []

    def source():
        for i in range(50):
            fetched.append(i)
            yield i

    for item in prefetch(source(), depth=4):
        assert len(fetched) <= item + 1 + 4 + 1  # those waiting, and one in the thread's hand


def test_an_error_comes_after_the_items_before_it():
    def source():
        yield 1
        raise OSError("disk gone")

    items = prefetch(source(), depth=2)
    assert next(items) == 1
    with pytest.raises(OSError, match="disk gone"):
        next(items)


def test_stopping_early_ends_the_thread_and_closes_the_source():
    closed = threading.Event()

    def source():
        try:
            yield from range(1000)
        finally:
            closed.set()

    items = prefetch(source(), depth=2)
    assert next(items) == 0
    items.close()
    assert closed.is_set()
    assert not [t for t in threading.enumerate() if t.name == "prefetch"]


def test_depth_must_be_positive():
    with pytest.raises(ValueError, match="at least 1, but got 0"):
        next(prefetch([1], depth=0))
