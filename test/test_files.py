"""Atomic writes: a reader sees the old file or the new one, never a part."""

import json

import pytest

from uav_perception import files


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "report.json"
    files.write_json(path, {"ap": 0.5})
    with pytest.raises(RuntimeError, match="disk"), files.replacing(path) as temporary:
        temporary.write_text("{")
        raise RuntimeError("disk")
    assert json.loads(path.read_text()) == {"ap": 0.5}
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_name_keeps_the_suffix_and_lies_beside_the_target(tmp_path):
    path = tmp_path / "new" / "model.onnx"
    with files.replacing(path) as temporary:
        assert temporary.suffix == ".onnx"
        assert temporary.parent == path.parent
        temporary.write_bytes(b"weights")
        assert not path.exists()
    assert path.read_bytes() == b"weights"


def test_nan_is_refused_because_json_has_none(tmp_path):
    with pytest.raises(ValueError, match="nan"):
        files.write_json(tmp_path / "a.json", {"ap": float("nan")})
    assert list(tmp_path.iterdir()) == []
