"""Drawing: geometry, orientation, determinism."""

from __future__ import annotations

import numpy as np
import pytest

from uav_perception.simulation.activities import random_activity
from uav_perception.simulation.camera import Pinhole, look_at
from uav_perception.simulation.person import random_look
from uav_perception.simulation.render import SceneRenderer
from uav_perception.simulation.scene import Light, SceneBuilder
from uav_perception.simulation.vehicles import VehicleLook

LIGHT = Light(0.3, 0.9, (0.7, 0.7, 0.7), (0.4, 0.4, 0.4), True)
CAMERA = Pinhole(160, 120, np.radians(20))


def truck_scene(texture=None):
    builder = SceneBuilder(LIGHT, 320, 240)
    builder.ground(np.full((64, 64, 3), 110, np.uint8) if texture is None else texture, 40.0)
    truck = builder.vehicle(VehicleLook("truck", 8.0, 2.4, 3.2, (0.9, 0.1, 0.1), (0.9, 0.9, 0.9), 0.1))
    scene = builder.compile()
    scene.place(truck, 1.0, -2.0, 0.6)
    scene.settle()
    return scene, truck


def test_instances_agree_with_the_projected_body():
    scene, truck = truck_scene()
    pose = look_at(np.array([18.0, 9.0, 22.0]), np.array([1.0, -2.0, 1.0]))
    with SceneRenderer(scene, 160, 120) as renderer:
        renderer.aim(pose, CAMERA, np.array([1.0, -2.0]), 20)
        instances = renderer.instances()
    # Corners of every box of the truck, projected: their extent is the truck's extent in the image.
    corners = []
    for geom in np.flatnonzero(scene.geom_entity == truck.index):
        if scene.model.geom_type[geom] == 6:  # a box
            for signs in np.ndindex(2, 2, 2):
                local = (2 * np.array(signs) - 1) * scene.model.geom_size[geom]
                corners.append(scene.data.geom_xpos[geom] + scene.data.geom_xmat[geom].reshape(3, 3) @ local)
    pixels = pose.project(np.array(corners), CAMERA)
    rows, columns = np.nonzero(instances == truck.index)
    seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    expected = np.concatenate([pixels.min(0), pixels.max(0)])
    np.testing.assert_allclose(seen[[0, 1, 2]], expected[[0, 1, 2]], atol=1.0)
    assert expected[3] - 1 < seen[3] < expected[3] + 4  # the wheels hang below the boxes


def test_same_scene_gives_the_same_bytes():
    taken = []
    for _ in range(2):
        scene, _ = truck_scene()
        with SceneRenderer(scene, 160, 120) as renderer:
            renderer.aim(look_at(np.array([18.0, 9, 22]), np.zeros(3)), CAMERA, np.zeros(2), 20)
            taken.append((renderer.image(), renderer.instances()))
    np.testing.assert_array_equal(taken[0][0], taken[1][0])
    np.testing.assert_array_equal(taken[0][1], taken[1][1])


def test_ground_texture_lies_east_north_and_colours_are_bgr():
    texture = np.full((64, 64, 3), 60, np.uint8)
    texture[32:, 32:] = (250, 20, 20)  # red in the north-east: rows grow with y, columns with x
    scene, _ = truck_scene(texture)
    down = look_at(np.array([0.0, 0, 30]), np.zeros(3))
    with SceneRenderer(scene, 160, 120) as renderer:
        renderer.aim(down, CAMERA, np.zeros(2), 20)
        image = renderer.image()
    u, v = (down.project(np.array([[3.0, 3.0, 0], [-3.0, -2.5, 0]]), CAMERA)).astype(int)
    assert image[u[1], u[0], 2] > 2.5 * image[u[1], u[0], 0]
    assert abs(int(image[v[1], v[0], 2]) - int(image[v[1], v[0], 0])) < 10


def test_shadows_fall_along_the_light():
    scene, _ = truck_scene()
    pose = look_at(np.array([0.0, 0, 40]), np.array([0.0, 0, 0]))
    with SceneRenderer(scene, 160, 120) as renderer:
        renderer.aim(pose, CAMERA, np.array([1.0, -2.0]), 20)
        image, instances = renderer.image().astype(int), renderer.instances()
    # Beside the truck, on the side to which the light travels, the ground is darker than opposite.
    normal = np.array([-np.sin(0.6), np.cos(0.6), 0.0])
    side = np.sign(normal[:2] @ LIGHT.direction[:2])
    shade, sun = (pose.project(np.array([1.0, -2.0, 0]) + s * 1.7 * normal, CAMERA).astype(int) for s in (side, -side))
    assert instances[shade[1], shade[0]] == instances[sun[1], sun[0]] == -1
    assert image[shade[1], shade[0]].sum() < 0.8 * image[sun[1], sun[0]].sum()


def test_hidden_things_are_not_drawn():
    scene, truck = truck_scene()
    scene.hide(truck)
    scene.settle()
    with SceneRenderer(scene, 160, 120) as renderer:
        renderer.aim(look_at(np.array([18.0, 9, 22]), np.zeros(3)), CAMERA, np.zeros(2), 20)
        assert (renderer.instances() == -1).all()


def test_sizes_must_fit():
    scene, _ = truck_scene()
    with pytest.raises(ValueError, match="built for images of 320x240, too small for 320x240 supersampled 2"):
        SceneRenderer(scene, 320, 240)
    with SceneRenderer(scene, 64, 64) as renderer, pytest.raises(ValueError, match="draws 64x64 images"):
        renderer.aim(look_at(np.array([1.0, 1, 9]), np.zeros(3)), CAMERA, np.zeros(2), 20)


def test_many_people_are_told_apart():
    builder, rng = SceneBuilder(LIGHT, 320, 240), np.random.default_rng(0)
    builder.ground(np.full((64, 64, 3), 110, np.uint8), 40.0)
    people = [builder.person(random_look(rng)) for _ in range(20)]
    scene = builder.compile()
    for i, person in enumerate(people):
        (pose,) = random_activity("clap", rng).poses(0.3)
        scene.pose(person, i % 5 - 2, i // 5 - 2, 0.0, pose)
    scene.settle()
    with SceneRenderer(scene, 320, 240, supersampling=1) as renderer:
        renderer.aim(look_at(np.array([0.0, -6, 18]), np.zeros(3)), Pinhole(320, 240, 0.5), np.zeros(2), 20)
        assert set(np.unique(renderer.instances())) == {-1, *range(20)}
