"""The person model: joints, measures, mirror."""

from __future__ import annotations

import numpy as np
import pytest

from uav_perception.simulation.activities import Pose
from uav_perception.simulation.mj import mujoco
from uav_perception.simulation.person import (
    JOINT_LIMITS,
    JOINTS,
    PersonLook,
    joint_angles,
    level_feet,
    mirrored,
    person_xml,
    random_look,
)
from uav_perception.simulation.scene import Light, SceneBuilder

GREY = (0.5, 0.5, 0.5)
LIGHT = Light(0.3, 0.9, (0.8, 0.8, 0.8), (0.3, 0.3, 0.3), True)


def person_scene(height: float = 1.8):
    """A scene with one person on a bare ground."""
    builder = SceneBuilder(LIGHT, 64, 64)
    builder.ground(np.full((64, 64, 3), 128, np.uint8), 20.0)
    look = PersonLook(height, 1.0, GREY, GREY, GREY, GREY, GREY, True, True)
    return builder.person(look), builder.compile


def test_model_has_the_declared_joints_in_order():
    look = random_look(np.random.default_rng(0))
    model = mujoco.MjModel.from_xml_string(
        f'<mujoco><compiler autolimits="true"/><worldbody>{person_xml("e0", look)}</worldbody></mujoco>'
    )
    assert [model.joint(i).name for i in range(model.njnt)] == [f"e0/{name}" for name in JOINTS]
    np.testing.assert_allclose(np.degrees(model.jnt_range), list(JOINT_LIMITS.values()), atol=1e-9)


@pytest.mark.parametrize("height", [1.5, 1.95])
def test_standing_person_has_its_height_and_stands_on_the_ground(height):
    entity, compile_scene = person_scene(height)
    scene = compile_scene()
    scene.pose(entity, 1.0, 2.0, 0.7, Pose(0, 0, 0, 0.0, np.zeros(len(JOINTS))))
    scene.settle()
    mine = np.flatnonzero(scene.geom_entity == entity.index)
    tops = []
    for geom in mine:
        rotation, size = scene.data.geom_xmat[geom].reshape(3, 3), scene.model.geom_size[geom]
        up = rotation[2]
        is_capsule = scene.model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_CAPSULE
        reach = abs(up[2]) * size[1] + size[0] if is_capsule else np.linalg.norm(up * size)
        tops.append(scene.data.geom_xpos[geom, 2] + reach)
    assert max(tops) == pytest.approx(height, rel=0.03)
    assert scene.sole_heights() == pytest.approx([0.0], abs=1e-9)
    hips = scene.data.mocap_pos[entity.index]
    assert hips[:2] == pytest.approx([1.0, 2.0])
    assert hips[2] == pytest.approx(0.53 * height, rel=0.03)


def test_flexion_goes_forward():
    entity, compile_scene = person_scene()
    scene = compile_scene()
    scene.pose(entity, 0, 0, np.pi / 2, Pose(0, 0, 0, 0.0, joint_angles(right_shoulder_flex=90, left_knee=90)))
    scene.settle()
    hand, foot, other = (
        scene.data.geom_xpos[scene.model.geom(f"e0/{name}").id] for name in ("right_hand", "left_foot", "right_foot")
    )
    assert hand[1] > 0.4 and hand[0] > 0.1  # ahead (north), on the right (east)
    assert foot[1] < other[1] - 0.3 and foot[2] > 0.3  # the bent knee takes the foot back and up


def test_mirror_is_its_own_inverse_and_exchanges_sides():
    angles = joint_angles(left_elbow=40, right_hip_flex=30, spine_yaw=10, spine_pitch=5)
    expected = joint_angles(right_elbow=40, left_hip_flex=30, spine_yaw=-10, spine_pitch=5)
    np.testing.assert_allclose(mirrored(angles), expected)
    np.testing.assert_allclose(mirrored(mirrored(angles)), angles)


def test_joint_angles_are_clipped_to_the_limits():
    angles = np.degrees(joint_angles(elbow=500, knee=-20))
    by_name = dict(zip(JOINTS, angles, strict=True))
    assert by_name["left_elbow"] == pytest.approx(150) and by_name["right_knee"] == 0


def test_unknown_joint_is_refused():
    with pytest.raises(KeyError, match="left_tail"):
        joint_angles(tail=10)


def test_level_feet_makes_the_soles_level():
    entity, compile_scene = person_scene()
    scene = compile_scene()
    angles = level_feet(joint_angles(left_hip_flex=40, left_knee=50, right_hip_flex=-10, right_knee=20), 0.1)
    scene.pose(entity, 0, 0, 0, Pose(0, 0, 0, 0.1, angles))
    scene.settle()
    for side in ("left", "right"):
        along = scene.data.geom_xmat[scene.model.geom(f"e0/{side}_foot").id].reshape(3, 3)[:, 2]
        assert abs(along[2]) < 1e-6


@pytest.mark.parametrize(("field", "value"), [("height", 0.5), ("build", 2.0)])
def test_impossible_looks_are_refused(field, value):
    values = {"height": 1.7, "build": 1.0, field: value}
    with pytest.raises(ValueError, match=f"{field}.*{value}"):
        PersonLook(values["height"], values["build"], GREY, GREY, GREY, GREY, GREY, True, True)
