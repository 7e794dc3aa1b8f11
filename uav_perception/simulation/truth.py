"""Exact boxes from instance maps, and how much of each object can be seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from uav_perception.simulation.camera import CameraPose, Pinhole
from uav_perception.simulation.classes import DETECTION_CLASSES
from uav_perception.simulation.mj import mujoco
from uav_perception.simulation.scene import Scene

MIN_SIDE = 4  # smaller boxes are not evaluated [px]
MIN_PIXELS = 16  # nor are objects of which fewer pixels show
MIN_VISIBLE = 0.3  # nor are those that hide, or lie outside the image, for the greater part


@dataclass(frozen=True)
class VisibleObject:
    """One object in one image.

    Attributes:
        entity: its index in the scene; the track id.
        class_id: index into ``DETECTION_CLASSES``.
        box: x_min, y_min, x_max, y_max of its visible pixels, edges [px].
        pixels: number of visible pixels.
        truncated: share of the object outside the image, 0 to 1.
        occluded: share of what is inside the image that something else covers, 0 to 1.
    """

    entity: int
    class_id: int
    box: tuple[int, int, int, int]
    pixels: int
    truncated: float
    occluded: float

    @property
    def evaluated(self) -> bool:
        """Whether a detector is expected to find it; else it is an ignored region."""
        x_min, y_min, x_max, y_max = self.box
        visible = (1 - self.truncated) * (1 - self.occluded)
        return min(x_max - x_min, y_max - y_min) >= MIN_SIDE and self.pixels >= MIN_PIXELS and visible >= MIN_VISIBLE


def _sample_points(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Points inside the entities' geoms in the geoms' frames, shape (n, 3), and the geom of each, shape (n,)."""
    points, geoms = [], []
    for geom in np.flatnonzero(scene.geom_entity >= 0):
        size, shape = scene.model.geom_size[geom], scene.model.geom_type[geom]
        if shape == mujoco.mjtGeom.mjGEOM_BOX:
            local = [np.array(s) * size * 0.7 for s in np.ndindex(2, 2, 2)]
            local = [2 * p - size * 0.7 for p in local]
        elif shape == mujoco.mjtGeom.mjGEOM_ELLIPSOID:
            local = [np.zeros(3)]
        else:  # capsules and cylinders: half length is the second size
            local = [np.array([0, 0, z * size[1]]) for z in (-0.7, 0.0, 0.7)]
        points += local
        geoms += [geom] * len(local)
    return np.array(points).reshape(-1, 3), np.array(geoms, int)


class TruthFinder:
    """Finds the visible objects of a scene's images.

    A point inside an object shows the object unless something else is in front: so the share of hidden sample points is
    the share of the object that is hidden, without drawing every object alone.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._points, self._geoms = _sample_points(scene)
        self._owner = scene.geom_entity[self._geoms] if len(self._geoms) else np.zeros(0, int)

    def find(self, instances: np.ndarray, pose: CameraPose, camera: Pinhole) -> list[VisibleObject]:
        """All detectable objects with at least one visible pixel.

        Args:
            instances: entity of each pixel, -1 for none, shape (H, W).
            pose, camera: what the instance map was drawn with.
        """
        scene, count = self._scene, len(self._scene.entities)
        data = scene.data
        world = data.geom_xpos[self._geoms] + np.einsum(
            "nij,nj->ni", data.geom_xmat[self._geoms].reshape(-1, 3, 3), self._points
        )
        pixels = pose.project(world, camera)
        inside = ((pixels >= 0) & (pixels < (camera.width, camera.height))).all(axis=1)
        column, row = np.where(inside[:, None], np.nan_to_num(pixels), 0).astype(int).T
        # Thin limbs can miss the pixel's centre: the pixel or a neighbour must show the object.
        near = np.pad(instances, 1, constant_values=-1)
        shown = np.zeros(len(world), bool)
        for dy in range(3):
            for dx in range(3):
                shown |= near[row + dy, column + dx] == self._owner
        total = np.bincount(self._owner, minlength=count)
        within = np.bincount(self._owner, weights=inside, minlength=count)
        visible = np.bincount(self._owner, weights=inside & shown, minlength=count)
        areas = np.bincount(instances.ravel() + 1, minlength=count + 1)[1:]
        found = []
        for entity, place in zip(scene.entities, ndimage.find_objects(instances + 1, count), strict=True):
            if place is None or entity.kind not in DETECTION_CLASSES:
                continue
            i = entity.index
            rows, columns = place
            found.append(
                VisibleObject(
                    entity=i,
                    class_id=DETECTION_CLASSES.index(entity.kind),
                    box=(columns.start, rows.start, columns.stop, rows.stop),
                    pixels=int(areas[i]),
                    truncated=float(1 - within[i] / total[i]),
                    occluded=float(1 - visible[i] / within[i]) if within[i] else 1.0,
                )
            )
        return found
