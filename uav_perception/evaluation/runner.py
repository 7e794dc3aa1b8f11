"""One recording from its first image to its record."""

from __future__ import annotations

import resource
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from uav_perception.actions.results import ActionResult
from uav_perception.evaluation.action_tracks import actor_labels, sequences_by_scope
from uav_perception.evaluation.actions import Segment, cut
from uav_perception.evaluation.errors import EvaluationError, TruthError
from uav_perception.evaluation.pipeline import Pipeline
from uav_perception.evaluation.prefetch import prefetch
from uav_perception.evaluation.record import Accounting, ActorLabels, FlightRecord, ImageRecord
from uav_perception.evaluation.settings import Settings
from uav_perception.evaluation.source import EncodedImage, Source
from uav_perception.evaluation.spool import DetectionSpool
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.evaluation.truth_table import TruthTable, match_images, renamed, segments_of
from uav_perception.frames.errors import FrameError
from uav_perception.frames.frame import Frame
from uav_perception.inference.detector import Work

READ_AHEAD = 4
"""Decoded images that wait for the models. Bounds the memory; more would not make the slower side faster."""

INFERRED_AHEAD = 2
"""Images between the detector's network and what follows it."""

_REASONS = 10


@dataclass(frozen=True)
class Decoded:
    """An image with its pixels and the detector's input; ``frame`` is None where it was skipped or unreadable."""

    image: EncodedImage
    frame: Frame | None
    work: Work | None
    problem: str | None
    decode_ms: float


class Policy:
    """Decides which images are processed: every n-th one within a span of time, up to a limit, of a part.

    Args:
        settings: says which.
        part: first index and the one after the last, for a slice of a recording; None for all.
    """

    def __init__(self, settings: Settings, part: tuple[int, int] | None = None) -> None:
        self._settings = settings
        self._part = part
        self._first_ns: int | None = None
        self._taken = 0

    def takes(self, image: EncodedImage) -> bool:
        """Whether this image is to be processed. Called once for each, in order."""
        if self._first_ns is None:
            self._first_ns = image.stamp_ns
        after = (image.stamp_ns - self._first_ns) / 1e9
        s = self._settings
        in_time = after >= s.start_s and (s.end_s is None or after < s.end_s)
        if not in_time or image.index % s.every or (s.limit is not None and self._taken >= s.limit):
            return False
        self._taken += 1
        return self._part is None or self._part[0] <= image.index < self._part[1]


def evaluate_source(
    source: Source,
    truth: TruthTable | None,
    pipeline: Pipeline,
    part: tuple[int, int] | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> FlightRecord:
    """Run the models over a recording and put the truth beside what they say.

    Args:
        source: the recording.
        truth: of its images, or None.
        pipeline: the models.
        part: first index and the one after the last, for a slice; only for models without memory.
        progress: told of each image that is done.

    Raises:
        TruthError: the truth belongs to none of the images.
        RecordingError: the recording breaks off.
    """
    settings = pipeline.settings
    if part is not None and (pipeline.recogniser is not None or (settings.track and source.in_time_order)):
        raise EvaluationError("Tracking and actions remember earlier images; a recording cannot be cut into slices.")
    began = time.perf_counter()
    pipeline.start(source.in_time_order)
    seen: list[EncodedImage] = []
    judged: list[tuple[ActionResult, ...]] = []
    sizes: list[tuple[int, int]] = []
    timings = _Timings()
    skipped = unreadable = 0
    reasons: list[str] = []
    everything: list[EncodedImage] = []
    # Three stages side by side: reading, decoding and preparing; the detector's network; everything after it.
    decoding = prefetch(_decoded(source, Policy(settings, part), pipeline), READ_AHEAD)
    with DetectionSpool() as found, DetectionSpool() as followed:
        for decoded in prefetch(_inferred(decoding, pipeline), INFERRED_AHEAD):
            everything.append(replace(decoded.image, decode=_forgotten))
            if decoded.problem is not None:
                unreadable += 1
                if len(reasons) < _REASONS:
                    reasons.append(f"image {decoded.image.index}: {decoded.problem}")
            elif decoded.frame is None:
                skipped += 1
            else:
                outcome = pipeline.follow(decoded.frame, decoded.work)
                found.append(outcome.detections)
                followed.append(outcome.tracks)
                judged.append(outcome.actions)
                timings.add({"decode": decoded.decode_ms, **outcome.timings_ms})
                seen.append(everything[-1])
                sizes.append(decoded.frame.image.shape[1::-1])
            progress(1)
        detections, tracks = found.read(), followed.read()
    accounting = Accounting(len(everything), len(seen), skipped, unreadable, tuple(reasons))
    truths, warnings = _truths(everything, seen, truth, pipeline)
    images = tuple(
        ImageRecord(image.index, image.name, image.stamp_ns, *rest)
        for image, *rest in zip(seen, detections, tracks, truths, strict=True)
    )
    if unreadable:
        warnings.append(f"{unreadable} of {len(everything)} images are unreadable, the first: {reasons[0]}")
    warnings += _other_sizes(images, sizes, truth)
    actions, actors, more = _actions(images, judged, truth, everything, pipeline)
    more += _not_judged(truth, pipeline) + _not_renamed(settings, truth)
    return FlightRecord(
        source.name,
        accounting,
        images,
        actions,
        actors,
        warnings=(*warnings, *more),
        timings_ms=timings.columns(),
        wall_s=time.perf_counter() - began,
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


class _Timings:
    """Durations of each step [ms], image after image; 0 where a step was not taken."""

    def __init__(self) -> None:
        self._columns: dict[str, array[float]] = {}
        self._images = 0

    def add(self, spent: dict[str, float]) -> None:
        """The next image's."""
        for name in spent:
            self._columns.setdefault(name, array("d", bytes(8 * self._images)))
        for name, column in self._columns.items():
            column.append(spent.get(name, 0.0))
        self._images += 1

    def columns(self) -> dict[str, np.ndarray]:
        """By step, shape (images,)."""
        return {name: np.array(self._columns[name]) for name in sorted(self._columns)}


def _forgotten() -> Frame:
    raise FrameError("The image was processed and is not kept; read it from its source again.")


def _decoded(source: Source, policy: Policy, pipeline: Pipeline) -> Iterator[Decoded]:
    for image in source.images():
        if not policy.takes(image):
            yield Decoded(image, None, None, None, 0.0)
            continue
        began = time.perf_counter()
        try:
            frame, problem = image.decode(), None
        except FrameError as error:
            frame, problem = None, str(error)
        spent = 1000 * (time.perf_counter() - began)
        yield Decoded(image, frame, None if frame is None else pipeline.prepare(frame), problem, spent)


def _inferred(decoding: Iterator[Decoded], pipeline: Pipeline) -> Iterator[Decoded]:
    for decoded in decoding:
        pipeline.infer(decoded.work)
        yield decoded


def _truths(
    everything: list[EncodedImage], seen: list[EncodedImage], truth: TruthTable | None, pipeline: Pipeline
) -> tuple[tuple[ImageTruth | None, ...], list[str]]:
    """The truth of each processed image, and what a reader should know of the matching."""
    if truth is None or not truth.images or not pipeline.class_names:
        return (None,) * len(seen), []
    truth = renamed(truth, _present(pipeline.settings, truth))
    tolerance_ns = round(pipeline.settings.tolerance_ms * 1e6)
    # All images are matched, so that truth of skipped ones is not taken for truth of another flight.
    matched = match_images(everything, truth, pipeline.class_names, tolerance_ns)
    by_index = {image.index: found for image, found in zip(everything, matched.truths, strict=True)}
    return tuple(by_index[image.index] for image in seen), matched.warnings(truth.origin)


def _other_sizes(images: tuple[ImageRecord, ...], sizes: list[tuple[int, int]], truth: TruthTable | None) -> list[str]:
    """Truth that was made for images of another size."""
    known = [
        (size, (image.truth.width, image.truth.height))
        for image, size in zip(images, sizes, strict=True)
        if image.truth is not None and image.truth.width and image.truth.height
    ]
    others = [(of_image, of_truth) for of_image, of_truth in known if of_image != of_truth]
    if not others:
        return []
    (width, height), (true_width, true_height) = others[0]
    return [
        f"the truth in {truth.origin} is for images of another size in {len(others)} of {len(known)} images, the first "
        f"{true_width}x{true_height} where the image is {width}x{height} [px]; boxes are compared as they are"
    ]


def _labels(truth: TruthTable) -> set[str]:
    return set(truth.class_names) | {span.label for span in truth.spans}


def _present(settings: Settings, truth: TruthTable) -> dict[str, str]:
    known = _labels(truth)
    return {old: new for old, new in settings.class_map if old in known}


def _not_renamed(settings: Settings, truth: TruthTable | None) -> list[str]:
    """Names of --class-map that do not occur: of another flight's truth, or written wrongly."""
    if truth is None:
        return []
    known = _labels(truth)
    names = [old for old, _ in settings.class_map if old not in known]
    if not names:
        return []
    return [f"--class-map renames {', '.join(names)}, but {truth.origin} has {', '.join(sorted(known)) or 'nothing'}"]


def _actions(
    images: tuple[ImageRecord, ...],
    judged: list[tuple[ActionResult, ...]],
    truth: TruthTable | None,
    everything: list[EncodedImage],
    pipeline: Pipeline,
) -> tuple[dict, ActorLabels, list[str]]:
    names = pipeline.action_names
    if not names or not images:
        return {}, ActorLabels.empty(), []
    segments: dict = {}
    warnings: list[str] = []
    if truth is not None and truth.spans:
        truth = renamed(truth, _present(pipeline.settings, truth))
        segments, unknown = segments_of(truth, everything[0].stamp_ns, names)
        if not segments:
            raise TruthError(
                f"The actions in {truth.origin} are {', '.join(sorted(unknown))}, and the model has none of them; "
                f"it knows {', '.join(names)}. Rename some with --class-map."
            )
        if unknown:
            listed = ", ".join(f"{label} ({count})" for label, count in sorted(unknown.items()))
            warnings.append(f"true actions that the model does not have are left out: {listed}")
        warnings += _outside(segments, everything, truth.origin)
    results: list[tuple[ImageRecord, ActionResult]] = [
        (image, result) for image, results_of in zip(images, judged, strict=True) for result in results_of
    ]
    end_ns = images[-1].stamp_ns + _interval(images)
    # What was done before, after or between recordings, or in a part that was skipped, could not be seen.
    seen = {track: cut(own, images[0].stamp_ns, end_ns) for track, own in segments.items()}
    segments = {track: own for track, own in seen.items() if own}
    ids = {name: i for i, name in enumerate(names)}
    scope = pipeline.settings.action_scope
    scopes = ("frame", "track") if scope == "both" else (scope,)
    sequences = sequences_by_scope(results, segments, ids, pipeline.score_row, end_ns, scopes)
    return sequences, actor_labels(results, ids), warnings


def _outside(segments: dict[int, tuple[Segment, ...]], everything: list[EncodedImage], origin: str) -> list[str]:
    """Say how many true actions lie wholly outside the recording.

    Raises:
        TruthError: all of them.
    """
    spans = [span for own in segments.values() for span in own]
    first, last = everything[0].stamp_ns, everything[-1].stamp_ns
    outside = sum(span.end_ns <= first or span.start_ns > last for span in spans)
    if outside == len(spans):
        start, end = min(s.start_ns for s in spans), max(s.end_ns for s in spans)
        raise TruthError(
            f"Not one of {len(spans)} true actions in {origin} lies in the recording: its images' stamps run from "
            f"{first / 1e9:.3f} to {last / 1e9:.3f} s, the actions from {start / 1e9:.3f} to {end / 1e9:.3f} s. Times "
            "in start_s count from the first image; stamps stand in start_stamp and end_stamp."
        )
    if not outside:
        return []
    return [f"{outside} of {len(spans)} true actions in {origin} lie outside the recording and are not judged"]


def _not_judged(truth: TruthTable | None, pipeline: Pipeline) -> list[str]:
    """What has no truth at all."""
    lines = []
    if pipeline.class_names and (truth is None or not truth.images):
        lines.append("detections are not judged: there is no truth of objects (/ground_truth topics, or --truth)")
    if pipeline.action_names and (truth is None or not truth.spans):
        lines.append("actions are not judged: there is no truth of actions (/ground_truth topics, or --truth)")
    return lines


def _interval(images: tuple[ImageRecord, ...]) -> int:
    stamps = np.array([image.stamp_ns for image in images])
    return max(1, int(np.median(np.diff(stamps)))) if len(stamps) > 1 else 1
