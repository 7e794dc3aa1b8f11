"""Two reports side by side: each measure with its difference, how sure that is, and a verdict."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from uav_perception.evaluation.actions import ActionSequence, action_metrics, cut
from uav_perception.evaluation.bootstrap import ClassMatches, Statistic, paired_interval, weighted_ap
from uav_perception.evaluation.coco import AP_DETECTIONS, MAX_DETECTIONS
from uav_perception.evaluation.errors import EvaluationError
from uav_perception.evaluation.measures import HEADLINES, LOWER_IS_BETTER, headlines
from uav_perception.evaluation.record import FlightRecord, joined, load_record
from uav_perception.evaluation.report import RUN_FILE, SCHEMA_NAME
from uav_perception.evaluation.tracking import TrackingCounts, tracking_counts
from uav_perception.evaluation.visdrone import match

PIECE_NS = 2_000_000_000
"""Length of a piece of an image sequence that is drawn as one."""

ACTION_PIECE_NS = 10_000_000_000
TARGETS_A_PIECE = 30


@dataclass(frozen=True)
class Report:
    """A report and, where they lie beside it, its records."""

    path: Path
    metrics: dict
    run: dict
    records: dict[str, FlightRecord]

    def headlines(self) -> dict[str, float]:
        """Its measures by short name."""
        return headlines({**self.metrics, "timing": self.run.get("timing", {})})


@dataclass(frozen=True)
class Row:
    """One measure of both.

    Attributes:
        name: of the measure.
        a: first value.
        b: second value.
        interval: that holds ``b - a`` with 95 % probability; None where it cannot be told.
        verdict: "better", "worse", "no clear difference", "equal", or "not known" without an interval.
    """

    name: str
    a: float
    b: float
    interval: tuple[float, float] | None
    verdict: str


def load_report(path: str | Path) -> Report:
    """Read ``metrics.json`` with what lies beside it.

    Raises:
        EvaluationError: it is missing, damaged, or no report.
    """
    path = Path(path)
    path = path / "metrics.json" if path.is_dir() else path
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(
            f"{path} is no readable report: {error}. Give the metrics.json of an evaluation."
        ) from error
    if not isinstance(metrics, dict) or metrics.get("schema") != SCHEMA_NAME:
        found = metrics.get("schema") if isinstance(metrics, dict) else type(metrics).__name__
        raise EvaluationError(f"{path} is no report of this version: its schema is {found!r}, not {SCHEMA_NAME!r}.")
    beside = path.with_name(RUN_FILE)
    run = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
    parts: dict[str, list[FlightRecord]] = {}
    for name in metrics["records"]:
        record = load_record(path.parent / name)
        if record is not None:
            parts.setdefault(record.name, []).append(record)
    records = {name: own[0] if len(own) == 1 else joined(own) for name, own in parts.items()}
    return Report(path, metrics, run, records)


def compare(a: Report, b: Report, resamples: int = 1000, seed: int = 0) -> list[Row]:
    """Compare two reports over the recordings and images that both have judged.

    Args:
        a: the old one.
        b: the new one.
        resamples: draws of the bootstrap.
        seed: of the draws; the same reports give the same intervals.

    Raises:
        EvaluationError: they have no measure in common.
    """
    first, second = a.headlines(), b.headlines()
    common = [name for name in HEADLINES if name in first and name in second]
    if not common:
        raise EvaluationError(f"{a.path} and {b.path} have no measure in common.")
    statistics = _statistics(a, b)
    rows = []
    for name in common:
        interval = None
        if name in statistics:
            interval = paired_interval(*statistics[name], resamples, seed)
        rows.append(Row(name, first[name], second[name], interval, _verdict(name, first[name], second[name], interval)))
    return rows


def _verdict(name: str, a: float, b: float, interval: tuple[float, float] | None) -> str:
    if a == b and (interval is None or interval == (0.0, 0.0)):
        return "equal"
    if interval is None:
        return "not known"
    low, high = interval
    if low <= 0 <= high:
        return "no clear difference"
    return "better" if (low > 0) != (name in LOWER_IS_BETTER) else "worse"


def differing_flights(a: Report, b: Report) -> list[str]:
    """Recordings that only one of the reports has."""
    names = [{flight["name"] for flight in report.metrics["flights"]} for report in (a, b)]
    return sorted(names[0] ^ names[1])


def _statistics(a: Report, b: Report) -> dict[str, tuple[Statistic, Statistic, int]]:
    """For each measure its two functions of the draw, and the number of pieces."""
    flights = sorted(set(a.records) & set(b.records))
    pairs = [(a.records[name], b.records[name]) for name in flights]
    found: dict[str, tuple[Statistic, Statistic, int]] = {}
    found.update(_detection(pairs, a.metrics, b.metrics))
    found.update(_tracking(pairs, a.metrics, b.metrics))
    found.update(_actions(pairs, a.metrics, b.metrics))
    found.update(_clips(pairs, a.metrics, b.metrics))
    found.update(_geolocation(pairs))
    return found


def _names(metrics: dict, kind: str) -> list[str]:
    return metrics["models"].get(kind, {}).get("class_names", [])


def _detection(pairs: Sequence[tuple[FlightRecord, FlightRecord]], *metrics: dict) -> dict:
    if not all("detection" in m for m in metrics):
        return {}
    pieces = _pieces(pairs)
    matches = [
        _matches([pair[side] for pair in pairs], pieces, len(_names(metrics[side], "detector"))) for side in (0, 1)
    ]
    count = len(set(pieces.values()))
    return {
        name: (*(lambda drawn, m=m, t=t: weighted_ap(m, drawn, t) for m in matches), count)
        for name, t in {"ap": None, "ap50": 0, "ap75": 5}.items()
    }


def _common(a: FlightRecord, b: FlightRecord) -> list[int]:
    judged = [{image.index for image in record.images if image.truth is not None} for record in (a, b)]
    return sorted(judged[0] & judged[1])


def _pieces(pairs: Sequence[tuple[FlightRecord, FlightRecord]]) -> dict[tuple[int, int], int]:
    """The piece of each image that both have judged, by flight and index: a stretch of time in a flight, each picture
    on its own where they do not follow each other."""
    numbers: dict[object, int] = {}
    pieces = {}
    for flight, (a, b) in enumerate(pairs):
        stamps = {image.index: image.stamp_ns for image in a.images}
        for index in _common(a, b):
            place = (flight, stamps[index] // PIECE_NS if a.in_time_order else index)
            pieces[flight, index] = numbers.setdefault(place, len(numbers))
    return pieces


def _matches(records: Sequence[FlightRecord], pieces: dict[tuple[int, int], int], classes: int) -> list[ClassMatches]:
    count = len(set(pieces.values()))
    scores: list[list] = [[] for _ in range(classes)]
    outcomes: list[list] = [[] for _ in range(classes)]
    places: list[list] = [[] for _ in range(classes)]
    objects = np.zeros((classes, count), int)
    for flight, record in enumerate(records):
        for image in record.images:
            if (flight, image.index) not in pieces:
                continue
            piece = pieces[flight, image.index]
            for c in np.union1d(image.truth.class_ids, image.detections.class_ids).astype(int):
                truth = image.truth[image.truth.class_ids == c]
                found = image.detections[image.detections.class_ids == c]
                best = found[np.argsort(-found.scores, kind="stable")[: MAX_DETECTIONS[AP_DETECTIONS]]]
                scores[c].append(best.scores)
                outcomes[c].append(match(best.boxes, truth.boxes, truth.ignored))
                places[c].append(np.full(len(best), piece))
                objects[c, piece] += int((~truth.ignored).sum())
    result = []
    for c in range(classes):
        order = np.argsort(-np.concatenate([np.zeros(0), *scores[c]]), kind="stable")
        table = np.concatenate([np.zeros((10, 0), int), *outcomes[c]], axis=1)[:, order]
        result.append(ClassMatches(table, np.concatenate([np.zeros(0, int), *places[c]])[order], objects[c]))
    return result


def _tracking(pairs: Sequence[tuple[FlightRecord, FlightRecord]], *metrics: dict) -> dict:
    """Ids run through a whole flight, so that flights are the pieces."""
    if not all("tracking" in m for m in metrics):
        return {}
    counts = [
        [tracking_counts(*pair[side].judged_tracks(), len(_names(metrics[side], "detector"))) for pair in pairs]
        for side in (0, 1)
    ]

    def statistic(side: int, key: str) -> Statistic:
        def value(drawn: np.ndarray) -> float | None:
            chosen = [counts[side][i] for i, times in enumerate(drawn) for _ in range(times)]
            return sum(chosen, TrackingCounts()).metrics()[key]

        return value

    keys = {"hota": "HOTA", "idf1": "IDF1", "mota": "MOTA"}
    return {name: (statistic(0, key), statistic(1, key), len(pairs)) for name, key in keys.items()}


def _actions(pairs: Sequence[tuple[FlightRecord, FlightRecord]], *metrics: dict) -> dict:
    if not all("actions" in m for m in metrics) or _names(metrics[0], "action") != _names(metrics[1], "action"):
        return {}
    names = _names(metrics[0], "action")
    pieces: list[tuple[ActionSequence, ActionSequence]] = []
    for a, b in pairs:
        first, second = a.judged_actions(), b.judged_actions()
        for key in sorted(set(first) & set(second)):
            pieces += _cut_alike(first[key], second[key])

    def statistic(side: int, key: str) -> Statistic:
        def value(drawn: np.ndarray) -> float | None:
            return action_metrics([pieces[i][side] for i, times in enumerate(drawn) for _ in range(times)], names)[key]

        return value

    keys = {"frame_map": "frame_mAP", "accuracy": "accuracy", "f1_10": "F1@0.1", "f1_25": "F1@0.25", "f1_50": "F1@0.5"}
    return {name: (statistic(0, key), statistic(1, key), len(pieces)) for name, key in keys.items()}


def _cut_alike(a: ActionSequence, b: ActionSequence) -> list[tuple[ActionSequence, ActionSequence]]:
    starts = [int(s.times_ns[0]) for s in (a, b) if len(s.times_ns)]
    if not starts:
        return []
    edges = list(range(min(starts), max(a.end_ns, b.end_ns), ACTION_PIECE_NS))
    return [(_span(a, e, e + ACTION_PIECE_NS), _span(b, e, e + ACTION_PIECE_NS)) for e in edges]


def _span(sequence: ActionSequence, start_ns: int, end_ns: int) -> ActionSequence:
    """The part of a sequence between two times, its segments cut there too."""
    inside = (sequence.times_ns >= start_ns) & (sequence.times_ns < end_ns)
    truth = cut(sequence.truth, start_ns, end_ns)
    end = min(end_ns, max(sequence.end_ns, start_ns + 1))
    return ActionSequence(sequence.times_ns[inside], sequence.scores[inside], sequence.labels[inside], truth, end)


def _clips(pairs: Sequence[tuple[FlightRecord, FlightRecord]], *_: dict) -> dict:
    right: list[list[bool]] = [[], []]
    best: list[list[bool]] = [[], []]
    for pair in pairs:
        tables = [record.clips for record in pair]
        if any(table is None for table in tables):
            continue
        shared = sorted(set(tables[0].names) & set(tables[1].names))
        for side, table in enumerate(tables):
            place = {name: i for i, name in enumerate(table.names)}
            rows = np.array([place[name] for name in shared], int)
            order = np.argsort(-table.scores[rows], axis=1, kind="stable")
            hits = order == table.labels[rows][:, None]
            right[side] += hits[:, 0].tolist()
            best[side] += hits[:, :5].any(axis=1).tolist()
    if not right[0]:
        return {}
    return {
        "top1": (_mean_of(right[0]), _mean_of(right[1]), len(right[0])),
        "top5": (_mean_of(best[0]), _mean_of(best[1]), len(best[0])),
    }


def _mean_of(values: Sequence[bool]) -> Statistic:
    array = np.array(values, float)
    return lambda drawn: float(drawn @ array / drawn.sum())


def _geolocation(pairs: Sequence[tuple[FlightRecord, FlightRecord]]) -> dict:
    sides: list[list[np.ndarray]] = [[], []]
    for pair in pairs:
        errors = [record.placed.errors() for record in pair]
        # Models place different objects; only stretches of the flight are paired, not single targets.
        parts = max((len(e) for e in errors), default=0) // TARGETS_A_PIECE
        for side, e in enumerate(errors):
            sides[side] += np.array_split(e, max(1, parts)) if parts else []
    if not sides[0]:
        return {}

    def statistic(side: int, of: Callable[[np.ndarray], float]) -> Statistic:
        def value(drawn: np.ndarray) -> float | None:
            chosen = np.concatenate([np.repeat(sides[side][i], times) for i, times in enumerate(drawn)])
            return float(of(chosen)) if len(chosen) else None

        return value

    measures = {"geo_error_median_m": np.median, "geo_error_p95_m": lambda e: np.percentile(e, 95)}
    return {name: (statistic(0, of), statistic(1, of), len(sides[0])) for name, of in measures.items()}
