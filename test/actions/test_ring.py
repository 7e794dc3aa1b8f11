import itertools

import numpy as np
import pytest

from uav_perception.actions.errors import ActionError
from uav_perception.actions.ring import FeatureRing, choose, segment_centres

MS = 1_000_000


def test_segment_centres_of_a_three_second_window():
    np.testing.assert_allclose(segment_centres(3.0, 3), [-2.5, -1.5, -0.5])


def test_choose_takes_the_nearest_entries_when_they_differ():
    ages = np.arange(-20, 1) * 0.1
    chosen = choose(ages, 1.8, 3)
    np.testing.assert_allclose(ages[chosen], [-1.5, -0.9, -0.3])


@pytest.mark.parametrize("seed", range(20))
def test_choose_is_the_best_of_all_combinations(seed):
    rng = np.random.default_rng(seed)
    ages = np.sort(-rng.uniform(0, 2.5, 9))
    ages[-1] = 0.0
    inside = [i for i in range(9) if ages[i] >= -2.0]
    centres = segment_centres(2.0, 4)
    costs = {
        c: sum((ages[i] - m) ** 2 for i, m in zip(c, centres, strict=True)) for c in itertools.combinations(inside, 4)
    }
    expected = min(costs, key=costs.get) if costs else None
    chosen = choose(ages, 2.0, 4)
    assert chosen is None if expected is None else tuple(chosen) == expected


def test_choose_refuses_fewer_than_k_entries_in_the_window():
    assert choose(np.array([-5.0, -4.0, -0.1, 0.0]), 2.0, 3) is None


def test_choice_goes_by_time_and_not_by_count():
    """A camera that slowed down: the entries of the first half lie dense, those of the second half thin."""
    ring = FeatureRing(100, 500 * MS)
    stamps = [*range(0, 1000, 50), *range(1000, 2001, 250)]
    for stamp in stamps:
        ring.push(stamp * MS, np.array([stamp]))
    window = ring.window(2000 * MS, 4)
    np.testing.assert_array_equal(window.stamps_ns // MS, [250, 750, 1250, 1750])
    np.testing.assert_array_equal(window.features[:, 0], [250, 750, 1250, 1750])
    assert (window.start_ns, window.end_ns) == (250 * MS, 1750 * MS)


def test_capacity_drops_the_oldest():
    ring = FeatureRing(3, 500 * MS)
    for stamp in range(5):
        ring.push(stamp * 100 * MS, np.zeros(1))
    assert (len(ring), ring.oldest_ns, ring.newest_ns) == (3, 200 * MS, 400 * MS)


@pytest.mark.parametrize(
    ("stamp_ms", "reason", "left"),
    [(200, None, 3), (600, None, 3), (601, "gap", 1), (99, "time_jump", 1), (100, None, 2)],
)
def test_state_is_dropped_on_a_gap_or_a_time_jump(stamp_ms, reason, left):
    ring = FeatureRing(10, 500 * MS)
    ring.push(0, np.zeros(1))
    ring.push(100 * MS, np.zeros(1))
    assert ring.push(stamp_ms * MS, np.ones(1)) == reason
    assert len(ring) == left


def test_no_window_until_k_distinct_entries():
    ring = FeatureRing(10, 500 * MS)
    assert ring.window(1000 * MS, 2) is None
    ring.push(0, np.zeros(1))
    ring.push(0, np.zeros(1))
    assert ring.window(1000 * MS, 2) is None
    ring.push(50 * MS, np.zeros(1))
    assert len(ring.window(1000 * MS, 2).stamps_ns) == 2


def test_wrong_capacity():
    with pytest.raises(ActionError, match="capacity 0, max_gap_ns 5"):
        FeatureRing(0, 5)
