"""Paths, groups and drivers."""

from __future__ import annotations

import numpy as np
import pytest

from uav_perception.simulation.activities import IDLE, random_activity
from uav_perception.simulation.person import random_look
from uav_perception.simulation.scene import Light, SceneBuilder
from uav_perception.simulation.vehicles import random_vehicle
from uav_perception.simulation.world import EASE_SECONDS, Driver, Group, Path, World

LIGHT = Light(0.3, 0.9, (0.7, 0.7, 0.7), (0.4, 0.4, 0.4), False)


@pytest.mark.parametrize("curvature", [0.0, 0.2, -0.07])
def test_arcs_agree_with_integration(curvature):
    path = Path(2.0, -1.0, 0.4, curvature)
    x, y, steps = path.x, path.y, 20000
    for i in range(steps):
        heading = path.heading + curvature * (i + 0.5) * 9.0 / steps
        x, y = x + np.cos(heading) * 9.0 / steps, y + np.sin(heading) * 9.0 / steps
    np.testing.assert_allclose(path.at(9.0), (x, y, path.heading + 9.0 * curvature), atol=1e-6)


def build(*actions: str):
    rng = np.random.default_rng(8)
    builder = SceneBuilder(LIGHT, 64, 64)
    builder.ground(np.full((64, 64, 3), 110, np.uint8), 60.0)
    activities = [random_activity(action, rng) for action in actions]
    people = [builder.person(random_look(rng)) for _ in range(max(a.members for a in activities))]
    return builder, activities, people, rng


def test_velocity_is_the_derivative_of_the_place():
    builder, (activity,), people, _ = build("run")
    world = World(builder.compile(), [Group(activity, Path(1, 2, 0.3, 0.1), tuple(people))], [], [])
    before, now, after = (world.advance(t)[0] for t in (0.99, 1.0, 1.01))
    expected = (np.array(after.position) - before.position) / 0.02
    np.testing.assert_allclose(now.velocity, expected, atol=0.05)
    assert np.linalg.norm(expected) == pytest.approx(activity.speed, rel=0.02)
    assert now.action == "run"


def test_one_action_glides_into_the_next():
    builder, (first, second), people, _ = build("handshake", "hug")
    groups = [
        Group(first, Path(0, 0, 0.5), tuple(people), end=2.0),
        Group(second, Path(0, 0, 0.5), tuple(people), start=2.0),
    ]
    scene = builder.compile()
    world = World(scene, groups, [], [])
    places, labels = [], []
    for t in np.arange(1.0, 4.0, 0.02):
        states = world.advance(t)
        places.append([state.position for state in states])
        labels.append(states[0].action)
    jumps = np.linalg.norm(np.diff(places, axis=0), axis=2)
    assert jumps.max() < 0.06  # less than 3 m/s
    assert labels[0] == "handshake" and labels[-1] == "hug"
    assert EASE_SECONDS < 1


def test_people_without_a_group_are_out_of_sight():
    builder, (activity,), people, _ = build("clap")
    scene = builder.compile()
    world = World(scene, [Group(activity, Path(0, 0, 0), tuple(people), start=1.0, end=2.0)], [], [])
    assert world.advance(0.5) == [] and scene.data.mocap_pos[0, 2] < -50
    assert len(world.advance(1.5)) == 1 and 0.3 < scene.data.mocap_pos[0, 2] < 1.2
    assert world.advance(2.0) == []


def test_the_idle_have_no_action_and_riders_a_bicycle():
    builder, (idle, ride), people, rng = build(IDLE, "ride")
    rider, bicycle = builder.person(random_look(rng)), builder.bicycle((0.8, 0.1, 0.1))
    groups = [Group(idle, Path(0, 0, 0), (people[0],)), Group(ride, Path(5, 0, 1.0), (rider,), bicycle)]
    states = {state.entity.index: state for state in World(builder.compile(), groups, [], []).advance(1.0)}
    assert states[people[0].index].action == ""
    assert states[rider.index].action == "ride" and states[bicycle.index].action == ""
    gap = np.subtract(states[rider.index].position, states[bicycle.index].position)
    assert np.linalg.norm(gap) < 0.3


def test_a_group_needs_its_people_and_its_prop():
    builder, (ride,), people, _ = build("ride")
    with pytest.raises(ValueError, match="has 1 members, but 0 people"):
        Group(ride, Path(0, 0, 0), (), builder.bicycle((1, 0, 0)))
    with pytest.raises(ValueError, match="'ride' needs the prop bicycle, got None"):
        Group(ride, Path(0, 0, 0), tuple(people))


def test_drivers_come_round_again():
    builder = SceneBuilder(LIGHT, 64, 64)
    builder.ground(np.full((64, 64, 3), 110, np.uint8), 60.0)
    car = builder.vehicle(random_vehicle("car", np.random.default_rng(0)))
    driver = Driver(car, Path(0, 3, 0.0), start=10.0, speed=5.0, span=40.0)
    world = World(builder.compile(), [], [driver], [])
    xs = [world.advance(t)[0].position[0] for t in (0.0, 1.0, 8.0)]
    np.testing.assert_allclose(xs, [-10, -5, -10])
    assert world.advance(1.0)[0].velocity == pytest.approx((5.0, 0, 0))
