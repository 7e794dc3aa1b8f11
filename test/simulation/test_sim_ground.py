"""Ground plans and their painting."""

from __future__ import annotations

import numpy as np
import pytest

from uav_perception.simulation.ground import GROUND_KINDS, GroundPlan, ParkingRow, Road, paint, random_plan


def test_road_coordinates_round_trip():
    road = Road(3.0, -2.0, 0.7, 3.2)
    x, y = road.point(12.0, -1.5)
    assert road.along(x, y) == pytest.approx(12.0)
    assert road.offset(x, y) == pytest.approx(-1.5)
    assert Road(0, 0, 0, 3.0).offset(5.0, 1.0) == pytest.approx(1.0)  # left of an eastward road is north


@pytest.mark.parametrize("kind", GROUND_KINDS)
def test_every_ground_is_painted_the_same_for_the_same_seed(kind):
    plan = GroundPlan(40.0, kind, "grass", (Road(0, 5, 0.2, 3.0),), (ParkingRow(0, -8, 0.2, 5),))
    one, two = (paint(plan, 128, np.random.default_rng(4)) for _ in range(2))
    assert one.shape == (128, 128, 3) and one.dtype == np.uint8
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, paint(plan, 128, np.random.default_rng(5)))


def test_roads_are_painted_where_they_are():
    road = Road(0.0, 10.0, 0.0, 3.0)
    texture = paint(GroundPlan(40.0, "grass", "grass", (road,)), 400, np.random.default_rng(0)).astype(int)
    lane, verge = texture[285:290, 20:380], texture[100:140, 20:380]  # y = 8.5 to 9 m; y = -10 to -6 m
    assert (np.ptp(lane, axis=2) < 12).mean() > 0.95  # grey
    assert (texture[100:140, 20:380, 1] > texture[100:140, 20:380, 2]).mean() > 0.95  # green
    assert np.ptp(verge, axis=2).mean() > 20


def test_bays_are_in_a_row():
    row = ParkingRow(2.0, 3.0, np.pi / 2, 3)
    np.testing.assert_allclose([row.bay(i) for i in range(3)], [(2, 0.3), (2, 3), (2, 5.7)], atol=1e-12)


def test_on_road_knows_margins():
    plan = GroundPlan(40.0, "dirt", "grass", (Road(0, 0, 0, 3.0),))
    assert plan.on_road(7.0, 3.3) and not plan.on_road(7.0, 3.5) and plan.on_road(7.0, 3.5, 0.5)


def test_random_plans_have_what_was_asked_for():
    plan = random_plan(np.random.default_rng(1), 80.0, roads=2, parking=3)
    assert len(plan.roads) == 2 and len(plan.parking) == 3


def test_unknown_ground_is_refused():
    with pytest.raises(ValueError, match="Unknown ground 'lava'; it must be one of grass, dirt"):
        GroundPlan(40.0, "lava", "grass")
