"""Truth as it was read, before it is known to which images it belongs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from uav_perception.evaluation.actions import Segment
from uav_perception.evaluation.errors import TruthError
from uav_perception.evaluation.source import EncodedImage
from uav_perception.evaluation.truth import ImageTruth

KEYS = ("stamp", "index", "name")


@dataclass(frozen=True)
class LabelledSpan:
    """One true action.

    Attributes:
        start_ns: its start [ns], after the first image, or absolute.
        end_ns: its end, not included.
        label: the action in words.
        track_id: the actor, -1 for the whole image.
    """

    start_ns: int
    end_ns: int
    label: str
    track_id: int = -1


@dataclass(frozen=True)
class TruthTable:
    """Truth of one recording.

    Attributes:
        origin: where it comes from, for messages: a name without its folders, as reports carry it.
        class_names: names of its own class ids.
        key: by what its images are known: "stamp" [ns], "index" (from 0) or "name" (file name without suffix).
        images: truth by that key.
        spans: true actions.
        spans_absolute: the spans' times are stamps, not seconds after the first image.
        positions: true places, by stamp [ns], then by track id: east, north, up [m].
    """

    origin: str
    class_names: tuple[str, ...] = ()
    key: str = "index"
    images: Mapping[int | str, ImageTruth] = field(default_factory=dict)
    spans: tuple[LabelledSpan, ...] = ()
    spans_absolute: bool = False
    positions: Mapping[int, Mapping[int, tuple[float, float, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.key not in KEYS:
            raise TruthError(f"Truth is matched by {', '.join(KEYS)}, not by {self.key!r}.")

    def merged(self, other: TruthTable) -> TruthTable:
        """This truth with the parts that it lacks taken from another."""
        images = self if self.images or not other.images else other
        spans = self if self.spans or not other.spans else other
        return TruthTable(
            self.origin,
            images.class_names,
            images.key,
            images.images,
            spans.spans,
            spans.spans_absolute,
            self.positions or other.positions,
        )


@dataclass(frozen=True)
class Matched:
    """Truth by image.

    Attributes:
        truths: of each image, None where there is none.
        images_without_truth: how many images have none.
        truths_without_image: how many entries belong to no image.
        unknown_classes: objects by the name of a class that the model does not have; they are left out.
    """

    truths: tuple[ImageTruth | None, ...]
    images_without_truth: int
    truths_without_image: int
    unknown_classes: Mapping[str, int]

    def warnings(self, origin: str) -> list[str]:
        """What a user should know, one line each."""
        lines = []
        if self.images_without_truth:
            lines.append(
                f"{self.images_without_truth} of {len(self.truths)} images have no truth in {origin} and are not judged"
            )
        if self.truths_without_image:
            lines.append(f"{self.truths_without_image} entries of {origin} belong to no image of the recording")
        if self.unknown_classes:
            named = ", ".join(f"{name} ({count})" for name, count in sorted(self.unknown_classes.items()))
            lines.append(f"objects of classes that the model does not have are left out: {named}")
        return lines


def match_images(
    images: Sequence[EncodedImage], table: TruthTable, class_names: Sequence[str], tolerance_ns: int
) -> Matched:
    """Find the truth of each image.

    Args:
        images: those that were looked at.
        table: the truth.
        class_names: of the model; the truth's class ids are renumbered to it by name, letter case aside.
        tolerance_ns: how far the stamps of an image and of its truth may differ.

    Raises:
        TruthError: no image has any truth, or the truth knows none of the model's classes.
    """
    keys = _keys(images, table, tolerance_ns)
    renumber, unknown = _renumbering(table, class_names)
    truths = tuple(None if key is None else renumber(table.images[key]) for key in keys)
    matched = {key for key in keys if key is not None}
    if images and not matched:
        raise TruthError(_nothing_matches(images, table, tolerance_ns))
    return Matched(truths, truths.count(None), len(table.images) - len(matched), unknown)


def _keys(images: Sequence[EncodedImage], table: TruthTable, tolerance_ns: int) -> list[int | str | None]:
    if table.key == "stamp":
        return nearest_stamps([image.stamp_ns for image in images], sorted(table.images), tolerance_ns)
    wanted = [image.index if table.key == "index" else image.name for image in images]
    return [key if key in table.images else None for key in wanted]


def nearest_stamps(wanted: Sequence[int], there: Sequence[int], tolerance_ns: int) -> list[int | None]:
    """For each wanted stamp the nearest one that is there, None where it differs by more than the tolerance [ns].

    Args:
        wanted: stamps [ns].
        there: stamps [ns], rising.
        tolerance_ns: largest difference.
    """
    stamps = np.array(there, np.int64)
    if not len(stamps):
        return [None] * len(wanted)
    found = []
    for stamp in wanted:
        place = int(np.searchsorted(stamps, stamp))
        near = stamps[max(0, place - 1) : place + 1]
        best = int(near[np.argmin(np.abs(near - stamp))])
        found.append(best if abs(best - stamp) <= tolerance_ns else None)
    return found


def _nothing_matches(images: Sequence[EncodedImage], table: TruthTable, tolerance_ns: int) -> str:
    if not table.images:
        return f"The truth in {table.origin} is empty: it holds not one image."
    if table.key == "stamp":
        ours = f"{images[0].stamp_ns / 1e9:.6f} to {images[-1].stamp_ns / 1e9:.6f} s"
        theirs = f"{min(table.images) / 1e9:.6f} to {max(table.images) / 1e9:.6f} s"
        return (
            f"Not one of {len(images)} images has truth in {table.origin}: the images' stamps run from {ours}, the "
            f"truth's from {theirs}, and {tolerance_ns / 1e6:g} ms of difference are allowed. "
            "Are they of the same flight? Widen with --truth-tolerance-ms."
        )
    ours = images[0].index if table.key == "index" else repr(images[0].name)
    theirs = sorted(table.images, key=str)[0]
    return (
        f"Not one of {len(images)} images has truth in {table.origin}, matched by {table.key}: the first image is "
        f"{ours}, the truth's first is {theirs!r}. Is it the truth of this recording?"
    )


def _renumbering(table: TruthTable, class_names: Sequence[str]):
    ids = {name.lower(): i for i, name in enumerate(class_names)}
    ours = np.array([ids.get(name.lower(), -1) for name in table.class_names] or [-1])
    if table.class_names and (ours < 0).all():
        raise TruthError(
            f"The truth in {table.origin} has the classes {', '.join(table.class_names)}, and the model has none of "
            f"them; it knows {', '.join(class_names)}. Rename some with --class-map."
        )
    counts: dict[str, int] = {}
    for truth in table.images.values():
        for class_id in truth.class_ids[ours[truth.class_ids] < 0].tolist():
            name = table.class_names[class_id]
            counts[name] = counts.get(name, 0) + 1

    def renumber(truth: ImageTruth) -> ImageTruth:
        class_ids = ours[truth.class_ids]
        return replace(truth, class_ids=class_ids)[class_ids >= 0]

    return renumber, counts


def renamed(table: TruthTable, names: Mapping[str, str]) -> TruthTable:
    """Give classes of the truth the names that the model uses; two may become one.

    Raises:
        TruthError: a name to be replaced does not occur.
    """
    known = set(table.class_names) | {span.label for span in table.spans}
    for name in names:
        if name not in known:
            raise TruthError(
                f"--class-map renames {name!r}, which {table.origin} does not have; it has {', '.join(sorted(known))}."
            )
    return replace(
        table,
        class_names=tuple(names.get(name, name) for name in table.class_names),
        spans=tuple(replace(span, label=names.get(span.label, span.label)) for span in table.spans),
    )


def segments_of(
    table: TruthTable, first_stamp_ns: int, class_names: Sequence[str]
) -> tuple[dict[int, tuple[Segment, ...]], dict[str, int]]:
    """True segments by track id (-1 is the whole image) in absolute time, and how many have a label of no class."""
    ids = {name.lower(): i for i, name in enumerate(class_names)}
    shift = 0 if table.spans_absolute else first_stamp_ns
    found: dict[int, list[Segment]] = {}
    unknown: dict[str, int] = {}
    for span in sorted(table.spans, key=lambda s: (s.track_id, s.start_ns, s.end_ns, s.label)):
        class_id = ids.get(span.label.lower())
        if class_id is None:
            unknown[span.label] = unknown.get(span.label, 0) + 1
        else:
            found.setdefault(span.track_id, []).append(Segment(span.start_ns + shift, span.end_ns + shift, class_id))
    return {track: tuple(segments) for track, segments in found.items()}, unknown
