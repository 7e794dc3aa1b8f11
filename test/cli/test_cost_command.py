import json

import pytest

from uav_perception.cli.main import main

KEYS = ["network", "classes", "input", "parameters", "macs_paper", "macs_true", "rate"]


def test_records_as_json(capsys, tmp_path):
    command = ["cost", "--only", "action", "--seconds", "0", "--json", "--output", str(tmp_path / "cost.json")]
    assert main(command) == 0
    records = json.loads(capsys.readouterr().out)
    assert all(list(record) == KEYS for record in records)
    row = next(record for record in records if record["network"] == "LARMUV")
    assert row == {
        "network": "LARMUV",
        "classes": 11,
        "input": "3x224x224",
        "parameters": 10_611_771,
        "macs_paper": 226_754_336,
        "macs_true": 665_126_400,
        "rate": None,
    }
    written = json.loads((tmp_path / "cost.json").read_text())
    assert {"command", "versions", "machine", "date"} <= set(written["provenance"])
    full = {record["network"]: record for record in written["records"]}
    assert [{key: full[record["network"]][key] for key in KEYS} for record in records] == records
    assert full["LARMUV"]["printed_macs_m"] == 226.8


def test_detectors_have_the_same_keys(capsys):
    assert main(["cost", "--only", "detection", "--seconds", "0", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert len(records) > 20 and all(list(record) == KEYS for record in records)


def test_the_table_for_people(capsys):
    assert main(["cost", "--only", "action", "--seconds", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["network", "classes", "input", "params", "M", "MACs", "M", "(paper)", "printed",
                                "MACs", "M", "(true)", "a", "second"]  # fmt: skip
    cells = next(line for line in lines if line.startswith("ResNet-50")).split()
    assert cells == ["ResNet-50", "51", "3x224x224", "23.613", "4098.5", "4098.5", "12261.7"]
    cells = next(line for line in lines if line.startswith("LARMUV, one tick")).split()
    assert cells[-3:] == ["1x224x224", "10.612", "237.0"]
    for network in ("C3D", "BN-Inception (v1)", "I3D, RGB"):  # rows that cannot be reproduced say why
        assert any(line.startswith(f"{network}: ") for line in lines)
    assert not any("times as fast" in line for line in lines)  # nothing was timed


@pytest.mark.parametrize("option", ["--seconds", "--threads"])
def test_negative_numbers_are_refused(option, capsys):
    assert main(["cost", "--only", "action", option, "-1"]) == 1
    assert "must not be negative" in capsys.readouterr().err
