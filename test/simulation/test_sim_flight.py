"""Flights: determinism, and truth that agrees with the images' geometry."""

from __future__ import annotations

import numpy as np
import pytest

from uav_perception.simulation.classes import DETECTION_CLASSES
from uav_perception.simulation.drone import MOUNTS, PATHS
from uav_perception.simulation.errors import SimulationError
from uav_perception.simulation.flight import Flight, FlightConfig

SMALL = {"seconds": 1.0, "rate": 2.0, "width": 160, "height": 96, "people": 4, "vehicles": 4, "ground_pixels": 256}


def test_the_same_seed_gives_the_same_flight():
    one, two = (list(Flight(FlightConfig(seed=3, **SMALL)).frames()) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        assert a.objects == b.objects and a.states == b.states
        np.testing.assert_array_equal(a.pose.rotation, b.pose.rotation)
    other = next(Flight(FlightConfig(seed=4, **SMALL)).frames())
    assert not np.array_equal(other.image, one[0].image)


@pytest.mark.parametrize(("path", "mount"), [("orbit", "gimbal"), ("hover", "fixed"), ("fast", "gimbal")])
def test_true_places_project_into_the_boxes(path, mount):
    config = FlightConfig(
        seed=5,
        seconds=1.0,
        rate=2.0,
        width=320,
        height=192,
        path=path,
        mount=mount,
        vertical_fov=40,
        ground_pixels=256,
        people=8,
        vehicles=8,
    )
    flight, checked = Flight(config), 0
    for frame in flight.frames():
        for seen in frame.objects:
            if seen.truncated or seen.occluded > 0.05 or not seen.evaluated:
                continue
            state = frame.states[seen.entity]
            (u, v), (x_min, y_min, x_max, y_max) = frame.pose.project(np.array(state.position), flight.camera), seen.box
            if DETECTION_CLASSES[seen.class_id] == "person" and state.action in ("ride", "bend", "kick", "push"):
                continue  # the point below the hips may lie beside the body
            assert x_min - 2 <= u <= x_max + 2 and y_min - 2 <= v <= y_max + 3, (state, seen)
            checked += 1
    assert checked >= 3


def test_the_actions_follow_one_another():
    config = FlightConfig(
        seed=1, seconds=6.0, rate=1.0, width=64, height=48, actions=("hug", "clap", "push"), ground_pixels=256, people=0
    )
    assert [frame.action for frame in Flight(config).frames()] == ["hug", "hug", "clap", "clap", "push", "push"]


def test_a_gimbal_keeps_the_main_actors_in_the_middle():
    config = FlightConfig(
        seed=2,
        seconds=4.0,
        rate=1.0,
        width=160,
        height=96,
        vertical_fov=12,
        actions=("run",),
        ground_pixels=256,
        people=0,
    )
    flight = Flight(config)
    for frame in flight.frames():
        runner = next(state for state in frame.states.values() if state.action == "run")
        u, v = frame.pose.project(np.add(runner.position, (0, 0, 0.8)), flight.camera)
        assert abs(u - 80) < 16 and abs(v - 48) < 16


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("mount", MOUNTS)
def test_every_path_and_mount_gives_a_pose(path, mount):
    flight = Flight(FlightConfig(seed=1, path=path, mount=mount, ground_pixels=256, people=0, vehicles=0))
    pose = flight.camera_pose(1.0)
    assert pose.position[2] > 8 and pose.rotation[2, 2] < -0.2  # above the ground, looking down
    assert (flight.mount_rotation is None) == (mount == "gimbal")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seconds": 0}, "must be positive, got 0 s"),
        ({"rate": float("nan")}, "must be positive, got 20 s and nan Hz"),
        ({"seconds": 0.01}, "0.01 s at 12 Hz hold not one image"),
        ({"people": -1}, "must not be negative, got -1 groups"),
        ({"width": 8}, "at least 16x16 pixels, but got 8x384"),
        ({"path": "loop"}, "Unknown path 'loop'"),
        ({"mount": "rope"}, "Unknown mount 'rope'"),
        ({"vertical_fov": 170}, "between 1 and 120 deg, got 170"),
        ({"actions": ("fly",)}, r"Unknown actions \['fly'\]; known are bend"),
    ],
)
def test_impossible_flights_are_refused(fields, message):
    with pytest.raises(SimulationError, match=message):
        FlightConfig(**fields)
