"""The whole evaluation: recordings in, report out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from uav_perception.evaluation.errors import EvaluationError
from uav_perception.evaluation.gallery import Picture, pictures_of_misses
from uav_perception.evaluation.html import render
from uav_perception.evaluation.many import Done, Task, is_done, plan, run_in_processes, run_on_ray, run_serially
from uav_perception.evaluation.measures import headlines, operating_score
from uav_perception.evaluation.record import FlightRecord, joined, load_record
from uav_perception.evaluation.recordings import Recording, find_recordings
from uav_perception.evaluation.report import RECORDS, Failure, metrics_document, run_document, write_documents
from uav_perception.evaluation.settings import Settings

# Recordings, settings, speed and number of repetitions to a JSON-ready record.
PlayLive = Callable[[Sequence[Recording], Settings, float, int], dict[str, object]]


@dataclass(frozen=True)
class Options:
    """How an evaluation is run and what it leaves; none of it changes a number of ``metrics.json``.

    Attributes:
        out: folder of the report.
        jobs: processes.
        ray: address of a Ray cluster, or None.
        resume: keep the records of an interrupted run.
        bag: write an MCAP of each recording.
        video: write an annotated video of each recording.
        gallery: how many of the worst misses to show.
        live: plays bags through the ROS nodes and gives the ``live`` part of ``run.json``; None leaves it out.
        rate: speed of live play.
        loop: how often live play repeats.
    """

    out: Path
    jobs: int = 1
    ray: str | None = None
    resume: bool = False
    bag: bool = False
    video: bool = False
    gallery: int = 24
    live: PlayLive | None = None
    rate: float = 1.0
    loop: int = 1

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise EvaluationError(f"--jobs must be 1 or more, not {self.jobs}.")
        if self.gallery < 0:
            raise EvaluationError(f"--gallery must not be negative, but is {self.gallery}.")
        if not self.rate > 0:
            raise EvaluationError(f"--rate must be above 0, not {self.rate}.")
        if self.loop < 1:
            raise EvaluationError(f"--loop must be 1 or more, not {self.loop}.")


@dataclass(frozen=True)
class Evaluation:
    """What came out.

    Attributes:
        folder: of the report.
        metrics: content of ``metrics.json``.
        run: content of ``run.json``.
        interrupted: Ctrl-C ended it early.
        headlines: the measures by their short names.
    """

    folder: Path
    metrics: dict
    run: dict
    interrupted: bool = False
    headlines: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "headlines", headlines({**self.metrics, "timing": self.run["timing"]}))


def evaluate(paths: Sequence[str | Path], settings: Settings, options: Options) -> Evaluation:
    """Judge recordings and write the report.

    Every recording's record is written as soon as it is done. Ctrl-C ends the run with a partial report that says so;
    ``options.resume`` then finishes the rest. The numbers are written before pictures are drawn or flights played live.

    Raises:
        RecordingError: there is nothing to evaluate at a path.
        EvaluationError: no recording could be evaluated, or the report cannot be written.
        ModelError: a model is missing or broken.
    """
    recordings = find_recordings(paths)
    _prepare(options.out)
    tasks = plan(recordings, settings, options.out / RECORDS)
    began = time.perf_counter()
    errors, interrupted = _run(tasks, options)
    together = options.jobs > 1 or options.ray is not None
    # Of recordings one after the other the sum of their own times, without loading the models.
    wall_s = time.perf_counter() - began if together and not options.resume else None
    records, failures, missing, files = _collect(recordings, tasks, errors)
    if interrupted and not records:
        raise KeyboardInterrupt
    if not records:
        raise EvaluationError("; ".join(f"{f.name}: {f.error}" for f in failures))
    metrics = metrics_document(records, settings, failures, missing, files)
    run = run_document(records, wall_s)
    # The numbers first: what follows reads the recordings again and may be interrupted.
    write_documents(options.out, metrics, run, render(metrics, run, records, []))
    if not interrupted:
        named = {record.name: record for record in records}
        done = [(r, named[r.name]) for r in recordings if r.name in named and r.kind != "clips"]
        pictures = _pictures(done, metrics, settings, options)
        run |= _replayed(done, metrics, settings, options)
        write_documents(options.out, metrics, run, render(metrics, run, records, pictures))
    return Evaluation(options.out, metrics, run, interrupted)


def _replayed(
    done: Sequence[tuple[Recording, FlightRecord]], metrics: dict, settings: Settings, options: Options
) -> dict[str, object]:
    """Write what is to be played, and play the flights live; the part of ``run.json`` that comes of it."""
    if options.bag or options.video:
        from uav_perception.evaluation.playback import write_playback

        for recording, record in done:
            write_playback(recording, record, metrics, settings, options.out, options.bag, options.video)
    if options.live is None:
        return {}
    bags = [recording for recording, _ in done if recording.kind == "bag"]
    return {"live": options.live(bags, settings, options.rate, options.loop)}


def _prepare(folder: Path) -> None:
    try:
        (folder / RECORDS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EvaluationError(f"The folder {folder} cannot be made: {error.strerror}.") from error


def _run(tasks: Sequence[Task], options: Options) -> tuple[dict[str, str], bool]:
    """Run what is not done yet; errors by record, and whether it was interrupted."""
    errors: dict[str, str] = {}
    todo = [task for task in tasks if not (options.resume and is_done(task))]
    if len(todo) < len(tasks):
        print(f"{len(tasks) - len(todo)} of {len(tasks)} parts are done already", file=sys.stderr)
    try:
        for done in _results(todo, options):
            if done.error is not None:
                errors[done.task.record] = done.error
    except KeyboardInterrupt:
        return errors, True
    return errors, False


def _results(tasks: Sequence[Task], options: Options) -> Iterator[Done]:
    if not tasks:
        return
    if options.ray is None and options.jobs == 1:
        yield from _serial_with_bar(tasks)
        return
    parallel = run_on_ray(tasks, options.ray) if options.ray is not None else run_in_processes(tasks, options.jobs)
    with tqdm(total=len(tasks), unit="part", disable=None) as bar:
        for done in parallel:
            bar.update()
            bar.set_postfix_str(done.task.recording.name)
            yield done


def _serial_with_bar(tasks: Sequence[Task]) -> Iterator[Done]:
    with tqdm(unit="image", disable=None) as bar:

        def progress(task: Task) -> Callable[[int], None]:
            number = tasks.index(task) + 1
            bar.set_description(f"{task.recording.name} ({number}/{len(tasks)})")
            return lambda count: bar.update(count) and None

        yield from run_serially(tasks, progress)


def _collect(
    recordings: Sequence[Recording], tasks: Sequence[Task], errors: dict[str, str]
) -> tuple[list[FlightRecord], list[Failure], list[str], list[str]]:
    records, failures, missing, files = [], [], [], []
    for recording in recordings:
        own = [task for task in tasks if task.recording == recording]
        failed = [errors[task.record] for task in own if task.record in errors]
        parts = [load_record(task.record, task.fingerprint) for task in own]
        if failed:
            failures.append(Failure(recording.name, failed[0]))
        elif any(part is None for part in parts):
            missing.append(recording.name)
        else:
            records.append(parts[0] if len(parts) == 1 else joined(parts))
            files += [f"{RECORDS}/{Path(task.record).name}" for task in own]
    return records, failures, missing, files


def _pictures(
    done: Sequence[tuple[Recording, FlightRecord]], metrics: dict, settings: Settings, options: Options
) -> list[Picture]:
    if "detection" not in metrics or not options.gallery:
        return []
    score = operating_score([record for _, record in done])
    names = metrics["models"]["detector"]["class_names"]
    return pictures_of_misses(done, settings, names, score, options.gallery)
