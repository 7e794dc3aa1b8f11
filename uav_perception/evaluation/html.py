"""The report as one HTML page that needs nothing else: no script, no fetch, pictures inside."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from uav_perception.evaluation import charts
from uav_perception.evaluation.action_tracks import FRAME
from uav_perception.evaluation.gallery import Picture
from uav_perception.evaluation.record import FlightRecord

TIMELINES = 24
"""Timelines on a page; more would only be scrolled past."""

_NONE = "\N{EN DASH}"

_COCO_COLUMNS = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR1", "AR10", "AR100", "AR500")
_VISDRONE_COLUMNS = ("AP", "AP50", "AP75", "AR1", "AR10", "AR100", "AR500")


def percent(value: float | None) -> str:
    """A share as percent with one decimal, a dash where there is none."""
    return _NONE if value is None else f"{100 * value:.1f}"


def number(value: float | int | None, digits: int = 2) -> str:
    """A number, a dash where there is none."""
    if value is None:
        return _NONE
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"


def render(metrics: dict, run: dict, records: Sequence[FlightRecord], pictures: Sequence[Picture]) -> str:
    """The page.

    Args:
        metrics: content of ``metrics.json``.
        run: content of ``run.json``.
        records: of the recordings, for the timelines.
        pictures: the worst misses.
    """
    environment = Environment(
        loader=PackageLoader("uav_perception.evaluation", "templates"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, number=number)
    return environment.get_template("report.html").render(
        metrics=metrics,
        run=run,
        charts=_charts(metrics, run),
        timelines=_timelines(metrics, records),
        pictures=[(picture, _data_uri(picture.jpeg)) for picture in pictures],
        coco_columns=_COCO_COLUMNS,
        visdrone_columns=_VISDRONE_COLUMNS,
        color=charts.color,
        cards=_cards(metrics, run),
    )


def _data_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _charts(metrics: dict, run: dict) -> dict[str, Markup]:
    found = {}
    if "detection" in metrics:
        names = metrics["models"]["detector"]["class_names"]
        found["precision_recall"] = charts.precision_recall(metrics["detection"]["curves"], names)
        found["confusion"] = charts.confusion(**metrics["detection"]["confusion"])
    for part in ("actions", "clips"):
        if part in metrics:
            found[f"{part}_confusion"] = charts.confusion(**metrics[part]["confusion"])
    bars = run["timing"]["histogram"]
    if bars["counts"]:
        total = run["timing"]["stages_ms"]["total"]
        found["latency"] = charts.histogram(
            bars["edges_ms"], bars["counts"], {p: total[p] for p in ("p50", "p95", "p99")}
        )
    # Every text in a chart was escaped where it was put in.
    return {name: Markup(svg) for name, svg in found.items()}


def _timelines(metrics: dict, records: Sequence[FlightRecord]) -> list[tuple[str, Markup]]:
    names = metrics["models"].get("action", {}).get("class_names", [])
    rows = []
    for record in records:
        for key, sequence in record.actions.items():
            if len(rows) == TIMELINES or not (len(sequence.times_ns) or sequence.truth):
                continue
            who = "whole image" if key == FRAME else f"actor {key}"
            start = record.images[0].stamp_ns if record.images else 0
            rows.append((f"{record.name}, {who}", Markup(charts.action_timeline(sequence, names, start))))
    return rows


def _cards(metrics: dict, run: dict) -> list[tuple[str, str, str]]:
    """The numbers at the top: name, value, what it is."""
    found: list[tuple[str, str, str]] = []
    if "detection" in metrics:
        coco, visdrone = metrics["detection"]["coco"], metrics["detection"]["visdrone"]
        found += [
            ("AP50", percent(coco["AP50"]), "COCO, % at IoU 0.5"),
            ("AP", percent(coco["AP"]), "COCO, % over IoU 0.5 to 0.95"),
            ("VisDrone AP", percent(visdrone["AP"]), "official protocol, %"),
        ]
    if "tracking" in metrics:
        tracking = metrics["tracking"]
        switches = tracking["id_switches"]
        found += [
            ("HOTA", percent(tracking["HOTA"]), f"IDF1 {percent(tracking['IDF1'])} %, {switches} id switches"),
        ]
    if "actions" in metrics:
        actions = metrics["actions"]
        found += [
            ("Frame mAP", percent(actions["frame_mAP"]), f"accuracy {percent(actions['accuracy'])} %"),
            ("F1@0.5", percent(actions["F1@0.5"]), "action segments, %"),
        ]
    if "clips" in metrics:
        clips = metrics["clips"]
        found += [("Top-1", percent(clips["top1"]), f"top-5 {percent(clips['top5'])} %, {clips['clips']} clips")]
    if "geolocation" in metrics:
        geo = metrics["geolocation"]
        found += [("Ground error", f"{number(geo['error_median_m'])} m", f"95 % within {number(geo['error_p95_m'])} m")]
    total = run["timing"]["stages_ms"]["total"]
    if total["count"]:
        rate = run["timing"]["throughput"]["images_per_second"]
        found += [
            (
                "Latency",
                f"{number(total['p50'], 1)} ms",
                f"p99 {number(total['p99'], 1)} ms, {number(rate, 1)} images/s",
            )
        ]
    return found
