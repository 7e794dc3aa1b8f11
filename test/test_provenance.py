"""A result's record names what made it."""

import json
import platform

import numpy

from uav_perception.provenance import provenance


def test_record_names_command_seed_versions_and_machine():
    record = provenance(seed=[0, 1], command="uav-perception train detector")
    assert record["command"] == "uav-perception train detector"
    assert record["seed"] == [0, 1]
    assert record["versions"]["numpy"] == numpy.__version__
    assert record["versions"]["python"] == platform.python_version()
    assert record["machine"]["cores"] >= 1
    assert json.loads(json.dumps(record)) == record


def test_the_own_command_line_has_no_path_of_the_machine(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/somewhere/bin/uav-perception", "cost", "--json"])
    assert provenance()["command"] == "uav-perception cost --json"
