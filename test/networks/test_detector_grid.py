import torch

from uav_perception.networks.grid import flatten_levels, make_grid


def test_cells_come_level_after_level_and_row_by_row():
    grid = make_grid([(2, 3), (1, 2)], (8, 16), offset=0.0, anchor_scale=4.0)
    assert grid.centres.tolist() == [[0, 0], [8, 0], [16, 0], [0, 8], [8, 8], [16, 8], [0, 0], [16, 0]]
    assert grid.strides.tolist() == [8] * 6 + [16] * 2
    assert grid.levels.tolist() == [0] * 6 + [1] * 2
    assert grid.level_sizes == [6, 2]
    assert grid.anchors[4].tolist() == [-8, -8, 24, 24]
    assert make_grid([(1, 1)], (8,), offset=0.5).centres.tolist() == [[4, 4]]


def test_maps_are_flattened_in_the_same_order():
    grid = make_grid([(2, 3), (1, 2)], (8, 16), offset=0.0)
    maps, start = [], 0
    for (rows, columns), size in zip(grid.level_shapes, grid.level_sizes, strict=True):
        maps.append(grid.centres[start : start + size].T.reshape(1, 2, rows, columns))
        start += size
    torch.testing.assert_close(flatten_levels(maps)[0], grid.centres)


def test_cells_on_the_padding_are_outside():
    grid = make_grid([(4, 4)], (8,), offset=0.0)
    assert grid.inside(17, 9).reshape(4, 4).tolist() == [[True, True, False, False]] * 3 + [[False] * 4]
