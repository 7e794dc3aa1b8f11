"""Many recordings: one after the other, in processes, or on a Ray cluster. The records are the same."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

from uav_perception.errors import UavPerceptionError
from uav_perception.evaluation.bag import Bag
from uav_perception.evaluation.clips import evaluate_clips, read_clips
from uav_perception.evaluation.errors import EvaluationError
from uav_perception.evaluation.pipeline import Pipeline
from uav_perception.evaluation.record import FlightRecord, load_record, save_record
from uav_perception.evaluation.recordings import IN_TIME, Recording
from uav_perception.evaluation.runner import evaluate_source
from uav_perception.evaluation.settings import Settings, fingerprint, model_files
from uav_perception.evaluation.vehicle import placed_in

SLICE = 500
"""Images in a slice of a data set without order. Fixed, so that the records do not depend on the number of workers."""

ATTEMPTS = 3
"""How often a task is tried whose worker is killed."""

_KILLED = f"its worker was killed {ATTEMPTS} times; perhaps the memory is too small for it"


@dataclass(frozen=True)
class Task:
    """One recording, or a slice of one, for one worker.

    Attributes:
        recording: what to evaluate.
        part: first image and the one after the last, or None for all.
        settings: how.
        record: where the result goes.
        fingerprint: of everything that the result depends on.
    """

    recording: Recording
    part: tuple[int, int] | None
    settings: Settings
    record: str
    fingerprint: str


@dataclass(frozen=True)
class Done:
    """A task that ended. ``error`` says why it has no record."""

    task: Task
    error: str | None = None


def plan(recordings: Sequence[Recording], settings: Settings, folder: Path) -> list[Task]:
    """Cut the work into tasks: a recording each, and slices of pictures without order."""
    tasks = []
    for recording in recordings:
        parts: list[tuple[int, int] | None] = [None]
        if recording.kind in ("visdrone", "coco") and settings.action_model is None:
            # One that cannot be read stays whole: its task fails with the error, and the other recordings go on.
            with suppress(UavPerceptionError):
                source, _ = recording.open(settings)
                parts = [(i, min(i + SLICE, len(source))) for i in range(0, len(source), SLICE)]
        for part in parts:
            name = recording.name if part is None else f"{recording.name}.{part[0]:06d}"
            mark = fingerprint(settings, recording.path, part)
            tasks.append(Task(recording, part, settings, str(folder / f"{name}.npz"), mark))
    return tasks


@lru_cache(maxsize=1)
def _pipeline(settings: Settings, marks: tuple[tuple[int, int], ...]) -> Pipeline:
    """Models are loaded once a worker, not once a recording; anew where their files (``marks``) changed."""
    return Pipeline(settings)


def _marks(settings: Settings) -> tuple[tuple[int, int], ...]:
    """Size and time of change of the models' files; none for what is missing, which loading will say."""
    found = [path.stat() for path in model_files(settings) if path.exists()]
    return tuple((status.st_size, status.st_mtime_ns) for status in found)


def run_task(task: Task, progress: Callable[[int], None] = lambda count: None) -> Done:
    """Evaluate and save one task. Errors that a user can mend become part of the result."""
    try:
        save_record(task.record, _evaluated(task, progress), task.fingerprint)
    except UavPerceptionError as error:
        return Done(task, str(error))
    return Done(task)


def _evaluated(task: Task, progress: Callable[[int], None]) -> FlightRecord:
    recording, settings = task.recording, task.settings
    if recording.kind not in IN_TIME and (settings.start_s > 0 or settings.end_s is not None):
        raise EvaluationError(
            f"{recording.name} is no recording in time, so that --start and --end cannot cut it; use --every and "
            "--limit."
        )
    pipeline = _pipeline(settings, _marks(settings))
    if recording.kind == "clips":
        if pipeline.recogniser is None:
            raise EvaluationError(f"{recording.name} is a data set of actions; give --action-model.")
        clips, names = read_clips(Path(recording.path), settings)
        model = pipeline.recogniser.model
        return evaluate_clips(recording.name, clips, names, model, progress, settings.every, settings.limit)
    source, truth = recording.open(settings)
    record = evaluate_source(source, truth, pipeline, task.part, progress)
    record = replace(record, in_time_order=source.in_time_order)
    if task.part is None and record.accounting.skipped == record.accounting.total:
        record = replace(record, warnings=("not one image was processed: --start and --end skip all", *record.warnings))
    if isinstance(source, Bag) and truth is not None and truth.positions:
        tolerance_ns = round(settings.tolerance_ms * 1e6)
        placed, warnings = placed_in(
            source.path,
            source.topics,
            source.topic,
            record.images,
            truth.positions,
            pipeline.class_names,
            tolerance_ns,
        )
        record = replace(record, placed=placed, warnings=(*record.warnings, *warnings))
    return record


def is_done(task: Task) -> bool:
    """The record is there and was made by the same models, truth and settings."""
    return load_record(task.record, task.fingerprint) is not None


def run_serially(tasks: Sequence[Task], progress: Callable[[Task], Callable[[int], None]]) -> Iterator[Done]:
    """One task after the other in this process.

    Args:
        tasks: the work.
        progress: gives for a task what is told of each image.
    """
    for task in tasks:
        yield run_task(task, progress(task))


def run_in_processes(tasks: Sequence[Task], jobs: int) -> Iterator[Done]:
    """Tasks in ``jobs`` processes, as they end.

    Nobody can tell whose worker was killed, so every task that was under way then is tried again: the last time alone,
    where it is its own fault. Then it ends with an error, and the others go on.
    """
    kills = [0] * len(tasks)
    rest = list(range(len(tasks)))
    while rest:
        together = [i for i in rest if kills[i] < ATTEMPTS - 1]
        for i, done in _pooled(tasks, together or rest[:1], jobs):
            if done is None:
                kills[i] += 1
                if kills[i] < ATTEMPTS:
                    continue
                done = Done(tasks[i], _KILLED)
            rest.remove(i)
            yield done


def _pooled(tasks: Sequence[Task], numbers: Sequence[int], jobs: int) -> Iterator[tuple[int, Done | None]]:
    """Run tasks of some numbers until all have ended or a worker is killed; None for those under way then."""
    waiting = iter(numbers)
    pending: dict[Future[Done], int] = {}
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(jobs, len(numbers)), context, initializer=_begin_worker)
    try:
        while True:
            with suppress(BrokenProcessPool):  # what is not under way yet waits for the next pool
                for i in islice(waiting, jobs - len(pending)):
                    pending[pool.submit(run_task, tasks[i])] = i
            if not pending:
                return
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                try:
                    done = future.result()
                except BrokenProcessPool:
                    done = None
                yield pending.pop(future), done
    finally:
        if pending:  # interrupted: the workers would finish their recordings first
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent, which ends its workers, and end with it also where it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def run_on_ray(tasks: Sequence[Task], address: str) -> Iterator[Done]:
    """Tasks on an existing Ray cluster, as they end. Recordings, models and the output must lie on shared storage.

    Args:
        tasks: the work.
        address: of the cluster, such as "auto" or "ray://host:10001"; "local" starts one here.

    Raises:
        EvaluationError: Ray is not installed, or there is no cluster at the address.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise EvaluationError(
            "--ray needs Ray, which is not installed: `pip install 'uav_perception[cluster]'`."
        ) from error
    try:
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise EvaluationError(f"There is no Ray cluster at {address!r}: {error}.") from error
    remote = ray.remote(max_retries=ATTEMPTS - 1)(run_task)
    pending = {remote.remote(task): task for task in tasks}
    try:
        while pending:
            for reference in ray.wait(list(pending))[0]:
                task = pending.pop(reference)
                try:
                    done = ray.get(reference)
                except ray.exceptions.WorkerCrashedError:
                    done = Done(task, _KILLED)
                yield done
    finally:
        for reference in pending:
            ray.cancel(reference, force=True)
