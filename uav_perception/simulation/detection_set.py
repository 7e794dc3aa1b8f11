"""Images with boxes for training and testing detectors: VisDrone layout, with a COCO file beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path as FilePath

import numpy as np

from uav_perception.files import replacing, write_json, write_text
from uav_perception.frames.compressed import encode_jpeg
from uav_perception.simulation.activities import IDLE
from uav_perception.simulation.camera import Pinhole, look_at
from uav_perception.simulation.classes import ACTION_CLASSES, DETECTION_CLASSES, VISDRONE_CATEGORY
from uav_perception.simulation.degrade import random_degradation
from uav_perception.simulation.errors import SimulationError
from uav_perception.simulation.ground import GroundPlan, paint, random_plan
from uav_perception.simulation.jobs import claim, run_jobs
from uav_perception.simulation.layout import Layout
from uav_perception.simulation.render import SceneRenderer
from uav_perception.simulation.scene import SceneBuilder, random_light
from uav_perception.simulation.truth import TruthFinder, VisibleObject
from uav_perception.simulation.world import World

IMAGES_PER_SCENE = 4
SUPERSAMPLING = 2
HORIZON_MARGIN = np.radians(7)  # the upper edge of the image looks at least this far below the horizon


@dataclass(frozen=True)
class LabelledImage:
    """One image with its objects.

    Attributes:
        image: uint8 BGR, shape (H, W, 3).
        objects: everything detectable of which a pixel shows.
    """

    image: np.ndarray
    objects: tuple[VisibleObject, ...]


@dataclass(frozen=True)
class _View:
    """How a scene's images are taken: heights and depressions vary around these."""

    person_pixels: float
    altitude: float
    depression: float
    field_of_view: float
    reach: float


def _random_view(rng: np.random.Generator, height: int, aspect: float) -> _View:
    """Draw a zoom by the size of a person in the image (14 to 120 px), and from where to look."""
    person_pixels = float(np.exp(rng.uniform(np.log(14), np.log(120 if rng.random() < 0.3 else 60))))
    altitude, depression = float(rng.uniform(20, 30)), float(np.radians(25 + 60 * rng.random() ** 1.5))
    distance = altitude / np.sin(depression)
    seen = 1.7 * np.cos(depression) + 0.45 * np.sin(depression)
    frame = seen * height / person_pixels  # what the image's height covers, across the line of sight [m]
    field_of_view = float(2 * np.arctan(frame / 2 / distance))
    depression = max(depression, field_of_view / 2 + float(HORIZON_MARGIN))
    return _View(person_pixels, altitude, depression, field_of_view, float(np.clip(0.75 * frame * aspect, 7, 60)))


def _fill(layout: Layout, reach: float) -> None:
    """People, vehicles, houses and trees, as many as the area holds."""
    rng, area = layout.rng, np.pi * reach**2
    layout.add_drivers(int(rng.integers(0, 7)), 3 * reach + 30)
    layout.add_buildings(int(rng.integers(0, 7)), 1.6 * reach + 25, inner=min(reach, 22))
    layout.add_parked(int(np.clip(area * rng.uniform(0.003, 0.012), 2, 26)), reach)
    actions = rng.choice([*ACTION_CLASSES, IDLE, "walk", "ride"], int(np.clip(area * rng.uniform(0.008, 0.045), 7, 34)))
    layout.add_people([str(action) for action in actions], reach)
    layout.add_parked_bicycles(int(np.clip(area * rng.uniform(0, 0.005), 0, 7)), reach)
    layout.add_trees(int(rng.integers(0, 25)), 1.4 * reach + 10)


def render_scene(seed: int, scene: int, images: int, width: int, height: int) -> list[LabelledImage]:
    """Draw the images of one scene.

    Args:
        seed, scene: which; the same numbers give the same images.
        images: how many, at different times and from different places.
        width, height: size [px].
    """
    rng = np.random.default_rng([seed, scene])
    view = _random_view(rng, height, width / height)
    size = float(np.clip(5 * view.reach, 50, 160))
    plan = random_plan(rng, size, roads=int(rng.choice(3, p=[0.3, 0.45, 0.25])), parking=int(rng.integers(0, 3)))
    builder = SceneBuilder(random_light(rng), width * SUPERSAMPLING, height * SUPERSAMPLING)
    wide = GroundPlan(600.0, plan.kind, plan.patch_kind, plan.roads)
    builder.ground(paint(wide, 512, rng), wide.size)
    builder.ground(paint(plan, 1280, rng), size)
    layout = Layout(builder, plan, rng)
    _fill(layout, view.reach)
    world_scene = builder.compile()
    world, finder = World(world_scene, layout.groups, layout.drivers, layout.parked), TruthFinder(world_scene)
    taken = []
    with SceneRenderer(world_scene, width, height, SUPERSAMPLING) as renderer:
        for _ in range(images):
            states = world.advance(float(rng.uniform(0, 8)))
            zoom = rng.uniform(0.75, 1.33)
            camera = Pinhole(width, height, float(2 * np.arctan(np.tan(view.field_of_view / 2) * zoom)))
            lowest = camera.vertical_fov / 2 + HORIZON_MARGIN
            depression = float(np.clip(view.depression + rng.normal(0, 0.12), lowest, np.radians(89)))
            altitude, azimuth = view.altitude * rng.uniform(0.9, 1.1), rng.uniform(0, 2 * np.pi)
            near = [state.position[:2] for state in states if np.hypot(*state.position[:2]) < view.reach]
            focus = near[int(rng.integers(len(near)))] if near else (0.0, 0.0)
            focus = np.array(focus) + rng.uniform(-0.3, 0.3, 2) * view.reach
            back = altitude / np.tan(depression)
            position = np.array([focus[0] + back * np.cos(azimuth), focus[1] + back * np.sin(azimuth), altitude])
            pose = look_at(position, np.array([*focus, 0.5]), roll=float(rng.normal(0, 0.03)))
            renderer.aim(pose, camera, focus, float(np.clip(2.2 * view.reach, 15, 80)))
            image = renderer.image()
            objects = finder.find(renderer.instances(), pose, camera)
            taken.append(LabelledImage(random_degradation(rng, image).apply(image, rng), tuple(objects)))
    return taken


def visdrone_line(seen: VisibleObject) -> str:
    """One line of a VisDrone-DET annotation file: left, top, width, height, score, category, truncation, occlusion.

    An object that is not evaluated becomes an ignored region (score 0, category 0). Truncation is 1 from 1 % on (and
    beyond 50 % would be ignored in VisDrone); occlusion is 1 up to half, 2 beyond.
    """
    x_min, y_min, x_max, y_max = seen.box
    category = VISDRONE_CATEGORY[DETECTION_CLASSES[seen.class_id]] if seen.evaluated else 0
    occlusion = 0 if seen.occluded < 0.01 else 1 if seen.occluded <= 0.5 else 2
    values = (
        x_min,
        y_min,
        x_max - x_min,
        y_max - y_min,
        int(seen.evaluated),
        category,
        int(seen.truncated >= 0.01),
        occlusion,
    )
    return ",".join(map(str, values))


def _coco_annotation(seen: VisibleObject, image_id: int, number: int) -> dict[str, object]:
    x_min, y_min, x_max, y_max = seen.box
    return {
        "id": number,
        "image_id": image_id,
        "category_id": seen.class_id + 1,
        "bbox": [x_min, y_min, x_max - x_min, y_max - y_min],
        "area": (x_max - x_min) * (y_max - y_min),
        "iscrowd": int(not seen.evaluated),
    }


def _write_scene(task: tuple[str, int, int, int, int, int]) -> list[tuple[int, tuple[VisibleObject, ...]]]:
    """Render one scene into image and annotation files; returns the objects by image number."""
    folder, seed, scene, images, width, height = task
    written = []
    for i, labelled in enumerate(render_scene(seed, scene, images, width, height)):
        number = scene * IMAGES_PER_SCENE + i + 1
        with replacing(FilePath(folder) / "images" / f"{number:07d}.jpg") as temporary:
            temporary.write_bytes(encode_jpeg(labelled.image, 92))
        lines = "".join(visdrone_line(seen) + "\n" for seen in labelled.objects)
        write_text(FilePath(folder) / "annotations" / f"{number:07d}.txt", lines)
        written.append((number, labelled.objects))
    return written


def write_detection_set(
    folder: str | FilePath, images: int, seed: int, width: int = 640, height: int = 384, jobs: int = 1
) -> None:
    """Make a detection data set: ``images/*.jpg``, ``annotations/*.txt`` (VisDrone-DET) and ``coco.json``.

    The COCO file has the six classes as categories 1 to 6; what is not evaluated is a crowd there.

    Args:
        folder: where to.
        images: how many; a new scene begins every fourth image.
        seed: the same seed gives the same images on the same machine.
        width, height: size of the images [px].
        jobs: processes.

    Raises:
        SimulationError: no images, too small ones, or the folder holds another data set.
    """
    if images < 1:
        raise SimulationError(f"A data set has at least one image, but {images} are asked for.")
    Pinhole(width, height, 1.0)  # refuses what is no image
    folder = FilePath(folder)
    record = {"images": images, "seed": seed, "width": width, "height": height, "classes": list(DETECTION_CLASSES)}
    claim(folder, record)
    starts = range(0, images, IMAGES_PER_SCENE)
    tasks = [
        (str(folder), seed, scene, min(IMAGES_PER_SCENE, images - start), width, height)
        for scene, start in enumerate(starts)
    ]
    coco: dict[str, list] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(DETECTION_CLASSES)],
    }
    for written in run_jobs(_write_scene, tasks, jobs, "scenes"):
        for number, objects in written:
            coco["images"].append({"id": number, "file_name": f"{number:07d}.jpg", "width": width, "height": height})
            for seen in objects:
                coco["annotations"].append(_coco_annotation(seen, number, len(coco["annotations"]) + 1))
    write_json(folder / "coco.json", coco)
