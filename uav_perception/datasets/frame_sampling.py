"""Which frames of a video make a clip.

Indices are frame numbers; ``length`` is TSN's L, the frames that a segment needs in a row.
"""

from __future__ import annotations

import numpy as np


def train_segments(frames: int, segments: int, rng: np.random.Generator, length: int = 1) -> np.ndarray:
    """TSN's training rule: one random start in each of K equal parts.

    With too few frames for K parts the starts are random and sorted, and with hardly any they are all 0.

    Returns:
        (segments,) int64, each in [0, max(frames - length, 0)].
    """
    average = (frames - length + 1) // segments
    if average > 0:
        return np.arange(segments) * average + rng.integers(average, size=segments)
    if frames > segments:
        return np.sort(rng.integers(max(frames - length + 1, 1), size=segments))
    return np.zeros(segments, np.int64)


def test_segments(frames: int, segments: int, length: int = 1) -> np.ndarray:
    """TSN's test rule: the middle of each of K equal parts; all 0 when there are too few frames."""
    return interleaved_segments(frames, segments, 1, length)[0]


def interleaved_segments(frames: int, segments: int, sets: int, length: int = 1) -> np.ndarray:
    """``sets`` disjoint K-frame clips of one video: each part is halved, thirded ... and clip s takes place s of each.

    Returns:
        (sets, segments) int64. One set is `test_segments`.
    """
    if frames <= segments + length - 1:
        return np.zeros((sets, segments), np.int64)
    tick = (frames - length + 1) / segments
    phases = (np.arange(sets) + 0.5) / sets
    return (tick * (np.arange(segments)[None] + phases[:, None])).astype(np.int64)


test_segments.__test__ = False  # its name is TSN's; pytest must not collect it


def dense_clip(frames: int, length: int, stride: int, start: float) -> np.ndarray:
    """``length`` frames, ``stride`` apart; a video that is too short is repeated from its beginning.

    Args:
        frames: of the video.
        length: of the clip.
        stride: between samples.
        start: where the clip lies, 0 (at the beginning) to 1 (at the end).

    Returns:
        (length,) int64.
    """
    room = max(frames - (length - 1) * stride - 1, 0)
    return (round(start * room) + np.arange(length) * stride) % frames


def random_window(frames: int, fps: float, seconds: float, rng: np.random.Generator) -> tuple[int, int]:
    """A sub-window of about ``seconds`` at a random place, as a stream shows it.

    Returns:
        First frame and number of frames; the whole video when it is no longer than that.
    """
    count = max(round(seconds * fps), 1)
    if count >= frames:
        return 0, frames
    return int(rng.integers(frames - count + 1)), count


def centre_window(frames: int, fps: float, seconds: float) -> tuple[int, int]:
    """The sub-window of ``seconds`` in the middle."""
    count = min(max(round(seconds * fps), 1), frames)
    return (frames - count) // 2, count
