"""Truth recorded in the bag itself: our messages, or vision_msgs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rosbags.highlevel import AnyReader, AnyReaderError

from uav_perception.evaluation.bag import messages, opened
from uav_perception.evaluation.errors import TruthError
from uav_perception.evaluation.truth import ImageTruth
from uav_perception.evaluation.truth_table import LabelledSpan, TruthTable

DETECTIONS = "uav_perception/msg/DetectionArray"
ACTIONS = "uav_perception/msg/ActionArray"
TARGETS = "uav_perception/msg/GeoTargetArray"
VISION_DETECTIONS = "vision_msgs/msg/Detection2DArray"
TRUTH_TYPES = (DETECTIONS, ACTIONS, TARGETS, VISION_DETECTIONS)
TRUTH_PREFIX = "/ground_truth/"
_LAST_TICK_NS = 100_000_000
_GAP_NS = 1_000_000_000


def truth_topics(topics: Mapping[str, str], wanted: str | None, path: Path) -> dict[str, str]:
    """The topics that hold truth: one that is named, or all under ``/ground_truth/``.

    Args:
        topics: message type by topic of the bag.
        wanted: a topic, or None.
        path: the bag, for messages.

    Raises:
        TruthError: the named topic is missing, or holds something else.
    """
    if wanted is None:
        return {t: k for t, k in topics.items() if t.startswith(TRUTH_PREFIX) and k in TRUTH_TYPES}
    if wanted not in topics:
        raise TruthError(f"The bag {path} has no topic {wanted}. It holds: {', '.join(sorted(topics)) or 'nothing'}.")
    if topics[wanted] not in TRUTH_TYPES:
        raise TruthError(f"Truth on {wanted} is {topics[wanted]}; known are {', '.join(TRUTH_TYPES)}.")
    return {wanted: topics[wanted]}


def read_truth_topics(path: Path, topics: Mapping[str, str]) -> TruthTable:
    """Read truth from topics of a bag.

    Raises:
        TruthError: a message cannot be read.
        RecordingError: the bag is damaged.
    """
    names: dict[str, int] = {}
    images: dict[int, ImageTruth] = {}
    ticks: dict[int, list[tuple[int, str]]] = {}
    positions: dict[int, dict[int, tuple[float, float, float]]] = {}
    with opened(path) as reader:
        connections = [c for c in reader.connections if c.topic in topics]
        for connection, _, data in messages(reader, connections, path) if connections else ():
            message = _deserialized(reader, data, connection, path)
            stamp = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
            if connection.msgtype == DETECTIONS:
                images[stamp] = _our_truth(message, names)
            elif connection.msgtype == VISION_DETECTIONS:
                images[stamp] = _vision_truth(message, names)
            elif connection.msgtype == ACTIONS:
                for action in message.actions:
                    ticks.setdefault(int(action.track_id), []).append((stamp, action.label))
            else:
                positions[stamp] = {
                    int(t.track_id): (t.position.x, t.position.y, t.position.z) for t in message.targets
                }
    spans = tuple(span for track, labels in sorted(ticks.items()) for span in _spans(track, sorted(labels)))
    origin = f"{', '.join(sorted(topics))} of {path.name}"
    return TruthTable(origin, tuple(names), "stamp", images, spans, True, positions)


def _deserialized(reader: AnyReader, data: bytes, connection, path: Path):
    try:
        return reader.deserialize(data, connection.msgtype)
    except (AnyReaderError, ValueError, KeyError) as error:
        raise TruthError(
            f"A message of {connection.topic} ({connection.msgtype}) in the bag {path} cannot be read: {error}."
        ) from error


def _class_id(names: dict[str, int], name: str) -> int:
    return names.setdefault(name, len(names))


def _our_truth(message, names: dict[str, int]) -> ImageTruth:
    """A score of 0 marks an object that may be found or missed without effect (too small, hidden, cut off)."""
    rows = message.detections
    return ImageTruth(
        [(d.x_min, d.y_min, d.x_max, d.y_max) for d in rows],
        [_class_id(names, d.class_name) for d in rows],
        ignored=[d.score == 0 for d in rows],
        width=int(message.image_width),
        height=int(message.image_height),
        track_ids=[d.track_id for d in rows],
    )


def _vision_truth(message, names: dict[str, int]) -> ImageTruth:
    boxes, class_ids, track_ids = [], [], []
    for d in message.detections:
        # vision_msgs 4 nests the centre (center.position.x); version 2 and 3 have center.x.
        centre = getattr(d.bbox.center, "position", d.bbox.center)
        half = np.array([d.bbox.size_x, d.bbox.size_y]) / 2
        middle = np.array([centre.x, centre.y])
        best = max(d.results, key=lambda r: getattr(r, "hypothesis", r).score, default=None)
        if best is None:
            continue
        hypothesis = getattr(best, "hypothesis", best)
        boxes.append([*(middle - half), *(middle + half)])
        class_ids.append(_class_id(names, str(getattr(hypothesis, "class_id", getattr(hypothesis, "id", "")))))
        identity = str(getattr(d, "id", ""))
        track_ids.append(int(identity) if identity.lstrip("-").isdigit() else -1)
    return ImageTruth(boxes, class_ids, track_ids=track_ids)


def _spans(track: int, ticks: list[tuple[int, str]]) -> list[LabelledSpan]:
    """Runs of one label. A label holds until the next tick, at most a second where the topic pauses."""
    spans: list[LabelledSpan] = []
    by_label: dict[str, list[int]] = {}
    for stamp, label in ticks:
        by_label.setdefault(label, []).append(stamp)
    stamps = np.unique([stamp for stamp, _ in ticks])
    step = int(np.median(np.diff(stamps))) if len(stamps) > 1 else _LAST_TICK_NS
    for label, times in by_label.items():
        if not label or label == "unknown":
            continue
        start = previous = times[0]
        for stamp in times[1:]:
            if stamp - previous > min(_GAP_NS, 3 * step // 2):
                spans.append(LabelledSpan(start, previous + step, label, track))
                start = stamp
            previous = stamp
        spans.append(LabelledSpan(start, previous + step, label, track))
    return sorted(spans, key=lambda s: (s.start_ns, s.label))
