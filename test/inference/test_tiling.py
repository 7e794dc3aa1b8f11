"""Tiles cover a picture, and parts of one object become one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uav_perception.inference.errors import ModelError
from uav_perception.inference.tiling import Tiling


@given(
    width=st.integers(1, 400), height=st.integers(1, 400), tile=st.tuples(st.integers(16, 90), st.integers(16, 90)),
    overlap=st.floats(0, 0.9),
)  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_tiles_lie_inside_and_cover_every_pixel(width, height, tile, overlap):
    tiles = Tiling(*tile, overlap=overlap).tiles(width, height)
    covered_x, covered_y = set(), set()
    for x_min, y_min, x_max, y_max in tiles:
        assert 0 <= x_min < x_max <= width
        assert 0 <= y_min < y_max <= height
        assert (x_max - x_min, y_max - y_min) == (min(tile[0], width), min(tile[1], height))
        covered_x |= set(range(x_min, x_max))
        covered_y |= set(range(y_min, y_max))
    assert len(covered_x) == width
    assert len(covered_y) == height
    assert len(tiles) == len({tile[0] for tile in tiles}) * len({tile[1] for tile in tiles})


def test_neighbours_share_the_overlap():
    starts = [x for x, *_ in Tiling(100, 100, overlap=0.2).tiles(260, 100)]
    assert starts == [0, 80, 160]
    assert len(Tiling(512, 512).tiles(400, 300)) == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 8, "height": 64}, "at least 16x16 px, not 8x64"),
        ({"width": 64, "height": 64, "overlap": 1.0}, "below 1, not 1.0"),
        ({"width": 64, "height": 64, "merge_threshold": 0.0}, "above 0 and at most 1, not 0.0"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(ModelError, match=message):
        Tiling(**values)
