import json
import shutil

import pytest
from flight_bags import write_action_model, write_detector, write_flight

from uav_perception.cli.main import main
from uav_perception.evaluation.compare import _pieces, compare, load_report
from uav_perception.evaluation.errors import EvaluationError


def lamp(i):
    return {-1: "run" if i // 40 % 2 else "walk"}


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """A model, a worse one (twenty false boxes of score 0.95), on a flight of 11 s."""
    root = tmp_path_factory.mktemp("reports")
    write_flight(root / "flight", count=220, actions=lamp)
    write_detector(root / "good.onnx")
    write_detector(root / "bad.onnx", wrong_boxes=20, wrong_score=0.95)
    write_action_model(root / "actions.onnx")
    for name in ("good", "bad"):
        models = ["--model", str(root / f"{name}.onnx"), "--action-model", str(root / "actions.onnx")]
        assert main(["evaluate", str(root / "flight"), *models, "--out", str(root / name), "--gallery", "0"]) == 0
    return root


def test_a_worse_model_is_called_worse_and_a_better_one_better(reports, capsys):
    rows = {r.name: r for r in compare(load_report(reports / "good"), load_report(reports / "bad"), 100)}
    assert rows["ap50"].verdict == "worse"
    assert rows["ap50"].interval[1] < 0
    assert rows["ap50"].interval == pytest.approx((-0.47619, -0.47619), abs=1e-4)  # the flight is alike throughout
    assert rows["accuracy"].verdict == "equal"
    assert rows["hota"].verdict == "not known"  # one flight only
    rows = {r.name: r for r in compare(load_report(reports / "bad"), load_report(reports / "good"), 100)}
    assert rows["ap50"].verdict == "better"


def test_the_command_prints_writes_and_fails_where_asked(reports, tmp_path, capsys):
    files = [str(reports / name / "metrics.json") for name in ("good", "bad")]
    options = ["--resamples", "50", "--json", str(tmp_path / "c.json")]
    assert main(["compare", *files, *options]) == 0
    assert "ap50" in capsys.readouterr().out
    assert main(["compare", *files, *options, "--fail-on-worse"]) == 1
    assert main(["compare", *files, *options, "--require", "ap50>=0.01"]) == 0
    capsys.readouterr()
    assert main(["compare", *files, *options, "--require", "ap50>=0.4", "--require", "ap50<1"]) == 1
    assert "uav-perception: ap50>=0.4 is not met: ap50 is 0.0" in capsys.readouterr().err
    written = json.loads((tmp_path / "c.json").read_text())
    assert {row["name"]: row["verdict"] for row in written["measures"]}["ap"] == "worse"


def test_images_of_a_flight_are_drawn_in_stretches_also_where_nothing_is_tracked(reports, tmp_path):
    """220 images of 11 s, nearly alike: they would make any interval too narrow on their own."""
    arguments = ["evaluate", str(reports / "flight"), "--model", str(reports / "good.onnx"), "--gallery", "0"]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--no-tracking"]) == 0
    record = load_report(tmp_path / "out").records["flight"]
    pieces = _pieces([(record, record)])
    assert len(pieces) == 220
    assert len(set(pieces.values())) == 6


def test_the_same_reports_give_the_same_intervals(reports):
    a, b = load_report(reports / "good"), load_report(reports / "bad")
    assert compare(a, b, 50) == compare(a, b, 50)


def test_without_records_values_are_compared_and_the_verdict_is_open(reports, tmp_path):
    for name in ("good", "bad"):
        shutil.copy(reports / name / "metrics.json", tmp_path / f"{name}.json")
    rows = {r.name: r for r in compare(load_report(tmp_path / "good.json"), load_report(tmp_path / "bad.json"))}
    assert rows["ap50"].verdict == "not known"
    assert rows["ap50"].b < rows["ap50"].a
    assert "latency_p50_ms" not in rows


def test_what_is_no_report_is_refused(tmp_path, reports):
    with pytest.raises(EvaluationError, match="no readable report"):
        load_report(tmp_path / "nothing.json")
    (tmp_path / "other.json").write_text('{"schema": "x"}')
    with pytest.raises(EvaluationError, match="its schema is 'x', not"):
        load_report(tmp_path / "other.json")
    assert main(["compare", str(reports / "good"), str(reports / "bad"), "--resamples", "0"]) == 1
