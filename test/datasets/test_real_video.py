"""Real files: OpenCV's frames and times against the container's, read by another library."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from uav_perception.datasets.video_file import frame_times, probe, read_frames

MEDIA = Path(__file__).parents[2].parent / "shared" / "media" / "action"
FILES = {"arm_wrestling.mp4": (280, 28), "spatiotemporal.mp4": (57, 6), "test.avi": (164, 25)}


@pytest.fixture(params=FILES)
def video(request):
    path = MEDIA / request.param
    if not path.is_file():
        pytest.skip(f"no {path}")
    return path


def test_frames_and_rate_are_the_containers(video):
    frames, fps = FILES[video.name]
    info = probe(video)
    assert info.frames == frames
    assert info.fps == pytest.approx(fps, rel=0.01)
    assert len(read_frames(video, [0, frames - 1])) == 2


def test_times_are_those_of_the_packets(video):
    av = pytest.importorskip("av")
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stamps = sorted(
            packet.pts * Fraction(stream.time_base) for packet in container.demux(stream) if packet.pts is not None
        )
    times = frame_times(video)
    assert len(times) == len(stamps)
    first = float(stamps[0])
    assert np.allclose(times - times[0], [float(stamp) - first for stamp in stamps], atol=2e-3)
