"""Clips of single actions, as a zoomed gimbal camera sees them from 20 to 30 m: an HMDB51-style data set."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path as FilePath

import cv2
import numpy as np

from uav_perception.files import replacing, write_text
from uav_perception.frames.video import read_video
from uav_perception.simulation.activities import IDLE, random_activity
from uav_perception.simulation.camera import Pinhole, look_at
from uav_perception.simulation.classes import ACTION_CLASSES
from uav_perception.simulation.degrade import random_degradation
from uav_perception.simulation.errors import SimulationError
from uav_perception.simulation.ground import GroundPlan, paint, random_plan
from uav_perception.simulation.jobs import claim, run_jobs
from uav_perception.simulation.layout import Layout
from uav_perception.simulation.render import SceneRenderer
from uav_perception.simulation.scene import Light, SceneBuilder, random_light
from uav_perception.simulation.world import Path, World

GROUND_SIZE, GROUND_PIXELS = 48.0, 1024
SUPERSAMPLING = 2
SCENE_STREAM, CLIP_STREAM, ORDER_STREAM = 0, 1, 2
CLIPS_PER_SCENE = 3
TEST_EVERY = 5  # every fifth scene is held out for testing


@dataclass(frozen=True)
class ClipJob:
    """One clip to be made.

    Attributes:
        seed: of the data set.
        scene: number of the scene: ground, light, houses and trees.
        index: number of the clip.
        action: what the actors do.
    """

    seed: int
    scene: int
    index: int
    action: str

    @property
    def is_test(self) -> bool:
        """Whether the clip belongs to the test split, which has scenes of its own."""
        return self.scene % TEST_EVERY == TEST_EVERY - 1

    @property
    def name(self) -> str:
        """File name."""
        return f"sim_{self.action}_s{self.scene:05d}_{self.index:05d}.avi"


@functools.lru_cache(maxsize=2)
def _scene_ground(seed: int, scene: int) -> tuple[GroundPlan, np.ndarray, Light]:
    rng = np.random.default_rng([seed, SCENE_STREAM, scene])
    plan = random_plan(rng, GROUND_SIZE, roads=int(rng.random() < 0.45), parking=int(rng.random() < 0.2))
    return plan, paint(plan, GROUND_PIXELS, rng), random_light(rng)


def _smooth_walk(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Random motion with unit variance that changes direction about every ten frames, shape (frames, 3)."""
    steps = rng.standard_normal((frames + 20, 3))
    kernel = np.hanning(11)
    smooth = np.stack([np.convolve(column, kernel / np.linalg.norm(kernel), "same") for column in steps.T], axis=1)
    return smooth[10 : 10 + frames]


def _reserve_view(layout: Layout, x: float, y: float, azimuth: float, depression: float) -> None:
    """Keep free the ground around an actor and below the line of sight, as far as a tree could hide the actor."""
    layout.reserve(x, y, 2.8)
    for along in np.arange(2.5, 8.0 / np.tan(depression), 1.5):
        layout.reserve(x + along * np.cos(azimuth), y + along * np.sin(azimuth), 2.2)


def render_clip(job: ClipJob, frames: int = 24, rate: float = 10.0) -> list[np.ndarray]:
    """Draw one clip.

    Args:
        job: which.
        frames: number of images.
        rate: images per second [Hz].

    Returns:
        uint8 BGR images of one size, about 232x174.
    """
    plan, texture, light = _scene_ground(job.seed, job.scene)
    rng = np.random.default_rng([job.seed, CLIP_STREAM, job.index])
    width, height = int(rng.choice([216, 224, 232, 240])), int(rng.choice([168, 174, 180]))
    builder = SceneBuilder(light, width * SUPERSAMPLING, height * SUPERSAMPLING)
    builder.ground(texture, GROUND_SIZE)
    layout = Layout(builder, plan, rng)

    altitude, depression = rng.uniform(20, 30), rng.uniform(np.radians(25), np.radians(62))
    azimuth, orbit = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.05)
    distance = altitude / np.tan(depression)
    activity = random_activity(job.action, rng)
    heading, travel = float(rng.uniform(0, 2 * np.pi)), activity.speed * frames / rate
    curvature = float(rng.normal(0, 0.03))
    start = Path(
        *(float(v) for v in rng.uniform(-4, 4, 2) - travel / 2 * np.array([np.cos(heading), np.sin(heading)])),
        heading,
        curvature,
    )
    main = layout.add_group(activity, start)
    for s in np.linspace(0, travel, 5):
        _reserve_view(layout, *start.at(s)[:2], azimuth, depression)
    layout.add_trees(int(rng.integers(0, 5)), 18)
    if rng.random() < 0.45:
        layout.add_parked(int(rng.integers(1, 4)), 12)
    if rng.random() < 0.3:
        layout.add_people([str(rng.choice([IDLE, "walk", "walk"])) for _ in range(int(rng.integers(1, 3)))], 8)
    scene = builder.compile()
    world = World(scene, layout.groups, layout.drivers, layout.parked)

    share = rng.uniform(0.23, 0.4 if activity.members > 2 else 0.5)
    standing = 1.75 * np.cos(depression) + 0.4 * np.sin(depression)  # what one sees of a person from there [m]
    field_of_view = 2 * np.arctan(standing / share / 2 / np.hypot(distance, altitude))
    camera = Pinhole(width, height, float(field_of_view))
    frame_metres = standing / share
    aim_error = rng.uniform(-0.09, 0.09, 3) * frame_metres
    drift, shake = (
        _smooth_walk(rng, frames) * 0.035 * frame_metres,
        rng.standard_normal((frames, 3)) * 0.003 * frame_metres,
    )

    images = []
    with SceneRenderer(scene, width, height, SUPERSAMPLING) as renderer:
        for i in range(frames):
            t = i / rate
            world.advance(t)
            x, y, _ = main.centre(t)
            angle = azimuth + orbit * t
            position = np.array([x + distance * np.cos(angle), y + distance * np.sin(angle), altitude])
            target = np.array([x, y, 0.75]) + aim_error + drift[i] + shake[i]
            renderer.aim(
                look_at(position, target, roll=0.01 * drift[i, 0]), camera, np.array([x, y]), 2.2 * frame_metres
            )
            images.append(renderer.image())
    degradation = random_degradation(rng, images[0])
    return [degradation.apply(image, rng) for image in images]


def plan_clips(seed: int, clips: int) -> list[ClipJob]:
    """Which clips a data set has: classes in balance within each split, in shuffled order.

    Raises:
        SimulationError: fewer clips than give every class one clip in each split.
    """
    scenes = np.arange(clips) // CLIPS_PER_SCENE
    in_test = scenes % TEST_EVERY == TEST_EVERY - 1
    if min(in_test.sum(), (~in_test).sum()) < len(ACTION_CLASSES):
        least = CLIPS_PER_SCENE * TEST_EVERY * -(-len(ACTION_CLASSES) // CLIPS_PER_SCENE)
        raise SimulationError(
            f"{clips} clips do not give every action a training and a test clip; ask for at least {least}."
        )
    actions = np.empty(clips, object)
    for number, split in enumerate((in_test, ~in_test)):
        # Round after round of all classes, each in its own order: a shorter plan is the beginning of a longer one.
        rng = np.random.default_rng([seed, ORDER_STREAM, number])
        rounds = [rng.permutation(np.array(ACTION_CLASSES, object)) for _ in range(0, split.sum(), len(ACTION_CLASSES))]
        actions[split] = np.concatenate(rounds)[: split.sum()]
    return [ClipJob(seed, int(scenes[i]), i, str(actions[i])) for i in range(clips)]


def _write_clip(task: tuple[ClipJob, str, int, float]) -> int:
    """Render one clip into its file; returns the clip's number. A finished file is left alone."""
    job, folder, frames, rate = task
    path = FilePath(folder) / job.action / job.name
    if path.exists():
        return job.index
    images = render_clip(job, frames, rate)
    with replacing(path) as temporary:
        size = images[0].shape[1::-1]
        writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter_fourcc(*"MJPG"), rate, size)
        if not writer.isOpened():
            raise SimulationError(f"OpenCV cannot write {path} (MJPG in AVI, {size[0]}x{size[1]}); reinstall opencv.")
        for image in images:
            writer.write(image)
        writer.release()
        # OpenCV does not tell when a frame could not be written, and the header counts it.
        if sum(1 for _ in read_video(temporary)) != len(images):
            raise SimulationError(f"{path} could not be written to its end. Is the disk full?")
    return job.index


def _write_splits(folder: FilePath, jobs: list[ClipJob]) -> None:
    for action in ACTION_CLASSES:
        lines = [f"{job.name} {2 if job.is_test else 1}\n" for job in jobs if job.action == action]
        write_text(folder / "testTrainMulti_7030_splits" / f"{action}_test_split1.txt", "".join(lines))


def write_action_set(
    folder: str | FilePath, clips: int, seed: int, frames: int = 24, rate: float = 10.0, jobs: int = 1
) -> None:
    """Make an HMDB51-style data set: ``<class>/*.avi`` and ``testTrainMulti_7030_splits/<class>_test_split1.txt``.

    Test clips (2 in the split files) come from scenes that no training clip (1) shows. A broken-off run goes on where
    it was; the split files are renewed every 200 clips and list what is there.

    Args:
        folder: where to.
        clips: how many in both splits.
        seed: the same seed gives the same images on the same machine.
        frames: images per clip.
        rate: images per second [Hz].
        jobs: processes.

    Raises:
        SimulationError: too few clips for the classes, clips without images, or the folder holds another data set.
    """
    if frames < 1 or not 0 < rate < np.inf:
        raise SimulationError(f"Clips have at least one image and a positive rate, got {frames} and {rate:g} Hz.")
    plan = plan_clips(seed, clips)
    folder = FilePath(folder)
    record = {"clips": clips, "seed": seed, "frames": frames, "rate": rate, "classes": list(ACTION_CLASSES)}
    claim(folder, record)
    done: list[ClipJob] = []
    tasks = [(job, str(folder), frames, rate) for job in plan]
    for index in run_jobs(_write_clip, tasks, jobs, "clips"):
        done.append(plan[index])
        if len(done) % 200 == 0:
            _write_splits(folder, done)
    _write_splits(folder, done)
