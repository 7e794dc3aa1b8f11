"""Charts as SVG text: no library, no script, readable at any size, in the colours of the page around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from uav_perception.evaluation.actions import UNKNOWN, ActionSequence

WIDTH, HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 38
COLORS = (
    "#2f6fde", "#d9480f", "#2b8a3e", "#9c36b5", "#c2255c", "#0c8599",
    "#e67700", "#5f3dc4", "#5c940d", "#a61e4d", "#1864ab", "#862e9c",
)  # fmt: skip


def color(index: int) -> str:
    """The colour of the n-th class."""
    return COLORS[index % len(COLORS)]


def _frame(x_label: str, y_label: str, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]]):
    """Axes; ticks are given as shares of the plot's width and height."""
    plot_w, plot_h = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    parts = []
    for share, text in y_ticks:
        y = _TOP + plot_h * (1 - share)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    for share, text in x_ticks:
        x = _LEFT + plot_w * share
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{HEIGHT - _BOTTOM + 16}" text-anchor="middle">{escape(text)}</text>'
        )
    middle = _LEFT + plot_w / 2
    parts.append(f'<text class="axis" x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_label)}</text>')
    parts.append(
        f'<text class="axis" transform="translate(12 {_TOP + plot_h / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>"
    )
    return parts


def _svg(parts: Sequence[str], title: str, width: float = WIDTH, height: float = HEIGHT) -> str:
    # Never much larger than drawn, so that letters keep their size.
    return (
        f'<svg class="chart" style="max-width:{1.15 * width:.0f}px" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def precision_recall(curves: Mapping[str, Sequence[float]], order: Sequence[str]) -> str:
    """Precision over recall for each class, from 101 precisions at equal steps of recall."""
    ticks = [(v / 5, f"{v / 5:g}") for v in range(6)]
    parts = _frame("recall", "precision", ticks, ticks)
    plot_w, plot_h = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    for name, values in curves.items():
        points = " ".join(
            f"{_LEFT + plot_w * i / (len(values) - 1):.1f},{_TOP + plot_h * (1 - v):.1f}" for i, v in enumerate(values)
        )
        stroke = color(order.index(name))
        parts.append(
            f'<polyline class="curve" points="{points}" stroke="{stroke}"><title>{escape(name)}</title></polyline>'
        )
    return _svg(parts, "Precision over recall")


def histogram(edges: Sequence[float], counts: Sequence[int], marks: Mapping[str, float]) -> str:
    """Bars of counts with marked values, such as percentiles."""
    top, last = max(counts), edges[-1]
    x_ticks = [(v / 5, f"{last * v / 5:.3g}") for v in range(6)]
    y_ticks = [(v / 4, f"{top * v / 4:.3g}") for v in range(5)]
    parts = _frame("milliseconds an image, decoding aside", "images", x_ticks, y_ticks)
    plot_w, plot_h = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True):
        high = plot_h * count / top
        parts.append(
            f'<rect class="bar" x="{_LEFT + plot_w * left / last:.2f}" y="{_TOP + plot_h - high:.1f}" '
            f'width="{plot_w * (right - left) / last - 1:.2f}" height="{high:.1f}">'
            f"<title>{left:.1f} to {right:.1f} ms: {count}</title></rect>"
        )
    for row, (name, value) in enumerate(marks.items()):
        x = _LEFT + plot_w * min(value / last, 1.0)
        flip = x > WIDTH - 90
        parts.append(f'<line class="mark" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_TOP + plot_h}"/>')
        parts.append(
            f'<text class="tick" x="{x - 4 if flip else x + 4:.1f}" y="{_TOP + 12 + 14 * row}" '
            f'text-anchor="{"end" if flip else "start"}">{escape(name)} {value:.1f}</text>'
        )
    return _svg(parts, "Latency histogram")


_ROW, _NAME, _BAR, _LONG = 30, 84, 18, 1040


def action_timeline(sequence: ActionSequence, names: Sequence[str], start_ns: int) -> str:
    """True actions over recognised ones along time, each class in its colour."""
    begin = min([start_ns, *(s.start_ns for s in sequence.truth)])
    end = max([sequence.end_ns, *(s.end_ns for s in sequence.truth)])
    span = max(1, end - begin)
    plot_w, height = _LONG - _NAME - _RIGHT, 2 * _ROW + 34
    parts = []
    for row, (title, segments) in enumerate((("truth", sequence.truth), ("recognised", sequence.predicted()))):
        y = 6 + row * _ROW
        parts.append(f'<text class="tick" x="{_NAME - 8}" y="{y + 13}" text-anchor="end">{title}</text>')
        parts.append(f'<rect class="track" x="{_NAME}" y="{y}" width="{plot_w}" height="{_BAR}"/>')
        for s in segments:
            x, w = _NAME + plot_w * (s.start_ns - begin) / span, plot_w * (s.end_ns - s.start_ns) / span
            label = escape(names[s.class_id]) if s.class_id != UNKNOWN else "unknown"
            seconds = f"{(s.start_ns - begin) / 1e9:.1f} to {(s.end_ns - begin) / 1e9:.1f} s"
            parts.append(
                f'<rect x="{x:.2f}" y="{y}" width="{max(w, 0.6):.2f}" height="{_BAR}" fill="{color(s.class_id)}">'
                f"<title>{label}, {seconds}</title></rect>"
            )
            if w > 7 * len(label):
                parts.append(f'<text class="inbar" x="{x + 4:.1f}" y="{y + 13}">{label}</text>')
    for v in range(6):
        x = _NAME + plot_w * v / 5
        anchor = "end" if v == 5 else "middle"
        text = f"{span * v / 5e9:.1f} s"
        parts.append(f'<text class="tick" x="{x:.1f}" y="{height - 8}" text-anchor="{anchor}">{text}</text>')
    return _svg(parts, "Action timeline", _LONG, height)


def confusion(rows: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """A matrix of counts, each row shaded by its shares."""
    cell = max(26.0, min(58.0, 520.0 / len(columns)))
    left, top = 120, 92
    width, height = left + cell * len(columns) + 8, top + cell * len(rows) + 8
    parts = []
    for j, name in enumerate(columns):
        x = left + cell * (j + 0.5)
        parts.append(
            f'<text class="tick" transform="translate({x + 4:.1f} {top - 6}) rotate(-50)">{escape(_short(name))}</text>'
        )
    for i, (name, row) in enumerate(zip(rows, counts, strict=True)):
        y = top + cell * i
        parts.append(
            f'<text class="tick" x="{left - 6}" y="{y + cell / 2 + 4:.1f}" text-anchor="end">'
            f"{escape(_short(name))}</text>"
        )
        total = max(1, sum(row))
        for j, count in enumerate(row):
            share = count / total
            right = rows[i] == columns[j]
            parts.append(
                f'<rect class="{"right" if right else "wrong"}" x="{left + cell * j:.1f}" y="{y:.1f}" '
                f'width="{cell - 1.5:.1f}" height="{cell - 1.5:.1f}" fill-opacity="{0.06 + 0.9 * share:.3f}">'
                f"<title>{escape(name)} as {escape(columns[j])}: {count} ({share:.0%})</title></rect>"
            )
            if count:
                parts.append(
                    f'<text class="cell{" light" if share > 0.5 else ""}" x="{left + cell * (j + 0.5):.1f}" '
                    f'y="{y + cell / 2 + 4:.1f}" text-anchor="middle">{_compact(count)}</text>'
                )
    return _svg(parts, "Confusion matrix", width, height)


def _short(name: str) -> str:
    return name if len(name) <= 15 else name[:14] + "…"


def _compact(count: int) -> str:
    return str(count) if count < 10_000 else f"{count / 1000:.0f}k"
