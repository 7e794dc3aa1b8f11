"""Where the frames of a video list come from: the files themselves, or a decoded copy in one memory-mapped file.

Both first decode every video once. What does not decode is named, left out and counted; the outcome is kept on disk
under the list's fingerprint, so the next start is quick, and a changed data set is noticed.
"""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from uav_perception.datasets.clip_transforms import to_short_side
from uav_perception.datasets.errors import DatasetError
from uav_perception.datasets.video_file import iterate_frames, probe, read_frames
from uav_perception.datasets.video_list import LabelledVideo, VideoList
from uav_perception.files import replacing, write_json

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Stored:
    """One usable video: its place in the list, its frames (those of its part of the file), where they lie."""

    position: int
    first: int
    frames: int
    fps: float
    height: int
    width: int
    offset: int = 0


class FrameSource(ABC):
    """Random access to the frames of the usable videos of a list.

    Attributes:
        videos: the list it was made from.
        usable: indices into ``videos.videos``, in order; everything else here counts in usable videos.
        skipped: (name, reason) of the others.
    """

    channels = 3

    def __init__(self, videos: VideoList, stored: Sequence[_Stored], skipped: Sequence[tuple[str, str]]) -> None:
        self.videos = videos
        self._stored = list(stored)
        self.usable = [record.position for record in stored]
        self.skipped = [tuple(item) for item in skipped]
        if not stored:
            first = f" The first: {skipped[0][1]}" if skipped else ""
            raise DatasetError(f"No video of {videos.title} can be read.{first}")

    def __len__(self) -> int:
        return len(self._stored)

    def video(self, index: int) -> LabelledVideo:
        """The sample behind a usable video."""
        return self.videos.videos[self.usable[index]]

    def frames(self, index: int) -> int:
        """Number of frames."""
        return self._stored[index].frames

    def fps(self, index: int) -> float:
        """Frames a second, after any thinning."""
        return self._stored[index].fps

    @abstractmethod
    def read(self, index: int, frames: Sequence[int]) -> np.ndarray:
        """(n, height, width, channels) uint8; BGR, or flow as x and y."""


def _report(videos: VideoList, skipped: Sequence[tuple[str, str]]) -> None:
    for name, reason in skipped:
        _log.warning("%s: %s is left out: %s", videos.title, name, reason)
    if skipped:
        _log.warning("%s: %d of %d videos left out", videos.title, len(skipped), len(videos.videos))


def _part(video: LabelledVideo, frames: int, fps: float) -> tuple[int, int]:
    """First frame and number of frames of a sample's part of its file."""
    first = round(video.start * fps)
    last = frames if video.end is None else min(round(video.end * fps), frames)
    if last <= first:
        end = "its end" if video.end is None else f"{video.end:g} s"
        raise DatasetError(
            f"no frame lies between {video.start:g} s and {end}: {video.path} lasts {frames / fps:.2f} s at {fps:g} fps"
        )
    return first, last - first


def _load_index(path: Path, fingerprint: str, options: dict[str, object]) -> dict | None:
    """The index on disk, or None when there is none or it belongs to other data or options."""
    if not path.is_file():
        return None
    index = json.loads(path.read_text(encoding="utf-8"))
    if index["fingerprint"] != fingerprint or index["options"] != options:
        _log.warning("%s was made for other data or options; it is made anew.", path)
        return None
    return index


class VideoFiles(FrameSource):
    """Decodes on every access. For large sets and slow networks.

    Args:
        videos: what to read.
        index: JSON file that remembers the frame counts.
    """

    def __init__(self, videos: VideoList, index: str | Path) -> None:
        fingerprint = videos.fingerprint()
        found = _load_index(Path(index), fingerprint, {})
        if found is None:
            found = self._scan(videos, fingerprint)
            write_json(index, found)
        _report(videos, found["skipped"])
        super().__init__(videos, [_Stored(**record) for record in found["videos"]], found["skipped"])

    @staticmethod
    def _scan(videos: VideoList, fingerprint: str) -> dict:
        stored, skipped = [], []
        for position, video in enumerate(tqdm(videos.videos, desc=f"Counting frames, {videos.title}", unit="video")):
            try:
                info = probe(video.path)
                first, frames = _part(video, info.frames, info.fps)
            except DatasetError as error:
                skipped.append((video.name, str(error)))
                continue
            stored.append(asdict(_Stored(position, first, frames, info.fps, info.height, info.width)))
        return {"fingerprint": fingerprint, "options": {}, "videos": stored, "skipped": skipped}

    def read(self, index: int, frames: Sequence[int]) -> np.ndarray:
        """(n, height, width, 3) uint8, BGR."""
        first = self._stored[index].first
        return read_frames(self.video(index).path, [first + int(frame) for frame in frames])


class FrameStore(FrameSource):
    """All frames decoded once into one uint8 file, resized; reading is a memory copy. For small sets.

    Args:
        videos: what to read.
        folder: where ``frames.bin`` and ``index.json`` go.
        short_side: frames are scaled to it; 0 keeps the size.
        every: keep every n-th frame; the frame rate falls with it.
    """

    def __init__(self, videos: VideoList, folder: str | Path, short_side: int = 0, every: int = 1) -> None:
        folder = Path(folder)
        if every < 1 or short_side < 0:
            raise DatasetError(f"The store needs every >= 1 and short_side >= 0, got {every} and {short_side}.")
        options = {"short_side": short_side, "every": every}
        fingerprint = videos.fingerprint()
        found = _load_index(folder / "index.json", fingerprint, options)
        if found is None or not (folder / "frames.bin").is_file():
            (folder / "index.json").unlink(missing_ok=True)  # it would describe other frames than the new file's
            with replacing(folder / "frames.bin") as temporary:
                found = self._decode(videos, fingerprint, options, temporary)
            write_json(folder / "index.json", found)
        _report(videos, found["skipped"])
        super().__init__(videos, [_Stored(**record) for record in found["videos"]], found["skipped"])
        self._path = folder / "frames.bin"
        self._pixels = np.memmap(self._path, np.uint8, "r")

    def __getstate__(self) -> dict:
        """For loader processes that are not forked: they map the file themselves, its content does not travel."""
        return {name: value for name, value in self.__dict__.items() if name != "_pixels"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._pixels = np.memmap(self._path, np.uint8, "r")

    @staticmethod
    def _decode(videos: VideoList, fingerprint: str, options: dict, path: Path) -> dict:
        stored, skipped = [], []
        with path.open("wb") as file:
            for position, video in enumerate(tqdm(videos.videos, desc=f"Decoding {videos.title}", unit="video")):
                try:
                    frames, fps = _thinned(video, **options)
                except DatasetError as error:
                    skipped.append((video.name, str(error)))
                    continue
                count, height, width = frames.shape[:3]
                stored.append(asdict(_Stored(position, 0, count, fps, height, width, file.tell())))
                file.write(frames.tobytes())
        return {"fingerprint": fingerprint, "options": options, "videos": stored, "skipped": skipped}

    def read(self, index: int, frames: Sequence[int]) -> np.ndarray:
        """(n, height, width, 3) uint8, BGR."""
        record = self._stored[index]
        size = record.frames * record.height * record.width * 3
        pixels = self._pixels[record.offset : record.offset + size]
        return pixels.reshape(record.frames, record.height, record.width, 3)[np.asarray(frames)]


def _thinned(video: LabelledVideo, short_side: int, every: int) -> tuple[np.ndarray, float]:
    """All frames a store keeps of one video, and their rate."""
    info = probe(video.path)
    first, count = _part(video, info.frames, info.fps)
    kept = []
    for number, frame in enumerate(iterate_frames(video.path)):
        if number >= first + count:
            break
        if number >= first and (number - first) % every == 0:
            kept.append(to_short_side(frame[None], short_side)[0] if short_side else frame)
    return np.stack(kept), info.fps / every


def flow_between(earlier: np.ndarray, later: np.ndarray, algorithm: cv2.DenseOpticalFlow, bound: float) -> np.ndarray:
    """TV-L1 flow of two grey images, clipped to +-bound px and scaled to 0..255 (127.5: no motion).

    Returns:
        (height, width, 2) uint8: x, y.
    """
    flow = np.clip(algorithm.calc(earlier, later, None), -bound, bound)
    return np.rint((flow + bound) * (255 / (2 * bound))).astype(np.uint8)


class FlowStore(FrameSource):
    """TV-L1 optical flow of every pair of neighbouring frames, computed once and kept, one file a video.

    An interrupted run goes on where it stopped. A video of n frames has n - 1 flow frames.

    Args:
        videos: what to read.
        folder: where the flow files and the index go.
        short_side: frames are scaled to it before flow is computed (I3D: 256).
        bound: motion beyond this many pixels is clipped (I3D: 20).
    """

    channels = 2

    def __init__(self, videos: VideoList, folder: str | Path, short_side: int = 256, bound: float = 20.0) -> None:
        folder = Path(folder)
        options = {"short_side": short_side, "bound": bound}
        fingerprint = videos.fingerprint()
        found = _load_index(folder / "index.json", fingerprint, options)
        if found is None:
            found = self._compute(videos, fingerprint, options, folder)
            write_json(folder / "index.json", found)
        _report(videos, found["skipped"])
        super().__init__(videos, [_Stored(**record) for record in found["videos"]], found["skipped"])
        self._folder, self._options = folder, options

    @staticmethod
    def _file(folder: Path, options: dict, video: LabelledVideo) -> Path:
        key = f"{video.name}@{video.start:g}-{video.end}".replace("/", "__")
        size = video.path.stat().st_size
        return folder / f"{key}.{size}.{options['short_side']}.{options['bound']:g}.npy"

    @classmethod
    def _compute(cls, videos: VideoList, fingerprint: str, options: dict, folder: Path) -> dict:
        folder.mkdir(parents=True, exist_ok=True)
        algorithm = cv2.optflow.DualTVL1OpticalFlow_create()
        stored, skipped = [], []
        for position, video in enumerate(tqdm(videos.videos, desc=f"TV-L1 flow, {videos.title}", unit="video")):
            try:
                info = probe(video.path)
                path = cls._file(folder, options, video)
                if not path.is_file():
                    flow = _flow_of(video, algorithm, **options)
                    with replacing(path) as temporary:
                        np.save(temporary, flow)
                frames, height, width = np.load(path, mmap_mode="r").shape[:3]
            except DatasetError as error:
                skipped.append((video.name, str(error)))
                continue
            stored.append(asdict(_Stored(position, 0, frames, info.fps, height, width)))
        return {"fingerprint": fingerprint, "options": options, "videos": stored, "skipped": skipped}

    def read(self, index: int, frames: Sequence[int]) -> np.ndarray:
        """(n, height, width, 2) uint8: x and y."""
        path = self._file(self._folder, self._options, self.video(index))
        return np.load(path, mmap_mode="r")[np.asarray(frames)]


def _flow_of(video: LabelledVideo, algorithm: cv2.DenseOpticalFlow, short_side: int, bound: float) -> np.ndarray:
    frames, _ = _thinned(video, short_side, 1)
    if len(frames) < 2:
        raise DatasetError(f"{video.path} has one frame; flow needs two.")
    grey = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]
    return np.stack([flow_between(a, b, algorithm, bound) for a, b in pairwise(grey)])
