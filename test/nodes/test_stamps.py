import pytest

from uav_perception.nodes.matching import StampMatcher
from uav_perception.nodes.stamps import Arrival, StampOrder

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("stamps_s", "expected"),
    [
        ((1.0, 1.1, 5.0), "NEXT NEXT NEXT"),
        ((1.0, 1.1, 1.05, 1.2), "NEXT NEXT LATE NEXT"),
        ((1.0, 1.0), "NEXT LATE"),
        ((9.0, 1.0, 1.1), "NEXT JUMP NEXT"),
        ((9.0, 8.0), "NEXT JUMP"),
        ((9.0, 8.001), "NEXT LATE"),
        ((0.0, 0.0, 0.0), "NEXT NEXT NEXT"),
    ],
)
def test_stamps_are_judged_against_the_newest(stamps_s, expected):
    order = StampOrder()
    found = [order.judge(round(stamp * SECOND)) for stamp in stamps_s]
    assert " ".join(arrival.name for arrival in found) == expected
    assert order.jumps == found.count(Arrival.JUMP) and order.late == found.count(Arrival.LATE)


def test_a_restart_forgets_the_newest_stamp_and_keeps_the_counts():
    order = StampOrder()
    order.judge(9 * SECOND)
    order.judge(1 * SECOND)
    order.restart()
    assert order.judge(0) is Arrival.NEXT and order.jumps == 1


def test_either_side_of_a_pair_may_come_first():
    matcher = StampMatcher(capacity=3)
    assert matcher.add_left(1, "image 1") is None
    assert matcher.add_right(1, "result 1") == ("image 1", "result 1")
    assert matcher.add_right(2, "result 2") is None
    assert matcher.add_left(2, "image 2") == ("image 2", "result 2")


def test_images_older_than_a_matched_one_are_let_go():
    matcher = StampMatcher(capacity=10)
    for stamp in range(5):
        matcher.add_left(stamp, stamp)
    assert matcher.add_right(3, "r") == (3, "r")
    assert matcher.add_right(2, "r") is None
    assert matcher.add_right(4, "r") == (4, "r")


def test_no_more_than_the_capacity_waits_and_lost_results_are_counted():
    matcher = StampMatcher(capacity=2)
    for stamp in range(4):
        matcher.add_left(stamp, stamp)
    assert matcher.add_right(1, "r") is None and matcher.add_right(3, "r") == (3, "r")
    matcher.clear()
    for stamp in range(10, 15):
        matcher.add_right(stamp, "r")
    assert matcher.unmatched == 3
