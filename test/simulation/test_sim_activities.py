"""The eleven actions: within the joints' limits, on the ground, and different from one another."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from uav_perception.simulation.activities import CRANK_HEIGHT, CRANK_LENGTH, IDLE, random_activity
from uav_perception.simulation.classes import ACTION_CLASSES
from uav_perception.simulation.person import JOINT_LIMITS, PersonLook
from uav_perception.simulation.scene import Light, Scene, SceneBuilder

GREY = (0.5, 0.5, 0.5)
LIMITS = np.radians(np.array(list(JOINT_LIMITS.values())))


def scene_of(people: int) -> Scene:
    """People of average height on a bare ground."""
    builder = SceneBuilder(Light(0.3, 0.9, GREY, GREY, True), 64, 64)
    builder.ground(np.full((64, 64, 3), 128, np.uint8), 20.0)
    for _ in range(people):
        builder.person(PersonLook(1.73, 1.0, GREY, GREY, GREY, GREY, GREY, True, True))
    return builder.compile()


def settle(scene: Scene, poses) -> None:
    for entity, pose in zip(scene.entities, poses, strict=True):
        scene.pose(entity, pose.x, pose.y, pose.yaw, pose)
    scene.settle()


def place(scene: Scene, person: int, part: str) -> np.ndarray:
    return scene.data.geom_xpos[scene.model.geom(f"e{person}/{part}").id].copy()


@pytest.mark.parametrize("action", [*ACTION_CLASSES, IDLE])
def test_angles_stay_within_the_limits_and_feet_on_the_ground(action):
    for seed in range(4):
        activity = random_activity(action, np.random.default_rng(seed))
        scene = scene_of(activity.members)
        for t in np.linspace(0, 3, 13):
            poses = activity.poses(t)
            assert len(poses) == activity.members
            settle(scene, poses)
            for pose in poses:
                assert (pose.angles >= LIMITS[:, 0] - 1e-9).all() and (pose.angles <= LIMITS[:, 1] + 1e-9).all()
            if action != "ride":
                np.testing.assert_allclose(scene.sole_heights(), [pose.lift for pose in poses], atol=1e-9)
            mine = scene.geom_entity >= 0
            assert scene.data.geom_xpos[mine, 2].min() > -0.02, "no part of the body may sink into the ground"


def fingerprint(action: str, seed: int) -> np.ndarray:
    """Means and spreads of what an observer sees of the first person and its partner, over two and a half seconds."""
    activity = random_activity(action, np.random.default_rng(seed))
    rows = []
    for t in np.linspace(0, 2.4, 25):
        poses = activity.poses(t)
        first, other = poses[0], poses[-1]
        gap = np.hypot(other.x - first.x, other.y - first.y)
        flexion = np.sort(first.angles.reshape(-1)[[5, 9]])  # both shoulders, whatever the hand
        rows.append([*first.angles[:3], *flexion, *np.sort(first.angles[[13, 17]]), first.pitch, gap, len(poses)])
    rows = np.array(rows)
    return np.concatenate([rows.mean(0), rows.std(0), [activity.speed, activity.prop == "bicycle"]])


def test_actions_differ_more_between_than_within():
    prints = {action: np.array([fingerprint(action, seed) for seed in range(12)]) for action in ACTION_CLASSES}
    spread = np.concatenate(list(prints.values())).std(0) + 1e-6
    for a, b in combinations(ACTION_CLASSES, 2):
        # One nearest neighbour among the other draws must be of the same action nearly always.
        together = np.concatenate([prints[a], prints[b]]) / spread
        distance = np.linalg.norm(together[:, None] - together[None], axis=2)
        np.fill_diagonal(distance, np.inf)
        is_a = np.arange(len(together)) < len(prints[a])
        agreement = (is_a[distance.argmin(1)] == is_a).mean()
        assert agreement >= 0.9, f"{a} and {b} look alike"


def test_hands_meet_in_a_handshake():
    activity = random_activity("handshake", np.random.default_rng(1))
    scene = scene_of(2)
    side = "right" if activity.right_handed else "left"
    nearest = []
    for t in np.linspace(0, 3, 40):
        settle(scene, activity.poses(t))
        nearest.append(np.linalg.norm(place(scene, 0, f"{side}_hand") - place(scene, 1, f"{side}_hand")))
    assert np.median(nearest) < 0.2


def test_hugging_hands_lie_behind_the_other():
    activity = random_activity("hug", np.random.default_rng(2))
    scene = scene_of(2)
    behind = []
    for t in np.linspace(0, 6, 60):
        poses = activity.poses(t)
        settle(scene, poses)
        behind.append(place(scene, 0, "left_hand")[0] > poses[1].x - 0.05)
    assert np.mean(behind) > 0.5


def test_hands_meet_when_clapping():
    activity = random_activity("clap", np.random.default_rng(3))
    scene = scene_of(1)
    gaps = []
    for t in np.linspace(0, 2, 80):
        settle(scene, activity.poses(t))
        gaps.append(np.linalg.norm(place(scene, 0, "left_hand") - place(scene, 0, "right_hand")))
    assert min(gaps) < 0.2 and max(gaps) > 0.5


def test_a_riders_feet_follow_the_pedals():
    activity = random_activity("ride", np.random.default_rng(4))
    scene = scene_of(1)
    for t in np.linspace(0, 1, 12):
        settle(scene, activity.poses(t))
        for side in ("left", "right"):
            foot = place(scene, 0, f"{side}_foot")
            from_axle = np.hypot(foot[0] - 0.05, foot[2] - CRANK_HEIGHT - 0.06)
            assert from_axle == pytest.approx(CRANK_LENGTH, abs=0.08)


@pytest.mark.parametrize("action", ["walk", "run"])
def test_the_standing_foot_hardly_slides(action):
    activity = random_activity(action, np.random.default_rng(5))
    scene = scene_of(1)
    times = np.arange(0, 3, 0.01)
    feet = []
    for t in times:
        (pose,) = activity.poses(t)
        scene.pose(scene.entities[0], activity.speed * t, 0, 0, pose)
        scene.settle()
        feet.append([place(scene, 0, f"{side}_foot") for side in ("left", "right")])
    feet = np.array(feet)
    low = feet[:-1, :, 2].argmin(axis=1)
    speed = (np.diff(feet[:, :, 0], axis=0) / 0.01)[np.arange(len(low)), low]
    assert abs(np.median(speed)) < 0.45 * activity.speed


def test_squatting_lowers_the_hips_and_bending_the_head():
    scene = scene_of(1)
    squat, bend = (random_activity(action, np.random.default_rng(6)) for action in ("squat", "bend"))
    hips, hands = [], []
    for t in np.linspace(0, 3, 60):
        settle(scene, squat.poses(t))
        hips.append(scene.data.mocap_pos[0, 2])
        settle(scene, bend.poses(t))
        hands.append(min(place(scene, 0, f"{side}_hand")[2] for side in ("left", "right")))
    assert max(hips) > 0.85 and min(hips) < 0.6
    assert min(hands) < 0.4


def test_unknown_action_is_refused():
    with pytest.raises(ValueError, match="Unknown action 'fly'; it must be one of bend, "):
        random_activity("fly", np.random.default_rng(0))
