"""What came out of one recording: everything that the measures need, kept in one file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from uav_perception.evaluation.actions import ActionSequence, Segment
from uav_perception.evaluation.errors import EvaluationError
from uav_perception.evaluation.geolocation import PlacedTargets
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.files import replacing
from uav_perception.inference.detections import Detections

FORMAT = 3
"""Raised when the content of the file changes, so that an old one is not taken for a new one."""

_TRUTH_FIELDS = ("boxes", "class_ids", "ignored", "track_ids", "areas")
_DETECTION_FIELDS = ("boxes", "scores", "class_ids", "track_ids", "velocities")
_ACTOR_FIELDS = {"times_ns": np.int64, "track_ids": np.int64, "labels": np.int64, "scores": np.float32}


@dataclass(frozen=True)
class ImageRecord:
    """One processed image.

    Attributes:
        index: its place in the recording.
        name: its file name without suffix, or empty.
        stamp_ns: when it was taken [ns].
        detections: all that was found, for the detection measures.
        tracks: what the tracker made of it; None where nothing is tracked.
        truth: what is really there; None where that is not known.
    """

    index: int
    name: str
    stamp_ns: int
    detections: Detections
    tracks: Detections | None = None
    truth: ImageTruth | None = None


@dataclass(frozen=True)
class Accounting:
    """Where every image of a recording went.

    Attributes:
        total: images in the recording.
        processed: those that went through the models.
        skipped: those left out by --every, --start, --end or --limit.
        unreadable: those that could not be decoded.
        reasons: why, for the first ones, each with its index.
    """

    total: int
    processed: int
    skipped: int
    unreadable: int
    reasons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "reasons", tuple(self.reasons))
        if self.processed + self.skipped + self.unreadable != self.total:
            raise EvaluationError(
                f"Images are lost: {self.processed} processed, {self.skipped} skipped and {self.unreadable} unreadable "
                f"do not add up to {self.total}."
            )


@dataclass(frozen=True)
class ClipResults:
    """Short labelled videos, one judgement each.

    Attributes:
        names: of the clips.
        scores: shape (N, C), probability of each class.
        labels: int, shape (N,), the true class.
    """

    names: tuple[str, ...]
    scores: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.scores) == len(self.labels):
            raise EvaluationError(
                f"{len(self.names)} clips, {len(self.scores)} rows of scores and {len(self.labels)} labels do not fit."
            )


@dataclass(frozen=True)
class ActorLabels:
    """What the recogniser said of those whom the tracker followed, tick by tick.

    Attributes:
        times_ns: int64, shape (N,), ascending, when it was said [ns].
        track_ids: int64, shape (N,), of whom.
        labels: int64, shape (N,), class, or ``UNKNOWN``.
        scores: float32, shape (N,), of the label; 0 while unknown.
    """

    times_ns: np.ndarray
    track_ids: np.ndarray
    labels: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        for name, kind in _ACTOR_FIELDS.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), kind).reshape(-1))
        if len({len(getattr(self, name)) for name in _ACTOR_FIELDS}) != 1:
            raise EvaluationError("Labels of actors need one entry in every field.")

    @classmethod
    def empty(cls) -> ActorLabels:
        """Nobody was looked at."""
        return cls([], [], [], [])


@dataclass(frozen=True)
class FlightRecord:
    """What came out of one recording.

    Attributes:
        name: of the recording.
        accounting: where its images went.
        images: the processed ones, in order.
        actions: recognised and true actions by scope, -1 for the whole image, else the true track id.
        actors: what was recognised by the id that the tracker gave, whether or not that is true.
        placed: places on the ground with their true ones.
        clips: for a data set of short labelled videos, else None.
        warnings: what a reader of the numbers should know.
        timings_ms: durations of each step, shape (processed,) [ms].
        wall_s: how long the whole recording took [s].
        peak_memory_mb: largest resident memory of the process [MB].
        in_time_order: its images follow each other.
    """

    name: str
    accounting: Accounting
    images: tuple[ImageRecord, ...]
    actions: dict[int, ActionSequence] = field(default_factory=dict)
    actors: ActorLabels = field(default_factory=ActorLabels.empty)
    placed: PlacedTargets = field(default_factory=lambda: PlacedTargets.joined([]))
    clips: ClipResults | None = None
    warnings: tuple[str, ...] = ()
    timings_ms: dict[str, np.ndarray] = field(default_factory=dict)
    wall_s: float = 0.0
    peak_memory_mb: float = 0.0
    in_time_order: bool = False

    def judged(self) -> tuple[list[ImageTruth], list[Detections]]:
        """Truth and detections of the images that have truth."""
        known = [image for image in self.images if image.truth is not None]
        return [image.truth for image in known], [image.detections for image in known]

    def judged_tracks(self) -> tuple[list[ImageTruth], list[Detections]]:
        """Truth and tracks of the images that have both; none where the true objects have no ids."""
        known = [image for image in self.images if image.truth is not None and image.tracks is not None]
        ids = np.concatenate([np.zeros(0, np.int64), *(image.truth.track_ids for image in known)])
        if len(ids) and (ids < 0).all():
            return [], []
        return [image.truth for image in known], [image.tracks for image in known]

    def judged_actions(self) -> dict[int, ActionSequence]:
        """The scopes of which true actions are known: of the others nobody can say what was done there."""
        return {key: sequence for key, sequence in self.actions.items() if sequence.truth}


def save_record(path: str | Path, record: FlightRecord, fingerprint: str) -> None:
    """Write a record in one step.

    Args:
        path: an .npz file.
        record: what to keep.
        fingerprint: of the models, truth and settings that made it.
    """
    arrays: dict[str, np.ndarray] = {}
    images = record.images
    arrays["index"] = np.array([i.index for i in images], np.int64)
    arrays["stamp_ns"] = np.array([i.stamp_ns for i in images], np.int64)
    _pack(arrays, "detections", [i.detections for i in images], _DETECTION_FIELDS)
    arrays["tracked"] = np.array([i.tracks is not None for i in images], bool)
    _pack(arrays, "tracks", [i.tracks for i in images if i.tracks is not None], _DETECTION_FIELDS)
    truths = [i.truth for i in images if i.truth is not None]
    arrays["has_truth"] = np.array([i.truth is not None for i in images], bool)
    _pack(arrays, "truths", truths, _TRUTH_FIELDS)
    _pack(arrays, "regions", truths, ("ignore_regions",))
    arrays["sizes"] = np.array([(t.width, t.height) for t in truths], np.int64).reshape(-1, 2)
    for key, sequence in record.actions.items():
        arrays[f"action/{key}/times_ns"] = sequence.times_ns
        arrays[f"action/{key}/scores"] = sequence.scores
        arrays[f"action/{key}/labels"] = sequence.labels
        truth = np.array([(s.start_ns, s.end_ns, s.class_id) for s in sequence.truth], np.int64)
        arrays[f"action/{key}/truth"] = truth.reshape(-1, 3)
    for name in _ACTOR_FIELDS:
        arrays[f"actors/{name}"] = getattr(record.actors, name)
    for name in ("east_north", "true_east_north", "covariance"):
        arrays[f"placed/{name}"] = getattr(record.placed, name)
    if record.clips is not None:
        arrays["clips/scores"], arrays["clips/labels"] = record.clips.scores, record.clips.labels
    for name, values in record.timings_ms.items():
        arrays[f"timing/{name}"] = np.asarray(values)
    about = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "name": record.name,
        "names": [i.name for i in images],
        "accounting": vars(record.accounting),
        "clips": None if record.clips is None else record.clips.names,
        "warnings": record.warnings,
        "wall_s": record.wall_s,
        "peak_memory_mb": record.peak_memory_mb,
        "in_time_order": record.in_time_order,
        "action_ends": {str(k): s.end_ns for k, s in record.actions.items()},
    }
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    try:
        with replacing(path) as temporary:
            np.savez_compressed(temporary, **arrays)
    except OSError as error:
        raise EvaluationError(
            f"{path} cannot be written: {error.strerror or error}. Free some space and go on with --resume."
        ) from error


def load_record(path: str | Path, fingerprint: str | None = None) -> FlightRecord | None:
    """Read a record.

    Args:
        path: what :func:`save_record` wrote.
        fingerprint: what must have made it; None accepts any.

    Returns:
        The record; None when there is no file, or it was made by something else.

    Raises:
        EvaluationError: the file is damaged.
    """
    path = Path(path)
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(arrays["about"].tobytes())
    except Exception as error:  # zip, zlib and numpy each have their own errors for a damaged file
        raise EvaluationError(f"The record {path} is damaged ({error}). Delete it and run again.") from error
    if about.get("format") != FORMAT or (fingerprint is not None and about["fingerprint"] != fingerprint):
        return None
    return _unpacked(arrays, about)


def _unpacked(arrays: dict[str, np.ndarray], about: dict) -> FlightRecord:
    detections = [Detections(**row) for row in _unpack(arrays, "detections", _DETECTION_FIELDS)]
    tracks = iter([Detections(**row) for row in _unpack(arrays, "tracks", _DETECTION_FIELDS)])
    truths = iter(
        ImageTruth(**row, **region, width=int(size[0]), height=int(size[1]))
        for row, region, size in zip(
            _unpack(arrays, "truths", _TRUTH_FIELDS),
            _unpack(arrays, "regions", ("ignore_regions",)),
            arrays["sizes"],
            strict=True,
        )
    )
    images = tuple(
        ImageRecord(
            int(arrays["index"][i]),
            about["names"][i],
            int(arrays["stamp_ns"][i]),
            detections[i],
            next(tracks) if arrays["tracked"][i] else None,
            next(truths) if arrays["has_truth"][i] else None,
        )
        for i in range(len(detections))
    )
    actions = {
        int(key): ActionSequence(
            arrays[f"action/{key}/times_ns"],
            arrays[f"action/{key}/scores"],
            arrays[f"action/{key}/labels"],
            tuple(Segment(int(a), int(b), int(c)) for a, b, c in arrays[f"action/{key}/truth"]),
            end,
        )
        for key, end in about["action_ends"].items()
    }
    placed = PlacedTargets(*(arrays[f"placed/{n}"] for n in ("east_north", "true_east_north", "covariance")))
    clips = None
    if about["clips"] is not None:
        clips = ClipResults(tuple(about["clips"]), arrays["clips/scores"], arrays["clips/labels"])
    timings = {name.removeprefix("timing/"): arrays[name] for name in arrays if name.startswith("timing/")}
    return FlightRecord(
        about["name"],
        Accounting(**about["accounting"]),
        images,
        actions,
        ActorLabels(*(arrays[f"actors/{name}"] for name in _ACTOR_FIELDS)),
        placed,
        clips,
        tuple(about["warnings"]),
        timings,
        about["wall_s"],
        about["peak_memory_mb"],
        about["in_time_order"],
    )


def _pack(arrays: dict[str, np.ndarray], name: str, rows: Sequence[object], fields: Sequence[str]) -> None:
    """Join ragged rows; ``<name>/ends`` says where each ends."""
    arrays[f"{name}/ends"] = np.cumsum([len(getattr(row, fields[0])) for row in rows]).astype(np.int64)
    for name_of_field in fields:
        values = [getattr(row, name_of_field) for row in rows]
        if values:
            arrays[f"{name}/{name_of_field}"] = np.concatenate(values)


def _unpack(arrays: dict[str, np.ndarray], name: str, fields: Sequence[str]) -> list[dict[str, np.ndarray]]:
    ends = arrays[f"{name}/ends"].tolist()
    starts = [0, *ends][: len(ends)]
    return [{f: arrays[f"{name}/{f}"][a:b] for f in fields} for a, b in zip(starts, ends, strict=True)]


def joined(parts: Sequence[FlightRecord]) -> FlightRecord:
    """Slices of one recording, in order, as one record.

    Raises:
        EvaluationError: the slices are of different recordings.
    """
    if len({part.name for part in parts}) != 1:
        raise EvaluationError(f"Slices of different recordings cannot be joined: {[part.name for part in parts]}.")
    first = parts[0]
    # A slice without a processed image has no timings of the models.
    stages = dict.fromkeys(name for part in parts for name in part.timings_ms)
    timings = {n: np.concatenate([part.timings_ms.get(n, np.zeros(0)) for part in parts]) for n in stages}
    accounts = [part.accounting for part in parts]
    total = accounts[0].total
    processed, unreadable = sum(a.processed for a in accounts), sum(a.unreadable for a in accounts)
    reasons = [reason for account in accounts for reason in account.reasons]
    return FlightRecord(
        first.name,
        Accounting(total, processed, total - processed - unreadable, unreadable, tuple(reasons)),
        tuple(image for part in parts for image in part.images),
        warnings=tuple(dict.fromkeys(warning for part in parts for warning in part.warnings)),
        timings_ms=timings,
        wall_s=sum(part.wall_s for part in parts),
        peak_memory_mb=max(part.peak_memory_mb for part in parts),
    )
