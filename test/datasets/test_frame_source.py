import logging
import pickle

import cv2
import numpy as np
import pytest
import torch
from video_samples import write_video

from uav_perception.datasets import frame_source
from uav_perception.datasets.action_clips import (
    PROTOCOLS,
    Key,
    Protocol,
    ShardedBatches,
    TestClips,
    TrainingClips,
    Window,
)
from uav_perception.datasets.clip_transforms import Augmentation
from uav_perception.datasets.errors import DatasetError
from uav_perception.datasets.frame_source import FlowStore, FrameStore, VideoFiles, flow_between
from uav_perception.datasets.video_file import frame_times, iterate_frames, probe, read_frames
from uav_perception.datasets.video_list import LabelledVideo, VideoList
from uav_perception.networks.action_zoo import Feed
from uav_perception.training.action_model import normalise

FEED = Feed(32, 40, (0, 0, 0), (1, 1, 1))


@pytest.fixture
def videos(tmp_path):
    drawn = [write_video(tmp_path / f"{number}.avi", 12 + number, seed=number) for number in range(3)]
    samples = [LabelledVideo(f"{number}.avi", tmp_path / f"{number}.avi", number % 2) for number in range(3)]
    return VideoList("samples", ("run", "walk"), tuple(samples)), drawn


def level(frames):
    """Grey level of the uniform part: tells which frame it is."""
    return frames[..., 30:40, 40:60, :].astype(float).mean((-3, -2, -1))


def test_a_video_is_counted_and_read_exactly(videos):
    sample = videos[0].videos[1]
    info = probe(sample.path)
    assert (info.frames, info.fps, info.width, info.height) == (13, 10.0, 64, 48)
    frames = read_frames(sample.path, [11, 3, 3, 0])
    assert np.allclose(level(frames), [110, 30, 30, 0], atol=3)
    assert np.allclose(frame_times(sample.path), np.arange(13) / 10, atol=1e-6)
    assert np.allclose([level(frame) for frame in iterate_frames(sample.path, 4)], [0, 40, 80, 120], atol=3)


def test_reading_beyond_the_end_is_an_error(videos):
    with pytest.raises(DatasetError, match="ends before frame 40"):
        read_frames(videos[0].videos[0].path, [0, 40])
    with pytest.raises(DatasetError, match="count from 0"):
        read_frames(videos[0].videos[0].path, [-1])


@pytest.mark.parametrize("kind", ["files", "store"])
def test_broken_and_empty_videos_are_named_skipped_and_counted(videos, tmp_path, caplog, kind):
    (tmp_path / "broken.avi").write_bytes(b"RIFF not really")
    (tmp_path / "empty.avi").write_bytes(b"")
    extra = [LabelledVideo(name, tmp_path / name, 0) for name in ("broken.avi", "empty.avi", "gone.avi")]
    everything = VideoList("samples", ("run", "walk"), (extra[0], *videos[0].videos, *extra[1:]))
    with caplog.at_level(logging.WARNING):
        if kind == "files":
            source = VideoFiles(everything, tmp_path / "index.json")
        else:
            source = FrameStore(everything, tmp_path / "store")
    assert len(source) == 3
    assert source.usable == [1, 2, 3]
    assert [name for name, _ in source.skipped] == ["broken.avi", "empty.avi", "gone.avi"]
    assert source.video(0).name == "0.avi"
    assert "samples: 3 of 6 videos left out" in caplog.text
    assert "broken.avi is left out" in caplog.text


def test_a_set_of_broken_videos_is_an_error(tmp_path):
    (tmp_path / "broken.avi").write_bytes(b"no")
    videos = VideoList("samples", ("a", "b"), (LabelledVideo("broken.avi", tmp_path / "broken.avi", 0),))
    with pytest.raises(DatasetError, match=r"No video of samples can be read.*broken\.avi"):
        VideoFiles(videos, tmp_path / "index.json")


def test_the_store_gives_what_the_files_give(videos, tmp_path):
    files, store = VideoFiles(videos[0], tmp_path / "index.json"), FrameStore(videos[0], tmp_path / "store")
    for index in range(3):
        assert files.frames(index) == store.frames(index) == 12 + index
        assert (files.read(index, [5, 0, 11]) == store.read(index, [5, 0, 11])).all()
    thin = FrameStore(videos[0], tmp_path / "thin", short_side=24, every=3)
    assert (thin.frames(2), thin.fps(2)) == (5, pytest.approx(10 / 3))
    assert thin.read(2, [1]).shape == (1, 24, 32, 3)
    assert np.allclose(level(cv2.resize(thin.read(2, [1])[0], (64, 48))), 30, atol=4)


def test_a_store_travels_without_its_pixels(videos, tmp_path):
    store = FrameStore(videos[0], tmp_path / "store")
    sent = pickle.dumps(store)
    assert len(sent) < 10_000 < (tmp_path / "store" / "frames.bin").stat().st_size
    assert (pickle.loads(sent).read(2, [13, 0]) == store.read(2, [13, 0])).all()


def test_a_store_is_used_again_and_made_anew_for_other_data(videos, tmp_path):
    FrameStore(videos[0], tmp_path / "store")
    made = (tmp_path / "store" / "frames.bin").stat().st_mtime_ns
    FrameStore(videos[0], tmp_path / "store")
    assert (tmp_path / "store" / "frames.bin").stat().st_mtime_ns == made
    fewer = VideoList("samples", ("run", "walk"), videos[0].videos[:2])
    assert len(FrameStore(fewer, tmp_path / "store")) == 2
    assert (tmp_path / "store" / "frames.bin").stat().st_mtime_ns != made


def test_a_store_that_was_not_finished_is_made_anew(videos, tmp_path, monkeypatch):
    """Killed between the frames and the index: the old index must not describe the new frames."""
    FrameStore(videos[0], tmp_path / "store")
    with monkeypatch.context() as patch:
        patch.setattr(frame_source, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            FrameStore(videos[0], tmp_path / "store", short_side=24)
    assert FrameStore(videos[0], tmp_path / "store").read(0, [0]).shape == (1, 48, 64, 3)


def test_a_part_of_a_file(videos, tmp_path):
    sample = videos[0].videos[2]
    part = VideoList("parts", ("run", "walk"), (LabelledVideo("part", sample.path, 0, 0.3, 0.8),))
    for source in (VideoFiles(part, tmp_path / "i.json"), FrameStore(part, tmp_path / "s")):
        assert source.frames(0) == 5
        assert np.allclose(level(source.read(0, [0, 4])), [30, 70], atol=3)
    late = VideoList("parts", ("run", "walk"), (LabelledVideo("late", sample.path, 0, 9.0),))
    with pytest.raises(DatasetError, match=r"between 9 s and its end: .* lasts 1\.40 s at 10 fps"):
        VideoFiles(late, tmp_path / "j.json")
    short = VideoList("parts", ("run", "walk"), (LabelledVideo("short", sample.path, 0, 0.31, 0.33),))
    with pytest.raises(DatasetError, match=r"no frame lies between 0\.31 s and 0\.33 s"):
        VideoFiles(short, tmp_path / "k.json")


def test_flow_of_a_known_shift():
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (64, 80), np.uint8), (0, 0), 2)
    moved = np.roll(picture, 3, axis=1)
    flow = flow_between(picture, moved, cv2.optflow.DualTVL1OpticalFlow_create(), 20.0)[16:48, 16:64]
    pixels = flow.astype(float) / 255 * 40 - 20
    assert np.median(pixels[..., 0]) == pytest.approx(3, abs=0.3)
    assert np.median(pixels[..., 1]) == pytest.approx(0, abs=0.2)


def test_flow_is_computed_once(videos, tmp_path):
    few = VideoList("samples", ("run", "walk"), videos[0].videos[:1])
    store = FlowStore(few, tmp_path / "flow", short_side=24)
    assert store.frames(0) == 11
    assert store.read(0, [0, 10]).shape == (2, 24, 32, 2)
    (file,) = (tmp_path / "flow").glob("*.npy")
    made = file.stat().st_mtime_ns
    (tmp_path / "flow" / "index.json").unlink()  # as after an interruption
    FlowStore(few, tmp_path / "flow", short_side=24)
    assert file.stat().st_mtime_ns == made


def test_clips_of_flow(videos, tmp_path):
    """Two channels, x first, in frames that follow each other; a mirrored clip is normalised to the opposite x."""
    few = VideoList("samples", ("run", "walk"), videos[0].videos[:1])
    store = FlowStore(few, tmp_path / "flow", short_side=24)
    feed = Feed(24, 24, (127.5, 127.5), (127.5, 127.5), modality="flow", sampling="dense", frames=4, stride=2)
    plain = {
        "frame_size": None,
        "scales": (1.0,),
        "brightness": 0,
        "contrast": 0,
        "saturation": 0,
        "positions": "uniform",
    }
    straight, mirrored = (
        TrainingClips(store, feed, Augmentation(**plain, flip=flip), seed=3)[Key(0, 0)]["clip"] for flip in (0.0, 1.0)
    )
    assert straight.shape == (4, 2, 24, 24) and straight.dtype == torch.uint8
    opposite = normalise(mirrored.flip(-1), feed)
    assert torch.allclose(opposite[:, 0], -normalise(straight, feed)[:, 0], atol=1e-6)
    assert torch.equal(opposite[:, 1], normalise(straight, feed)[:, 1])
    view = TestClips(store, feed)[0]["views"][0]
    start = round(0.5 * (11 - 3 * 2 - 1))
    expected = store.read(0, range(start, start + 8, 2))[:, :, 4:28]
    assert torch.equal(view, torch.from_numpy(expected).permute(0, 3, 1, 2))


def test_training_clips_depend_on_seed_epoch_and_index_alone(videos, tmp_path):
    source = VideoFiles(videos[0], tmp_path / "index.json")
    clips = TrainingClips(source, FEED, Augmentation((40, 56)), seed=5)
    first = clips[Key(2, 1)]
    clips[Key(0, 0)]
    again = TrainingClips(source, FEED, Augmentation((40, 56)), seed=5)[Key(2, 1)]
    assert torch.equal(first["clip"], again["clip"])
    assert first["clip"].shape == (3, 3, 32, 32) and first["clip"].dtype == torch.uint8
    assert not torch.equal(first["clip"], clips[Key(3, 1)]["clip"])


def test_test_views_by_protocol(videos, tmp_path):
    source = VideoFiles(videos[0], tmp_path / "index.json")
    counts = {name: len(TestClips(source, FEED, protocol)[0]["views"]) for name, protocol in PROTOCOLS.items()}
    assert counts == {"centre": 1, "ten-crop": 10, "interleaved": 5, "classic": 10}
    assert TestClips(source, FEED, PROTOCOLS["classic"])[0]["views"].shape == (10, 25, 3, 32, 32)
    view = TestClips(source, FEED)[0]["views"][0]
    assert np.allclose(view[:, :, 25:, 25:].float().mean((1, 2, 3)), [20, 60, 100], atol=4)
    with pytest.raises(DatasetError, match="crops 1 or 10"):
        Protocol(crops=5)


def test_windows_and_neighbours(videos, tmp_path):
    source = VideoFiles(videos[0], tmp_path / "index.json")
    pairs = Feed(**{**FEED.__dict__, "frames_per_sample": 2})
    item = TestClips(source, pairs, window=Window(0.6))[0]
    assert item["views"].shape == (1, 3, 6, 32, 32)
    # the middle 6 of 12 frames, pairs: starts at ticks of (6 - 2 + 1) / 3 from frame 3
    levels = item["views"][0, :, :, 25:, 25:].float().mean((2, 3))[:, [0, 3]]
    assert np.allclose(levels, [[30, 40], [50, 60], [70, 80]], atol=4)
    plain = Augmentation(None, (1.0,), brightness=0, contrast=0, saturation=0)
    clips = TrainingClips(source, FEED, plain, 0, Window(0.4, 0.0))
    for epoch in range(20):
        seen = clips[Key(epoch, 0)]["clip"][:, :, 28:, 28:].float().mean((1, 2, 3)) / 10
        assert seen.max() - seen.min() < 3.5


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("count", [12, 13, 7])
def test_every_clip_once_an_epoch_whatever_the_processes(count, world):
    shards = [list(ShardedBatches(count, 4, 9, rank, world)) for rank in range(world)]
    assert len({len(shard) for shard in shards}) == 1
    for steps in zip(*shards, strict=True):
        assert len({len(step) for step in steps}) == 1
    real = [key.index for shard in shards for step in shard for key in step if key.weight]
    assert sorted(real) == list(range(count))
    alone = list(ShardedBatches(count, 4, 9))
    for number, steps in enumerate(zip(*shards, strict=True)):
        together = {key.index for step in steps for key in step if key.weight}
        assert together == {key.index for key in alone[number]}


def test_epochs_have_their_own_order():
    batches = ShardedBatches(50, 50, 0)
    first = [key.index for key in next(iter(batches))]
    batches.set_epoch(1)
    assert [key.index for key in next(iter(batches))] != first
    with pytest.raises(DatasetError, match="cannot be shared by 4"):
        ShardedBatches(10, 2, 0, 0, 4)
