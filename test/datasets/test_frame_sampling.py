import numpy as np
import pytest

from uav_perception.datasets import frame_sampling as sampling


def test_training_segments_stay_in_their_parts_and_fill_them():
    """90 frames in 3 parts of 30: each start is uniform over its part."""
    rng = np.random.default_rng(0)
    starts = np.stack([sampling.train_segments(90, 3, rng) for _ in range(6000)])
    for part in range(3):
        counts = np.bincount(starts[:, part] - 30 * part, minlength=30)
        assert counts.sum() == 6000 and len(counts) == 30
        # chi-squared with 29 degrees of freedom: 58.3 is its 99.9 % point
        assert ((counts - 200) ** 2 / 200).sum() < 58.3


@pytest.mark.parametrize(("frames", "length"), [(91, 1), (92, 5), (7, 1), (8, 2)])
def test_training_segments_never_run_over_the_end(frames, length):
    rng = np.random.default_rng(1)
    for _ in range(200):
        starts = sampling.train_segments(frames, 3, rng, length)
        assert (np.diff(starts) > 0).all()
        assert starts[0] >= 0 and starts[-1] + length <= frames


def test_training_segments_of_short_videos():
    rng = np.random.default_rng(2)
    assert sampling.train_segments(2, 3, rng).tolist() == [0, 0, 0]
    # 4 frames, L = 3: two possible starts for 3 segments: random, sorted
    drawn = np.stack([sampling.train_segments(4, 3, rng, 3) for _ in range(100)])
    assert set(drawn.ravel().tolist()) == {0, 1}
    assert (np.diff(drawn, axis=1) >= 0).all()


@pytest.mark.parametrize(
    ("frames", "expected"), [(90, [15, 45, 75]), (24, [4, 12, 20]), (10, [1, 5, 8]), (3, [0, 0, 0])]
)
def test_test_segments_are_tsns_rule(frames, expected):
    assert sampling.test_segments(frames, 3).tolist() == expected
    if frames > 3:
        tick = frames / 3
        assert expected == [int(tick / 2 + tick * k) for k in range(3)]


def test_interleaved_sets_share_no_frame():
    sets = sampling.interleaved_segments(90, 3, 5)
    assert sets.shape == (5, 3)
    assert len(set(sets.ravel().tolist())) == 15
    assert sets[2].tolist() == sampling.test_segments(90, 3).tolist()


def test_dense_clips_cover_the_ends_and_repeat_short_videos():
    assert sampling.dense_clip(100, 16, 2, 0.0).tolist() == list(range(0, 32, 2))
    assert sampling.dense_clip(100, 16, 2, 1.0)[-1] == 99
    assert sampling.dense_clip(5, 8, 1, 0.7).tolist() == [0, 1, 2, 3, 4, 0, 1, 2]


def test_windows():
    rng = np.random.default_rng(3)
    drawn = np.array([sampling.random_window(24, 10.0, 2.0, rng) for _ in range(300)])
    assert set(drawn[:, 0].tolist()) == {0, 1, 2, 3, 4}
    assert set(drawn[:, 1].tolist()) == {20}
    assert sampling.random_window(15, 10.0, 2.0, rng) == (0, 15)
    assert sampling.centre_window(24, 10.0, 2.0) == (2, 20)
