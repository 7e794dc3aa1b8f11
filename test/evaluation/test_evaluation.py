"""The whole command on real bags: numbers known in advance, every image accounted for, interruptions survived."""

import json
import os
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import psutil
import pytest
from flight_bags import StoragePlugin, write_action_model, write_detector, write_flight

from uav_perception.cli.main import main
from uav_perception.evaluation.evaluation import Options, evaluate
from uav_perception.evaluation.settings import Settings

SCHEMA = Path(__file__).parents[2] / "uav_perception/evaluation/schema/metrics.schema.json"
REPOSITORY = Path(__file__).parents[2]


def lamp(i):
    return {-1: "run" if i // 20 % 2 else "walk", 7: "walk"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models and two flights."""
    root = tmp_path_factory.mktemp("flights")
    write_detector(root / "detector.onnx", wrong_boxes=2)
    write_action_model(root / "actions.onnx")
    write_flight(root / "one", count=60, actions=lamp, storage=StoragePlugin.MCAP, broken=(5,))
    write_flight(root / "two", count=40, actions=lamp, compressed=True)
    return root


def run(folder, out, *options, flights=("one", "two")):
    paths = [str(folder / flight) for flight in flights]
    models = ["--model", str(folder / "detector.onnx"), "--action-model", str(folder / "actions.onnx")]
    return main(["evaluate", *paths, *models, "--out", str(out), *options])


def document(out, name="metrics.json"):
    return json.loads((out / name).read_text())


def test_numbers_are_those_that_the_scene_has(folder, tmp_path, capsys):
    assert run(folder, tmp_path / "out") == 0
    metrics = document(tmp_path / "out")
    coco = metrics["detection"]["coco"]["per_class"]
    assert coco["car"]["AP"] == pytest.approx(1.0)
    assert coco["bus"]["AP"] == 0.0
    assert metrics["detection"]["visdrone"]["AP"] == pytest.approx(0.5)
    assert metrics["detection"]["images"] == 99
    assert metrics["detection"]["operating_score"] == pytest.approx(0.9)
    assert metrics["detection"]["confusion"] == {
        "rows": ["car", "bus", "background"],
        "columns": ["car", "bus", "missed"],
        "counts": [[99, 0, 0], [0, 0, 99], [0, 0, 0]],
    }
    assert metrics["flights"][0]["images"]["unreadable"] == 1
    assert "image 5: " in metrics["flights"][0]["images"]["reasons"][0]
    assert metrics["actions"]["F1@0.25"] == pytest.approx(1.0)  # recognition follows the lamp by up to 0.4 s of 1 s
    assert metrics["actions"]["detected"] == 1.0
    assert metrics["tracking"]["missed"] >= 99  # the buses
    assert metrics["complete"]
    assert "one: 60 images = 59 processed + 0 skipped + 1 unreadable" in capsys.readouterr().out


def test_the_numbers_fit_their_schema(folder, tmp_path):
    run(folder, tmp_path / "out", "--limit", "12")
    jsonschema.validate(document(tmp_path / "out"), json.loads(SCHEMA.read_text()))


def test_the_same_flight_and_model_give_the_same_bytes_also_in_processes(folder, tmp_path):
    for name, options in (("a", ()), ("b", ()), ("c", ("--jobs", "2"))):
        assert run(folder, tmp_path / name, *options) == 0
    first = (tmp_path / "a/metrics.json").read_bytes()
    assert (tmp_path / "b/metrics.json").read_bytes() == first
    assert (tmp_path / "c/metrics.json").read_bytes() == first


@pytest.mark.parametrize(
    ("options", "processed"),
    [
        (("--every", "3"), 20),
        (("--start", "1.0"), 40),
        (("--end", "0.5"), 9),  # image 5 is unreadable
        (("--limit", "7"), 6),
        (("--start", "0.5", "--end", "1.5", "--every", "2", "--limit", "4"), 4),
    ],
)
def test_every_image_is_accounted_for(folder, tmp_path, options, processed):
    assert run(folder, tmp_path / "out", *options, flights=["one"]) == 0
    counts = document(tmp_path / "out")["flights"][0]["images"]
    assert counts["processed"] + counts["skipped"] + counts["unreadable"] == counts["total"] == 60
    assert counts["processed"] == processed


def test_a_span_without_images_is_said(folder, tmp_path, capsys):
    assert run(folder, tmp_path / "out", "--start", "100", flights=["one"]) == 0
    assert "warning: not one image was processed: --start and --end skip all" in capsys.readouterr().out


def test_requirements_decide_the_exit_status(folder, tmp_path, capsys):
    assert run(folder, tmp_path / "out", "--require", "ap50>=0.49", "--limit", "10") == 0
    assert run(folder, tmp_path / "out", "--require", "ap50>=0.51", "--require", "top1>0.1", "--limit", "10") == 1
    said = capsys.readouterr().err
    assert "ap50>=0.51 is not met: ap50 is 0.5000" in said
    assert "top1>0.1 is not met: it was not measured" in said
    assert run(folder, tmp_path / "out", "--require", "speed>3") == 1
    assert "There is no measure 'speed' to require; there are ap, ap50," in capsys.readouterr().err


def test_without_truth_there_is_still_timing_and_a_report(folder, tmp_path, capsys):
    write_flight(tmp_path / "bare", count=6, truth=False)
    assert main(command(folder, tmp_path / "o", [tmp_path / "bare"])[3:]) == 0
    assert "detection" not in document(tmp_path / "o")
    assert document(tmp_path / "o", "run.json")["timing"]["stages_ms"]["inference"]["count"] == 6
    assert "There was no truth to judge against" in (tmp_path / "o/report.html").read_text()


def test_truth_from_a_file_takes_the_place_of_the_topics(folder, tmp_path):
    rows = [f"{i + 1},7,{i // 4 % 8 * 16},32,16,16,1,1,1" for i in range(60)]
    (tmp_path / "one.txt").write_text("\n".join(rows))
    arguments = ("--truth", str(tmp_path), "--class-map", "pedestrian=car")
    assert run(folder, tmp_path / "out", *arguments, flights=["one"]) == 0
    coco = document(tmp_path / "out")["detection"]["coco"]["per_class"]
    assert coco["car"]["AP"] == pytest.approx(1.0)
    assert coco["bus"]["AP"] is None


def test_one_broken_flight_does_not_stop_the_others(folder, tmp_path, capsys):
    broken = write_flight(tmp_path / "broken", count=4)
    (broken / "broken.db3").write_bytes((broken / "broken.db3").read_bytes()[:3000])
    arguments = ["--model", str(folder / "detector.onnx"), "--out", str(tmp_path / "out")]
    assert main(["evaluate", str(broken), str(folder / "two"), *arguments]) == 1
    metrics = document(tmp_path / "out")
    assert not metrics["complete"]
    assert [f["name"] for f in metrics["failed"]] == ["broken"]
    assert [f["name"] for f in metrics["flights"]] == ["two"]
    assert "broken FAILED" in capsys.readouterr().err
    assert "This report is partial" in (tmp_path / "out/report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "none.onnx"), "none.onnx"),
        ((), "give --model, --action-model, or both"),
        (("--model", "{model}", "--image-topic", "/front"), "has no topic /front"),
        (("--model", "{model}", "--truth", "none.json"), "There is no truth none.json"),
        (("--model", "{model}", "--class-map", "a"), "--class-map is written like"),
        (("--model", "{model}", "--every", "0"), "--every must be 1 or more, not 0"),
        (("--model", "{model}", "--jobs", "0"), "--jobs must be 1 or more, not 0"),
        (("--model", "{model}", "--end", "0"), "--end 0.0 s must lie after --start 0.0 s"),
        (("--model", "{model}", "--end", "inf"), "--start and --end are times in seconds, not 0.0 and inf"),
        (("--model", "{model}", "--truth-tolerance-ms", "nan"), "--truth-tolerance-ms must be 0 or more, not nan"),
        (("--action-model", "{model}", "--action-scope", "track"), "needs tracks"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_no_report_is_left(folder, tmp_path, capsys, arguments, message):
    arguments = [a.format(model=folder / "detector.onnx") for a in arguments]
    assert main(["evaluate", str(folder / "one"), *arguments, "--out", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out/metrics.json").exists()


def test_resume_keeps_what_is_done_and_a_change_of_settings_does_not(folder, tmp_path):
    out = tmp_path / "out"
    run(folder, out)
    expected = (out / "metrics.json").read_bytes()
    (out / "flights/two.npz").unlink()
    before = (out / "flights/one.npz").stat().st_mtime_ns
    assert run(folder, out, "--resume") == 0
    assert (out / "flights/one.npz").stat().st_mtime_ns == before
    assert (out / "metrics.json").read_bytes() == expected
    run(folder, out, "--resume", "--every", "2")
    assert document(out)["flights"][0]["images"]["skipped"] == 30
    (out / "flights/one.npz").write_bytes(b"PK\x03\x04 nonsense")
    assert run(folder, out, "--resume", "--every", "2") == 1


def command(folder, out, flights, *options):
    return [
        *(sys.executable, "-m", "uav_perception", "evaluate", *map(str, flights)),
        *("--model", str(folder / "detector.onnx"), "--out", str(out), *options),
    ]


def started(arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def wait_for(condition, process, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture(scope="module")
def long_flights(folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("long")
    return [write_flight(root / name, count=count) for name, count in (("a", 20), ("b", 300), ("c", 20))]


def test_ctrl_c_leaves_a_partial_report_that_says_so_and_resume_finishes(folder, tmp_path, long_flights):
    out = tmp_path / "out"
    process = started(command(folder, out, long_flights))
    wait_for((out / "flights/a.npz").exists, process)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130, process.communicate()
    partial = document(out)
    assert not partial["complete"]
    assert partial["not_evaluated"] == ["b", "c"]
    assert "Not evaluated yet: b, c" in (out / "report.html").read_text()
    assert main(command(folder, out, long_flights, "--resume")[3:]) == 0
    assert main(command(folder, tmp_path / "whole", long_flights)[3:]) == 0
    assert (out / "metrics.json").read_bytes() == (tmp_path / "whole/metrics.json").read_bytes()


def test_a_kill_leaves_the_old_report_as_it_was(folder, tmp_path, long_flights):
    out = tmp_path / "out"
    assert main(command(folder, out, long_flights[:1])[3:]) == 0
    old = (out / "metrics.json").read_bytes()
    process = started(command(folder, out, long_flights[1:]))
    wait_for(lambda: process.pid and (out / "flights").is_dir() and _has_models(process.pid), process)
    process.kill()
    process.wait()
    assert (out / "metrics.json").read_bytes() == old
    assert not (out / "flights/b.npz").exists()


def _has_models(pid):
    """The run has come to its images: the prefetch thread is there."""
    return len(psutil.Process(pid).threads()) > 2


def workers(process):
    return [c for c in psutil.Process(process.pid).children() if "spawn_main" in " ".join(c.cmdline())]


def test_a_killed_worker_loses_nothing(folder, tmp_path, long_flights):
    out = tmp_path / "out"
    process = started(command(folder, out, long_flights, "--jobs", "2"))
    wait_for(lambda: (out / "flights/a.npz").exists() and workers(process), process)
    for worker in workers(process):
        worker.kill()
    assert process.wait(120) == 0, process.communicate()[1]
    assert main(command(folder, tmp_path / "whole", long_flights)[3:]) == 0
    assert (out / "metrics.json").read_bytes() == (tmp_path / "whole/metrics.json").read_bytes()


def test_workers_end_with_a_run_that_is_killed(folder, tmp_path, long_flights):
    process = started(command(folder, tmp_path / "out", long_flights, "--jobs", "2"))
    wait_for(lambda: len(workers(process)) == 2, process)
    left = workers(process)
    process.kill()
    process.wait()
    assert psutil.wait_procs(left, timeout=30)[1] == []


def test_a_full_disk_is_said_clearly(folder, tmp_path, long_flights):
    """A limit on the size of files stands in for the end of the disk: the same failing write."""
    limited = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); "
        "sys.argv = sys.argv[1:]; runpy.run_module('uav_perception', run_name='__main__')"
    )
    arguments = command(folder, tmp_path / "out", long_flights[:1])
    process = started([sys.executable, "-c", limited, "uav-perception", *arguments[3:]])
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "cannot be written: File too large. Free some space and go on with --resume." in said
    assert not list((tmp_path / "out/flights").iterdir())


class Page(HTMLParser):
    """Collects what a page would fetch, and the depth of its tags."""

    def __init__(self):
        super().__init__()
        self.fetched, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.fetched += [value for name, value in attributes if name in ("src", "href", "srcset", "poster")]


def test_the_page_needs_nothing_from_outside(folder, tmp_path):
    run(folder, tmp_path / "out")
    page = Page()
    text = (tmp_path / "out/report.html").read_text()
    page.feed(text)
    assert page.fetched
    assert all(value.startswith("data:") for value in page.fetched)
    assert "script" not in page.tags
    assert "@import" not in text
    assert "url(" not in text
    assert page.tags.count("figure") >= 2
    assert text.count('aria-label="Action timeline"') == 2


def test_the_api_gives_what_the_files_hold(folder, tmp_path):
    settings = Settings(model=str(folder / "detector.onnx"), limit=5)
    result = evaluate([folder / "two"], settings, Options(out=tmp_path / "out", gallery=0))
    assert result.metrics == document(tmp_path / "out")
    assert result.headlines["ap50"] == pytest.approx(0.5)
    assert result.headlines["latency_p50_ms"] > 0


def test_what_was_played_live_stands_in_the_page(folder, tmp_path):
    def play(recordings, settings, rate, loop):
        latency = {"count": 9, "mean": 8.0, "p50": 7.25, "p95": 9.0, "p99": 9.5, "max": 9.9}
        nothing = {"count": 0, **dict.fromkeys(("mean", "p50", "p95", "p99", "max"))}
        row = {"sent": 10, "results": 9, "dropped": 1, "latency_ms": latency, "action_latency_ms": nothing}
        more = {"jitter_ms": 1.5, "cpu_cores": 0.5, "memory_mb": 99.0, "complete": False, "duration_s": 1.0}
        return {"rate": rate, "loop": loop, "flights": [{"name": recordings[0].name, **row, **more}]}

    settings = Settings(model=str(folder / "detector.onnx"), limit=3)
    evaluate([folder / "two"], settings, Options(out=tmp_path, gallery=0, live=play, rate=2.0))
    page = (tmp_path / "report.html").read_text()
    assert "Live, through the ROS nodes at rate 2.00" in page
    cells = ("two, broken off", "10", "9", "1", "7.2", "9.0", "9.5", "\N{EN DASH}", "\N{EN DASH}", "1.5", "0.50", "99")
    assert "".join(f"<td>{cell}</td>" for cell in cells) in page
