"""Detections of a long recording, in a temporary file while it runs: memory does not grow with the recording."""

from __future__ import annotations

import tempfile
from types import TracebackType

import numpy as np

from uav_perception.evaluation.errors import EvaluationError
from uav_perception.inference.detections import Detections

_ROW = np.dtype(
    [
        ("boxes", np.float32, 4),
        ("scores", np.float32),
        ("class_ids", np.int32),
        ("track_ids", np.int64),
        ("velocities", np.float32, 2),
    ]
)
_NOTHING = -1


class DetectionSpool:
    """Takes one image's detections after the other and gives all of them back at the end.

    The file has no name and goes with the last array that looks into it. A context manager: leaving it closes the file,
    what :meth:`read` gave stays valid.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._counts: list[int] = []

    def __enter__(self) -> DetectionSpool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._counts)

    def append(self, detections: Detections | None) -> None:
        """Keep the detections of the next image; None where there was nothing to look for.

        Raises:
            EvaluationError: the temporary folder is full.
        """
        if detections is None:
            self._counts.append(_NOTHING)
            return
        rows = np.empty(len(detections), _ROW)
        for name in _ROW.names:
            rows[name] = getattr(detections, name)
        try:
            self._file.write(rows.tobytes())
            self._counts.append(len(rows))
        except OSError as error:
            raise _cannot_write(error) from error

    def read(self) -> list[Detections | None]:
        """What was kept, in order. The arrays are read from the file when they are used.

        Raises:
            EvaluationError: the temporary folder is full.
        """
        try:
            self._file.flush()
        except OSError as error:
            raise _cannot_write(error) from error
        rows = np.zeros(0, _ROW)
        if any(count > 0 for count in self._counts):  # an empty file cannot be mapped
            rows = np.memmap(self._file, _ROW, mode="r")
        found: list[Detections | None] = []
        start = 0
        for count in self._counts:
            if count == _NOTHING:
                found.append(None)
                continue
            part = rows[start : start + count]
            found.append(Detections(**{name: part[name] for name in _ROW.names}))
            start += count
        return found


def _cannot_write(error: OSError) -> EvaluationError:
    return EvaluationError(
        f"The detections cannot be kept in {tempfile.gettempdir()}: {error.strerror or error}. Free some space, or "
        "name another folder in the environment variable TMPDIR."
    )
