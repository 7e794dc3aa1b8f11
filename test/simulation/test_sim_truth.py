"""Boxes and visibility against brute force and constructed scenes."""

from __future__ import annotations

import numpy as np
import pytest

from uav_perception.simulation.activities import random_activity
from uav_perception.simulation.camera import Pinhole, look_at
from uav_perception.simulation.classes import DETECTION_CLASSES
from uav_perception.simulation.person import random_look
from uav_perception.simulation.render import SceneRenderer
from uav_perception.simulation.scene import Light, SceneBuilder, building_xml
from uav_perception.simulation.truth import TruthFinder, VisibleObject
from uav_perception.simulation.vehicles import random_vehicle

LIGHT = Light(0.3, 0.9, (0.7, 0.7, 0.7), (0.4, 0.4, 0.4), False)
CAMERA = Pinhole(200, 160, np.radians(20))


def crowd(wall: bool = False):
    """Six people, a car, a bus, a bicycle, a crate; with a wall that hides some of them if asked for."""
    rng = np.random.default_rng(3)
    builder = SceneBuilder(LIGHT, 200, 160)
    builder.ground(np.full((64, 64, 3), 110, np.uint8), 60.0)
    people = [builder.person(random_look(rng)) for _ in range(6)]
    things = [builder.vehicle(random_vehicle(kind, rng)) for kind in ("car", "bus")]
    things += [builder.bicycle((0.9, 0, 0)), builder.crate((0.5, 0.4, 0.2))]
    if wall:
        builder.static(building_xml(0.0, -3.0, (1.5, 0.2), 6.0, 0.0, rng))
    scene = builder.compile()
    for i, person in enumerate(people):
        (pose,) = random_activity("squat", rng).poses(0.4 * i)
        scene.pose(person, 1.6 * (i % 3 - 1), 1.5 * (i // 3), 0.5 * i, pose)
    for thing, place in zip(things, ((4.5, 1, 1.2), (-1, 7, 0.1), (3, -2, 0.4), (-3, -2, 0)), strict=True):
        scene.place(thing, *place)
    scene.settle()
    return scene


def observe(scene, pose, camera=CAMERA):
    with SceneRenderer(scene, camera.width, camera.height, supersampling=1) as renderer:
        renderer.aim(pose, camera, np.zeros(2), 20)
        instances = renderer.instances()
    return instances, {seen.entity: seen for seen in TruthFinder(scene).find(instances, pose, camera)}


POSE = look_at(np.array([0.0, -25, 22]), np.array([0.0, 1.0, 0.8]))


def test_boxes_are_the_extents_of_the_visible_pixels():
    scene = crowd()
    instances, found = observe(scene, POSE)
    shown = {int(i) for i in np.unique(instances) if i >= 0 and scene.entities[i].kind in DETECTION_CLASSES}
    assert set(found) == shown and len(shown) >= 8
    for entity, seen in found.items():
        rows, columns = np.nonzero(instances == entity)
        assert seen.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert seen.pixels == len(rows)
        assert DETECTION_CLASSES[seen.class_id] == scene.entities[entity].kind


def test_crates_are_not_detectable():
    scene = crowd()
    instances, found = observe(scene, POSE)
    crate = next(e.index for e in scene.entities if e.kind == "crate")
    assert (instances == crate).any() and crate not in found


def test_free_objects_are_seen_whole():
    _, found = observe(crowd(), POSE)
    for person in range(3):  # the front row
        assert found[person].occluded < 0.1 and found[person].truncated == 0 and found[person].evaluated


def test_hidden_share_agrees_with_drawing_without_the_wall():
    free_map, free = observe(crowd(), POSE)
    _, walled = observe(crowd(wall=True), POSE)
    for entity, seen in free.items():
        left = walled[entity].pixels / seen.pixels if entity in walled else 0.0
        expected = 1 - left * (1 - seen.occluded)
        got = walled[entity].occluded if entity in walled else 1.0
        assert got == pytest.approx(expected, abs=0.25), entity
    middle = free_map.shape[1] // 2
    hidden = [e for e, s in free.items() if s.box[0] < middle < s.box[2] and e not in walled]
    partly = [e for e in walled if walled[e].occluded > 0.3]
    assert hidden or partly


def test_objects_cut_by_the_edge_are_truncated():
    aside = look_at(POSE.position, np.array([7.5, 1.0, 0.8]))
    _, found = observe(crowd(), aside)
    bus = next(seen for seen in found.values() if DETECTION_CLASSES[seen.class_id] == "bus")
    assert bus.box[0] == 0 and 0.1 < bus.truncated < 0.9


@pytest.mark.parametrize(
    ("box", "pixels", "truncated", "occluded", "evaluated"),
    [
        ((0, 0, 10, 20), 120, 0.0, 0.0, True),
        ((0, 0, 3, 20), 50, 0.0, 0.0, False),  # too narrow
        ((0, 0, 5, 5), 15, 0.0, 0.0, False),  # too few pixels
        ((0, 0, 10, 20), 120, 0.5, 0.5, False),  # a quarter shows
        ((0, 0, 10, 20), 120, 0.2, 0.5, True),
    ],
)
def test_what_is_evaluated(box, pixels, truncated, occluded, evaluated):
    assert VisibleObject(0, 0, box, pixels, truncated, occluded).evaluated is evaluated
