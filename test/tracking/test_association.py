import itertools

import numpy as np
import pytest

from uav_perception.tracking.association import associate


@pytest.mark.parametrize("seed", range(10))
def test_best_of_all_pairings(seed):
    rng = np.random.default_rng(seed)
    similarity = rng.random((4, 5))
    rows, columns = associate(similarity, 0.3)
    allowed = np.where(similarity >= 0.3, similarity, 0.0)
    best = max(sum(allowed[range(4), order]) for order in itertools.permutations(range(5), 4))
    assert similarity[rows, columns].sum() == pytest.approx(best)
    assert (similarity[rows, columns] >= 0.3).all()


def test_a_pair_below_the_limit_never_pushes_out_a_good_one():
    rows, columns = associate(np.array([[0.9, 0.1], [0.8, 0.0]]), 0.5)
    assert (rows.tolist(), columns.tolist()) == ([0], [0])


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_empty(shape):
    rows, columns = associate(np.zeros(shape), 0.5)
    assert len(rows) == len(columns) == 0
