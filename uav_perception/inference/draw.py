"""Drawing what was found onto a picture: boxes with names, track ids and actions, and a panel of text and bars.

Used by the overlay node, the demo, `uav-perception detect` and the report. Every function returns a new image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from uav_perception.inference.detections import Detections

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SMALLEST_FONT = 0.36  # still legible
_DARK, _LIGHT = (24, 20, 18), (255, 255, 255)

# Well apart from each other and from grass, asphalt and sky (BGR).
PALETTE = (
    (60, 190, 255), (255, 160, 60), (90, 230, 120), (200, 90, 240), (70, 90, 250), (240, 230, 70),
    (150, 200, 255), (255, 120, 160), (60, 230, 220), (180, 255, 170), (130, 130, 240), (255, 200, 200),
)  # fmt: skip


@dataclass(frozen=True)
class _Style:
    """Sizes that suit a picture [px]."""

    line: int
    font_scale: float
    stroke: int
    margin: int

    @classmethod
    def of(cls, image: np.ndarray) -> _Style:
        side = min(image.shape[:2])
        return cls(
            line=max(1, round(side / 400)),
            font_scale=min(max(side / 1250, _SMALLEST_FONT), 1.1),
            stroke=max(1, round(side / 700)),
            margin=max(2, round(side / 240)),
        )


def class_color(class_id: int) -> tuple[int, int, int]:
    """The colour of a class, BGR, always the same."""
    return PALETTE[class_id % len(PALETTE)]


def draw_detections(
    image: np.ndarray,
    detections: Detections,
    class_names: Sequence[str],
    actions: Mapping[int, str] | None = None,
    scale: float = 1.0,
    labels: bool = True,
) -> np.ndarray:
    """Draw boxes, each with its class, score, track id and action.

    Labels look for a free place above, below or inside their box, so that neighbours stay readable.

    Args:
        image: uint8, shape (H, W, 3), BGR; not changed.
        detections: boxes in pixels of ``image``.
        class_names: class_names[class_id].
        actions: what each actor does, by track id.
        scale: enlarge the picture first, so that lines and letters of small pictures are fine.
        labels: write the labels.

    Returns:
        uint8, shape (H * scale, W * scale, 3), BGR.
    """
    canvas = _enlarged(image, scale)
    style = _Style.of(canvas)
    boxes = np.rint(detections.boxes * scale).astype(int)
    colors = [class_color(int(class_id)) for class_id in detections.class_ids]
    for box, color in zip(boxes, colors, strict=True):
        _outline(canvas, box, color, style)
    if not labels:
        return canvas
    taken: list[tuple[int, int, int, int]] = []
    for index, (box, color) in enumerate(zip(boxes, colors, strict=True)):
        text = _label(detections, index, class_names, actions or {})
        _write_label(canvas, box, text, color, style, taken)
    return canvas


def draw_panel(image: np.ndarray, lines: Sequence[str | tuple[str, float]], corner: str = "top_left") -> np.ndarray:
    """Draw a dark translucent panel with lines of text; a pair of a name and a share is drawn with a bar.

    Args:
        image: uint8, shape (H, W, 3), BGR; not changed.
        lines: texts, or (text, 0 to 1).
        corner: "top_left", "top_right", "bottom_left" or "bottom_right".

    Returns:
        A new image of the same size.
    """
    canvas = image.copy()
    if not lines:
        return canvas
    style = _Style.of(canvas)
    texts = [line if isinstance(line, str) else f"{line[0]} {line[1]:.2f}" for line in lines]
    sizes = [_text_size(text, style) for text in texts]
    row = max(height for _, height in sizes) + 3 * style.margin
    width = min(max(width for width, _ in sizes) + 4 * style.margin, canvas.shape[1])
    height = min(row * len(lines) + style.margin, canvas.shape[0])
    left = style.margin if corner.endswith("left") else canvas.shape[1] - width - style.margin
    top = style.margin if corner.startswith("top") else canvas.shape[0] - height - style.margin
    left, top = max(left, 0), max(top, 0)
    _shade(canvas, (left, top, left + width, top + height), _DARK, 0.62)
    for index, (line, text) in enumerate(zip(lines, texts, strict=True)):
        bottom = top + row * (index + 1)
        if not isinstance(line, str):
            length = round((width - 2 * style.margin) * min(max(line[1], 0.0), 1.0))
            start = left + style.margin
            area = (start, bottom - row + style.margin, start + length, bottom)
            _shade(canvas, area, class_color(index), 0.55)
        cv2.putText(
            canvas, text, (left + 2 * style.margin, bottom - style.margin), _FONT, style.font_scale, _LIGHT,
            style.stroke, cv2.LINE_AA,
        )  # fmt: skip
    return canvas


def _enlarged(image: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1.0:
        return image.copy()
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    return cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)


def _label(detections: Detections, index: int, class_names: Sequence[str], actions: Mapping[int, str]) -> str:
    class_id, track_id = int(detections.class_ids[index]), int(detections.track_ids[index])
    name = class_names[class_id] if 0 <= class_id < len(class_names) else f"class {class_id}"
    parts = [f"#{track_id}"] if track_id >= 0 else []
    action = actions.get(track_id, "")
    parts += [name, action] if action else [name, f"{detections.scores[index]:.2f}"]
    return " ".join(parts)


def _outline(canvas: np.ndarray, box: np.ndarray, color: tuple[int, int, int], style: _Style) -> None:
    """A coloured line on a darker one, so that it shows on any ground."""
    first, last = (int(box[0]), int(box[1])), (int(box[2]), int(box[3]))
    cv2.rectangle(canvas, first, last, _DARK, style.line + 2, cv2.LINE_AA)
    cv2.rectangle(canvas, first, last, color, style.line, cv2.LINE_AA)


def _text_size(text: str, style: _Style) -> tuple[int, int]:
    (width, height), _ = cv2.getTextSize(text, _FONT, style.font_scale, style.stroke)
    return width, height


def _write_label(
    canvas: np.ndarray,
    box: np.ndarray,
    text: str,
    color: tuple[int, int, int],
    style: _Style,
    taken: list[tuple[int, int, int, int]],
) -> None:
    style = _fitting(style, text, int(box[2] - box[0]))
    width, height = _text_size(text, style)
    pad = style.margin
    wide, high = width + 2 * pad, height + 2 * pad
    area = _free_place(box, wide, high, canvas.shape[1], canvas.shape[0], taken)
    taken.append(area)
    _shade(canvas, area, color, 0.88)
    ink = _DARK if 0.114 * color[0] + 0.587 * color[1] + 0.299 * color[2] > 110 else _LIGHT
    origin = (area[0] + pad, area[1] + pad + height)
    cv2.putText(canvas, text, origin, _FONT, style.font_scale, ink, style.stroke, cv2.LINE_AA)


def _fitting(style: _Style, text: str, width: int) -> _Style:
    """Smaller letters for a box narrower than its label, down to two thirds."""
    wanted = _text_size(text, style)[0]
    factor = min(max(width / max(wanted, 1), 0.66), 1.0)
    return replace(style, font_scale=max(style.font_scale * factor, _SMALLEST_FONT))


def _free_place(
    box: np.ndarray, wide: int, high: int, width: int, height: int, taken: list[tuple[int, int, int, int]]
) -> tuple[int, int, int, int]:
    x_min, y_min, x_max, y_max = (int(edge) for edge in box)
    corners = [
        (x_min, y_min - high),
        (x_min, y_max),
        (x_max - wide, y_min - high),
        (x_max - wide, y_max),
        (x_min, y_min),
    ]
    places = []
    for x, y in corners:
        left, top = min(max(x, 0), max(width - wide, 0)), min(max(y, 0), max(height - high, 0))
        places.append((left, top, left + wide, top + high))
    return min(places, key=lambda place: sum(_shared(place, other) for other in taken))


def _shared(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> int:
    return max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)


def _shade(canvas: np.ndarray, area: tuple[int, int, int, int], color: tuple[int, int, int], opacity: float) -> None:
    x_min, y_min, x_max, y_max = (max(edge, 0) for edge in area)
    part = canvas[y_min:y_max, x_min:x_max]
    if part.size:
        cv2.addWeighted(part, 1 - opacity, np.full_like(part, color), opacity, 0, dst=part)
