"""What the demo leaves behind: summary.json, the annotated video, and the text on the screen."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

from tqdm import tqdm

from uav_perception.evaluation.bag import Bag
from uav_perception.evaluation.live_summary import Tick, live_summary
from uav_perception.evaluation.truth_table import LabelledSpan
from uav_perception.evaluation.truth_topics import read_truth_topics, truth_topics
from uav_perception.files import replacing, write_json
from uav_perception.frames.video import VideoWriter
from uav_perception.inference.detections import Detections
from uav_perception.inference.draw import draw_detections, draw_panel
from uav_perception.nodes.conversions import from_detection_array, from_time
from uav_perception.nodes.live import LiveRecord
from uav_perception.provenance import provenance

_LABEL_HOLDS_NS = 1_000_000_000
_BOXES_HOLD_NS = 500_000_000
_SCALE = 1.5  # of the video over the flight's images
_BARS = 3


def write_results(flight: Path, record: LiveRecord, out: Path) -> dict[str, object]:
    """Write ``summary.json`` and ``annotated.mp4`` into a folder.

    Args:
        flight: the flight that was played.
        record: what came back.
        out: the folder; it is made.

    Returns:
        The summary.
    """
    bag = Bag(flight)
    table = read_truth_topics(flight, truth_topics(bag.topics, None, flight))
    spans = tuple(span for span in table.spans if span.track_id == -1)
    detections = {arrived.stamp_ns: arrived.message for arrived in record.detections}
    ticks = _ticks(record)
    summary = live_summary(
        sorted(record.sent_ns),
        {stamp: [d.class_name for d in message.detections] for stamp, message in detections.items()},
        ticks,
        spans,
        record.class_names.get("action", ()),
        record.latencies_ms(record.detections),
        record.latencies_ms(record.actions),
    )
    summary |= {
        "complete": record.complete,
        "duration_s": record.duration_s,
        "cpu_cores": record.cpu_cores,
        "memory_mb": record.memory_mb,
        "flight": flight.name,
        "provenance": provenance(),
    }
    _write_video(bag, detections, ticks, spans, record.class_names.get("detection", ()), out / "annotated.mp4")
    write_json(out / "summary.json", summary)
    return summary


def _ticks(record: LiveRecord) -> list[Tick]:
    ticks = []
    for arrived in record.actions:
        for action in arrived.message.actions:
            if action.scope == action.SCOPE_FRAME:
                scores = {score.class_name: float(score.score) for score in action.scores}
                ticks.append(Tick(from_time(arrived.message.header.stamp), action.label, scores))
    return sorted(ticks, key=lambda tick: tick.stamp_ns)


def _write_video(
    bag: Bag,
    detections: dict[int, object],
    ticks: list[Tick],
    spans: tuple[LabelledSpan, ...],
    names: tuple[str, ...],
    path: Path,
) -> None:
    tick_stamps = [tick.stamp_ns for tick in ticks]
    answered = sorted(detections)
    with replacing(path) as temporary, VideoWriter(temporary, _rate(bag)) as video:
        for encoded in tqdm(bag.images(), total=len(bag), unit="frame", desc="Video"):
            frame = encoded.decode()
            newest = answered[max(bisect_right(answered, frame.stamp_ns) - 1, 0)] if answered else 0
            age_ns = frame.stamp_ns - newest
            if answered and 0 <= age_ns < _BOXES_HOLD_NS:
                found = from_detection_array(detections[newest])
                canvas = draw_detections(frame.image, found, names, scale=_SCALE)
            else:
                canvas = draw_detections(frame.image, Detections.empty(), names, scale=_SCALE)
            if age_ns:
                note = f"dropped; boxes of {age_ns / 1e9:.2f} s before" if 0 < age_ns < _BOXES_HOLD_NS else "dropped"
                canvas = draw_panel(canvas, [note], "bottom_right")
            index = bisect_right(tick_stamps, frame.stamp_ns) - 1
            if index >= 0 and frame.stamp_ns - tick_stamps[index] < _LABEL_HOLDS_NS:
                canvas = draw_panel(canvas, _action_lines(ticks[index]))
            truth = [span.label for span in spans if span.start_ns <= frame.stamp_ns < span.end_ns]
            if truth:
                canvas = draw_panel(canvas, [f"truth: {' + '.join(truth)}"], "bottom_left")
            video.write(canvas)


def _action_lines(tick: Tick) -> list[str | tuple[str, float]]:
    best = sorted(tick.scores.items(), key=lambda item: -item[1])[:_BARS]
    return [f"action: {tick.label}", *best]


def _rate(bag: Bag) -> float:
    stamps = [encoded.stamp_ns for encoded in bag.images()]
    return (len(stamps) - 1) * 1e9 / (stamps[-1] - stamps[0]) if len(stamps) > 1 else 1.0


def report(summary: dict[str, object], out: Path) -> str:
    """The summary as a person reads it."""
    latency = summary["latency_ms"]
    lines = [
        "",
        f"frames      {summary['frames_in']} in, {summary['frames_processed']} processed, "
        f"{summary['frames_dropped']} dropped (the newest frame wins)",
        "detections  " + (", ".join(f"{n} {name}" for name, n in summary["detections"].items()) or "none"),
    ]
    if latency["count"]:
        lines.append(
            f"latency     p50 {latency['p50']:.0f} ms, p99 {latency['p99']:.0f} ms "
            "from publishing an image to receiving its detections"
        )
    lines.append(f"load        {summary['cpu_cores']:.2f} cores, {summary['memory_mb']:.0f} MB")
    if summary["action_segments"]:
        lines += ["actions     seen                             truth"]
        for row in summary["action_segments"]:
            what = f"{row['start_s']:5.1f} - {row['end_s']:5.1f} s  {row['label']}"
            mark = "=" if row["label"] == row["truth"] else "x"
            lines.append(f"            {what:31s} {mark} {row['truth'] or '-'}")
    if summary["actions"]:
        lines.append(f"            right at {100 * summary['actions']['accuracy']:.0f} % of the ticks")
    lines += ["", f"video       {out / 'annotated.mp4'}", f"summary     {out / 'summary.json'}"]
    return "\n".join(lines)
