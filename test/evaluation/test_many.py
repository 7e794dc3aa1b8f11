import os
import shutil
import signal
import time
from dataclasses import replace

import pytest
from flight_bags import write_detector, write_flight

from uav_perception.evaluation.errors import EvaluationError
from uav_perception.evaluation.evaluation import Options, evaluate
from uav_perception.evaluation.many import Done, Task, is_done, plan, run_in_processes, run_on_ray, run_task
from uav_perception.evaluation.recordings import find_recordings
from uav_perception.evaluation.report import METRICS_FILE
from uav_perception.evaluation.settings import Settings, fingerprint


@pytest.fixture(scope="module")
def flights(tmp_path_factory):
    root = tmp_path_factory.mktemp("many")
    write_detector(root / "detector.onnx")
    return Settings(model=str(root / "detector.onnx")), [write_flight(root / name, count=12) for name in "abc"]


def test_a_task_depends_on_models_truth_settings_and_recording(flights, tmp_path):
    settings, paths = flights
    task = plan(find_recordings(paths[:1]), settings, tmp_path)[0]
    assert not is_done(task)
    assert run_task(task).error is None
    assert is_done(task)
    other = plan(find_recordings(paths[:1]), Settings(model=settings.model, every=2), tmp_path)[0]
    assert not is_done(other)
    os.utime(next(paths[0].glob("*.db3")))
    assert not is_done(plan(find_recordings(paths[:1]), settings, tmp_path)[0])


def test_a_task_depends_on_the_contract_beside_its_model(flights, tmp_path):
    settings, paths = flights
    own = replace(settings, model=str(shutil.copy(settings.model, tmp_path / "m.onnx")))
    before = fingerprint(own, paths[0])
    (tmp_path / "m.yaml").write_text("decoder: yolox\n")
    assert fingerprint(own, paths[0]) != before


def test_a_task_depends_on_the_ignore_areas_beside_its_truth(flights, tmp_path):
    settings, paths = flights
    truth = tmp_path / "M_gt_whole.txt"
    truth.write_text("1,7,0,32,16,16,1,1,1\n")
    own = replace(settings, truth=(str(truth),))
    before = fingerprint(own, paths[0])
    assert fingerprint(own, paths[0]) == before
    (tmp_path / "M_gt_ignore.txt").write_text("1,-1,0,0,14,9,1,-1,-1\n")
    assert fingerprint(own, paths[0]) != before


def test_a_model_that_was_exported_anew_is_loaded_anew(flights, tmp_path):
    settings, paths = flights
    own = replace(settings, model=str(write_detector(tmp_path / "m.onnx")))
    before = evaluate(paths[:1], own, Options(out=tmp_path / "before", gallery=0)).headlines["ap50"]
    write_detector(tmp_path / "m.onnx", wrong_boxes=20, wrong_score=0.95)
    after = evaluate(paths[:1], own, Options(out=tmp_path / "after", gallery=0)).headlines["ap50"]
    assert after < before


def _killed(task):
    """Stands in for a recording that brings its worker down; the others wait for it to happen."""
    if task.recording.name == "b":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.3)
    return Done(task)


def test_a_recording_that_always_kills_its_worker_does_not_stop_the_others(flights, tmp_path, monkeypatch):
    settings, paths = flights
    monkeypatch.setattr("uav_perception.evaluation.many.run_task", _killed)
    tasks = plan(find_recordings(paths), settings, tmp_path)
    ended = {done.task.recording.name: done.error for done in run_in_processes(tasks, 2)}
    assert set(ended) == {"a", "b", "c"}
    assert ended["a"] is ended["c"] is None
    assert ended["b"] == "its worker was killed 3 times; perhaps the memory is too small for it"


def test_errors_that_a_user_can_mend_come_back_as_text(flights, tmp_path):
    settings, paths = flights
    wrong = Settings(model=settings.model, image_topic="/front")
    task = plan(find_recordings(paths[:1]), wrong, tmp_path)[0]
    assert "has no topic /front" in run_task(task).error


def test_ray_gives_the_serial_result(flights, tmp_path):
    """Two workers of a real local cluster."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'uav_perception[cluster]'")
    settings, paths = flights
    serial = evaluate(paths, settings, Options(out=tmp_path / "serial", gallery=0))
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        found = evaluate(paths, settings, Options(out=tmp_path / "ray", ray="local", gallery=0))
    finally:
        ray.shutdown()
    assert found.metrics == serial.metrics
    assert (tmp_path / "ray" / METRICS_FILE).read_bytes() == (tmp_path / "serial" / METRICS_FILE).read_bytes()


def test_without_ray_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(EvaluationError, match=r"pip install 'uav_perception\[cluster\]'"):
        next(run_on_ray([Task(None, None, None, "", "")], "auto"))
