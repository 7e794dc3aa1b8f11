import pytest

from uav_perception.evaluation.errors import EvaluationError
from uav_perception.evaluation.measures import HEADLINES, LOWER_IS_BETTER, headlines
from uav_perception.evaluation.requirement import Requirement, parse_requirement, unmet


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ap50>=0.5", Requirement("ap50", ">=", 0.5)),
        (" AP50 > 5e-1 ", Requirement("ap50", ">", 0.5)),
        ("latency_p99_ms<80", Requirement("latency_p99_ms", "<", 80.0)),
        ("mota>=-1", Requirement("mota", ">=", -1.0)),
    ],
)
def test_requirements_are_read(text, expected):
    assert parse_requirement(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ap50", "is written like"),
        ("ap50=0.5", "is written like"),
        ("ap50>=e", "is no number"),
        ("speed>1", "There is no measure 'speed'"),
    ],
)
def test_wrong_ones_are_refused(text, message):
    with pytest.raises(EvaluationError, match=message):
        parse_requirement(text)


def test_bounds_hold_or_are_named():
    found = {"ap50": 0.5, "hota": 0.2}
    requirements = [parse_requirement(t) for t in ("ap50>=0.5", "ap50<=0.5", "ap50>0.5", "hota<0.1", "top1>0")]
    assert unmet(requirements, found) == [
        "ap50>0.5 is not met: ap50 is 0.5000",
        "hota<0.1 is not met: hota is 0.2000",
        "top1>0 is not met: it was not measured",
    ]


def test_headlines_are_looked_up_where_they_lie():
    report = {"detection": {"coco": {"AP50": 0.4, "AP": None}}, "timing": {"stages_ms": {"total": {"p50": 9.0}}}}
    assert headlines(report) == {"ap50": 0.4, "latency_p50_ms": 9.0}
    assert set(HEADLINES) >= LOWER_IS_BETTER
