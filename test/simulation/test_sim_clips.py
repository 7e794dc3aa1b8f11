"""Action clips: HMDB51 layout, splits, determinism, several processes."""

from __future__ import annotations

import resource
from collections import Counter

import cv2
import numpy as np
import pytest

from uav_perception.errors import UavPerceptionError
from uav_perception.simulation.classes import ACTION_CLASSES
from uav_perception.simulation.clips import ClipJob, _write_clip, plan_clips, render_clip, write_action_set
from uav_perception.simulation.errors import SimulationError
from uav_perception.simulation.jobs import claim


def test_plan_balances_classes_and_holds_scenes_out():
    plan = plan_clips(3, 330)
    train, test = ([job for job in plan if job.is_test == held_out] for held_out in (False, True))
    assert not {job.scene for job in train} & {job.scene for job in test}
    assert len(test) == pytest.approx(0.2 * len(plan), abs=3)
    for jobs in (train, test):
        counts = Counter(job.action for job in jobs)
        assert set(counts) == set(ACTION_CLASSES) and max(counts.values()) - min(counts.values()) <= 1
    assert len({job.name for job in plan}) == len(plan)


def test_a_short_plan_is_the_beginning_of_a_longer_one():
    assert plan_clips(3, 120) == plan_clips(3, 330)[:120]
    assert plan_clips(3, 120) != plan_clips(4, 120)


def test_too_few_clips_are_refused():
    with pytest.raises(
        SimulationError, match=r"20 clips do not give every action a training and a test clip; .* least 60"
    ):
        plan_clips(0, 20)
    plan_clips(0, 60)


def test_a_clip_that_is_cut_off_by_a_full_disk_is_not_kept(tmp_path):
    """It would be taken for a finished one when the run goes on."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, before[1]))
    try:
        with pytest.raises(UavPerceptionError):
            _write_clip((ClipJob(1, 0, 0, "walk"), str(tmp_path), 6, 10.0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "walk").iterdir()) == []


def test_clips_without_images_are_refused(tmp_path):
    with pytest.raises(SimulationError, match="at least one image and a positive rate, got 0 and 10 Hz"):
        write_action_set(tmp_path / "set", 60, seed=1, frames=0)
    assert not (tmp_path / "set").exists()


def test_the_same_clip_has_the_same_bytes():
    one, two = (render_clip(ClipJob(5, 1, 7, "handshake"), frames=3) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one[0].shape[0] in (168, 174, 180) and 216 <= one[0].shape[1] <= 240
    assert not np.array_equal(one[0], one[2])


def test_hmdb51_layout_with_two_processes(tmp_path):
    write_action_set(tmp_path / "set", clips=60, seed=5, frames=2, jobs=2)
    listed = {}
    for action in ACTION_CLASSES:
        split = tmp_path / "set" / "testTrainMulti_7030_splits" / f"{action}_test_split1.txt"
        for line in split.read_text().splitlines():
            name, number = line.split(" ")
            listed[f"{action}/{name}"] = int(number)
    files = {f"{path.parent.name}/{path.name}" for path in (tmp_path / "set").glob("*/*.avi")}
    assert set(listed) == files and len(files) == 60 and set(listed.values()) == {1, 2}

    job = plan_clips(5, 60)[4]
    video = cv2.VideoCapture(str(tmp_path / "set" / job.action / job.name))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    images = []
    while (taken := video.read())[0]:
        images.append(taken[1])
    expected = render_clip(job, frames=2)  # drawn in this process: the same as in the other
    assert len(images) == 2
    assert np.abs(np.array(images).astype(float) - expected).mean() < 6


def test_a_finished_clip_is_not_drawn_again(tmp_path):
    plan = plan_clips(5, 60)
    for job in plan:
        path = tmp_path / "set" / job.action / job.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"there")
    with pytest.raises(SimulationError, match="not empty"):
        claim(tmp_path / "set", {})
    record = {"clips": 60, "seed": 5, "frames": 2, "rate": 10.0, "classes": list(ACTION_CLASSES)}
    (tmp_path / "record").mkdir()
    claim(tmp_path / "record" / "set", record)
    (tmp_path / "record" / "set" / "simulation.json").rename(tmp_path / "set" / "simulation.json")
    write_action_set(tmp_path / "set", clips=60, seed=5, frames=2)
    assert all((tmp_path / "set" / job.action / job.name).read_bytes() == b"there" for job in plan)
