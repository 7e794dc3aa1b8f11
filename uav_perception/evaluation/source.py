"""What every recording looks like to the evaluation: a name and images that are read on demand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from uav_perception.frames.frame import Frame


@dataclass(frozen=True)
class EncodedImage:
    """One image of a recording before it is decoded.

    Attributes:
        index: its place in the recording, from 0.
        name: file name without suffix, or empty.
        stamp_ns: when it was taken [ns]; of a damaged message, when it was recorded.
        decode: gives the picture. Raises :class:`~uav_perception.frames.errors.FrameError` when it is unreadable.
    """

    index: int
    name: str
    stamp_ns: int
    decode: Callable[[], Frame]


class Source(ABC):
    """A recording.

    Attributes:
        name: what reports call it.
        in_time_order: its images follow each other, so that tracking and actions make sense.
    """

    name: str
    in_time_order: bool

    @abstractmethod
    def __len__(self) -> int:
        """How many images it says it holds."""

    @abstractmethod
    def images(self) -> Iterator[EncodedImage]:
        """Its images in order. Opens the recording anew; may be called again, and from another thread.

        Raises:
            RecordingError: the recording is damaged.
        """
