"""Flight paths: closed forms, rates, mounts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from uav_perception.simulation.drone import (
    GRAVITY,
    PATHS,
    Flightpath,
    fixed_pose,
    gimbal_pose,
    mount_rotation,
    usual_path,
)
from uav_perception.simulation.errors import SimulationError


@pytest.mark.parametrize("kind", PATHS)
def test_rates_agree_with_differences(kind):
    path = usual_path(kind, (3.0, -4.0), 0.8, 20.0)
    dt = 1e-2
    for t in (0.0, 5.0, 13.3):
        before, state, after = path.state(t - dt), path.state(t), path.state(t + dt)
        np.testing.assert_allclose(state.rotation.T @ state.rotation, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(state.velocity, (after.position - before.position) / (2 * dt), atol=1e-3)
        turned = Rotation.from_matrix(before.rotation.T @ after.rotation).as_rotvec() / (2 * dt)
        np.testing.assert_allclose(state.angular_velocity, turned, atol=2e-3)
        acceleration = (after.velocity - before.velocity) / (2 * dt)
        force = state.rotation @ state.specific_force
        np.testing.assert_allclose(force - [0, 0, GRAVITY], acceleration, atol=1e-3)


def test_a_hovering_drone_stays_and_stands_nearly_level():
    path = usual_path("hover", (0.0, 0.0), 1.0, 20.0)
    states = [path.state(t) for t in np.linspace(0, 20, 50)]
    assert np.ptp([s.position for s in states], axis=0).max() < 0.6
    assert min(s.rotation[2, 2] for s in states) > np.cos(np.radians(4))


def test_an_orbit_keeps_its_distance_and_faces_the_focus():
    path = usual_path("orbit", (5.0, 2.0), 0.0, 20.0)
    for t in np.linspace(0, 20, 9):
        state = path.state(t)
        to_focus = np.array([5.0, 2.0]) - state.position[:2]
        assert np.linalg.norm(to_focus) == pytest.approx(path.distance, abs=0.5)
        nose = state.rotation[:2, 0] / np.linalg.norm(state.rotation[:2, 0])
        assert nose @ to_focus / np.linalg.norm(to_focus) > 0.99


def test_a_fast_pass_is_fast_straight_and_over_the_focus():
    path = usual_path("fast", (5.0, 2.0), 0.5, 10.0)
    assert np.linalg.norm(path.position(5.0)[:2] - [5, 2]) < 0.5
    velocity = path.state(4.0).velocity
    assert np.linalg.norm(velocity) > 10
    assert np.arctan2(velocity[1], velocity[0]) == pytest.approx(0.5, abs=0.05)


def test_low_is_lower_than_high():
    low, high = (usual_path(kind, (0, 0), 0, 10).position(3)[2] for kind in ("low", "high"))
    assert low < 15 and high > 50


def test_a_fixed_camera_looks_forward_and_down():
    rotation = mount_rotation(np.radians(30))
    np.testing.assert_allclose(rotation @ [0, 0, 1], [np.cos(np.radians(30)), 0, -0.5], atol=1e-12)
    np.testing.assert_allclose(rotation @ [1, 0, 0], [0, -1, 0], atol=1e-12)  # right of the image is the body's right
    assert np.linalg.det(rotation) == pytest.approx(1)
    state = usual_path("orbit", (0, 0), 0, 10).state(2.0)
    np.testing.assert_allclose(fixed_pose(state, 0.7).rotation, state.rotation @ mount_rotation(0.7))


def test_a_gimbal_keeps_its_target_within_a_fifth_of_a_degree():
    path, target = usual_path("orbit", (0, 0), 0, 10), np.array([1.0, 2.0, 0.8])
    for t in np.linspace(0, 10, 21):
        state = path.state(t)
        ray = (target - state.position) / np.linalg.norm(target - state.position)
        assert np.degrees(np.arccos(gimbal_pose(state, target, t).rotation[:, 2] @ ray)) < 0.2


def test_impossible_paths_are_refused():
    with pytest.raises(SimulationError, match="Unknown path 'loop'; it must be one of hover"):
        usual_path("loop", (0, 0), 0, 10)
    with pytest.raises(SimulationError, match="altitude is 1 m"):
        Flightpath("hover", (0, 0), 1.0, 0.0, 20.0, 0.0, 10.0)
