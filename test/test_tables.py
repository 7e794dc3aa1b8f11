"""The README's table agrees with the result files, and each row says what its file holds."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tables():
    specification = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks/tables.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def run(tables, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["tables.py", *map(str, arguments)])
    return tables.main()


def test_the_readme_agrees_with_the_results(tables, monkeypatch, capsys):
    assert run(tables, monkeypatch, "--check") == 0, capsys.readouterr().err


def test_every_link_of_a_row_exists(tables):
    for _, source, link in tables.ROWS:
        assert not (ROOT / source).is_file() or (ROOT / link).is_file(), link


def test_check_finds_a_difference_and_a_run_mends_it(tables, monkeypatch, tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n")
    results = tmp_path / "benchmarks/results"
    results.mkdir(parents=True)
    (results / "distillation_cost.json").write_text(
        json.dumps({"step": {m: {"relative_to_plain": r} for m, r in (("plain", 1.0), ("ld", 1.26), ("mgd", 1.94))}})
    )
    assert run(tables, monkeypatch, "--check", "--root", tmp_path) == 1
    assert "run python benchmarks/tables.py" in capsys.readouterr().err
    assert "old" in readme.read_text()
    assert run(tables, monkeypatch, "--root", tmp_path) == 0
    assert readme.read_text().splitlines() == [
        "before",
        tables.BEGIN,
        "| what | result | file |",
        "|---|---|---|",
        "| a distilled training step beside a plain one | 1.3 to 1.9 times "
        "| [distillation cost](benchmarks/results/distillation_cost.json) |",
        tables.END,
        "after",
    ]
    assert run(tables, monkeypatch, "--check", "--root", tmp_path) == 0


@pytest.mark.parametrize("text", ["", "{0}", "{1}{0}", "{0}{1}{0}", "{0}{1}{1}"])
def test_the_marks_must_be_there_once(tables, text):
    with pytest.raises(ValueError, match="once each, in this order"):
        tables.with_table(text.format(tables.BEGIN, tables.END), "table")


# What each benchmark writes, cut down to a size for the eye, and the row that must come of it.
RESULTS = {
    "tracking": (
        {
            "trackers": {
                "plain IoU": {"HOTA": 0.38, "id_switches": 716},
                "no compensation": {"HOTA": 0.551, "id_switches": 132},
                "camera motion from images": {"HOTA": 0.657, "id_switches": 32},
            }
        },
        "716, 132, 32 (HOTA 38, 55, 66)",
    ),
    "geolocation": (
        {
            "flights": {
                "hover_fixed": {
                    "middle, perfect, single": {"error_median_m": 0.22, "coverage_95": 1.0},
                    "middle, noisy, single": {"error_median_m": 1.043, "coverage_95": 0.9556},
                }
            }
        },
        "0.22 m, 1.04 m; 96 % inside the stated 95 % ellipse",
    ),
    "transport": (
        {"results": {"1280x720": {"default": {"delivered": 0.0}, "shipped": {"delivered": 1.0}}}},
        "0 %, 100 % arrive",
    ),
    "cost": (
        {
            "records": [
                {"network": name, "rate": rate}
                for name, rate in (("LARMUV", 30.0), ("ResNet-50", 4.0), ("I3D, RGB", 0.3), ("I3D, flow", 0.6))
            ]
        },
        "7.5 and 150 times as fast",  # two streams: 1 / (1 / 0.3 + 1 / 0.6) = 0.2
    ),
    "evaluate_throughput": (
        {
            "results": {
                name: {
                    "images": 10000,
                    "share_of_forward_alone": share,
                    "memory_mb": {"after_first_tenth": 411.6, "last_tenth": 412.2, "peak": 420.0},
                }
                for name, share in (("detection", 0.954), ("detection and tracking", 0.931))
            }
        },
        "0.95, 0.93; memory 412 MB after a tenth, 412 MB at the end",
    ),
    "inference": (
        {
            "model": "yolox_nano_coco",
            "input": [416, 416],
            "frame_ms": {"1280x720": {"JPEG, quality 90": {"p50": 5.31}, "preprocess": {"p50": 0.62}}},
            "detector_ms": {
                "float32, all threads": {"inference": {"p50": 21.04}},
                "INT8, all threads": {"inference": {"p50": 9.98}},
            },
        },
        "5.3, 0.6, 21.0, 10.0 ms",
    ),
    "track_actions": (
        {
            "cost_of_a_tick": {n: {"median_ms": ms} for n, ms in (("1", 9.6), ("8", 60.2), ("50", 61.4))},
            "accuracy": {
                "one": {"frame": {"right": 3, "wrong": 1}, "track": {"right": 8, "unknown": 2}},
                "two": {"frame": {"right": 1, "wrong": 3}, "track": {"right": 1, "wrong": 3}},
            },
        },
        "50 %, 75 %; 10, 60, 61 ms of CPU",
    ),
    "larmuv_ablation": (
        {
            "rows": {
                "model 1: MobileNetV3": {"top1": [0.7, 0.72], "mean": 0.71, "spread": 0.0141},
                "model 5: all": {"top1": [0.8, 0.84], "mean": 0.82, "spread": 0.0283},
            }
        },
        "0.71 ± 0.01, 0.82 ± 0.03",
    ),
    "distillation_sim": (
        {
            "summary": {
                "student": {
                    "coco AP": {"mean": 0.1034, "spread": 0.0021},
                    "coco AP_small": {"mean": 0.0511, "spread": 0.004},
                },
                "ld_ours": {
                    "coco AP": {"mean": 0.1256, "spread": None},
                    "coco AP_small": {"mean": 0.0602, "spread": None},
                },
            }
        },
        "none 10.3 ± 0.2 (5.1 ± 0.4), LD + CID + Light-ML 12.6 (6.0)",
    ),
    "distillation_cost": ({"step": {"plain": {}, "ld": {"relative_to_plain": 1.85}}}, "1.9 times"),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_row_appears_with_its_file(tables, tmp_path, name):
    assert tables.table(tmp_path).count("\n") == 1
    folder = tmp_path / "benchmarks/results"
    folder.mkdir(parents=True)
    values, shown = RESULTS[name]
    (folder / f"{name}.json").write_text(json.dumps(values))
    rows = tables.table(tmp_path).splitlines()[2:]
    assert len(rows) == 1
    assert shown in rows[0]
    assert rows[0].endswith(f"[{name.replace('_', ' ')}](benchmarks/results/{name}.json) |")


def test_every_result_file_has_its_example_here(tables):
    assert {Path(source).stem for _, source, _ in tables.ROWS if source.endswith(".json")} == set(RESULTS)
