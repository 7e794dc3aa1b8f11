import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from uav_perception.evaluation import charts
from uav_perception.evaluation.actions import ActionSequence, Segment

NAMES = ("<b>bold</b>", "run & jump")


def parsed(svg):
    return ElementTree.fromstring(svg)


def test_precision_over_recall_has_a_line_for_each_class():
    curve = [1.0] * 51 + [0.0] * 50
    chart = parsed(charts.precision_recall({NAMES[1]: curve}, NAMES))
    line = chart.find("polyline")
    points = [tuple(map(float, p.split(","))) for p in line.get("points").split()]
    assert len(points) == 101
    assert points[0][1] < points[-1][1]
    assert line.get("stroke") == charts.color(1)
    assert line.find("title").text == NAMES[1]


def test_histogram_bars_have_the_heights_of_their_counts():
    chart = parsed(charts.histogram([0.0, 1.0, 2.0], [2, 4], {"p50": 1.5}))
    heights = [float(bar.get("height")) for bar in chart.findall("rect")]
    assert heights[1] == pytest.approx(2 * heights[0], rel=0.01)
    assert "p50 1.5" in "".join(chart.itertext())


def test_timeline_shows_both_rows_in_proportion():
    second = 10**9
    labels = [-1, 0, 0, 1]
    sequence = ActionSequence(np.arange(4) * second, np.zeros((4, 2)), labels, (Segment(0, 2 * second, 0),), 4 * second)
    chart = parsed(charts.action_timeline(sequence, NAMES, 0))
    bars = [r for r in chart.findall("rect") if r.get("fill")]
    widths = [float(bar.get("width")) for bar in bars]
    assert widths[0] == pytest.approx(widths[1], rel=0.01)
    assert widths[2] == pytest.approx(widths[0] / 2, rel=0.01)
    assert bars[1].find("title").text == "<b>bold</b>, 1.0 to 3.0 s"


def test_confusion_counts_and_names_are_there_and_escaped():
    svg = charts.confusion([*NAMES, "background"], [*NAMES, "missed"], [[5, 0, 1], [0, 20000, 0], [2, 0, 0]])
    chart = parsed(svg)
    assert "<b>" not in svg
    text = " ".join(chart.itertext())
    assert "20k" in text
    shades = [float(r.get("fill-opacity")) for r in chart.findall("rect")]
    assert shades[0] == pytest.approx(0.06 + 0.9 * 5 / 6, abs=1e-3)
    assert [r.get("class") for r in chart.findall("rect")][:3] == ["right", "wrong", "wrong"]


def test_empty_rows_do_not_divide_by_zero():
    assert not re.search("nan|inf", charts.confusion(["a"], ["a"], [[0]]))
