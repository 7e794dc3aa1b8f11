"""Making data sets: the record of what a folder holds, and work spread over processes with a progress bar."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from uav_perception.files import write_json
from uav_perception.provenance import provenance
from uav_perception.simulation.errors import SimulationError

RECORD = "simulation.json"
T = TypeVar("T")


def claim(folder: Path, parameters: dict[str, Any]) -> None:
    """Take a folder for a data set, or go on with the same one.

    Args:
        folder: where the data set goes; made when missing.
        parameters: what the data set is made from; written to ``simulation.json`` with the provenance.

    Raises:
        SimulationError: the folder holds something else.
    """
    path = folder / RECORD
    if path.is_file():
        there = json.loads(path.read_text(encoding="utf-8"))["parameters"]
        if there != parameters:
            changed = ", ".join(
                f"{key} {there.get(key)!r} instead of {parameters.get(key)!r}"
                for key in sorted({*there, *parameters})
                if there.get(key) != parameters.get(key)
            )
            raise SimulationError(f"{folder} holds another data set ({changed}); choose another folder or remove it.")
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise SimulationError(f"{folder} is not empty and was not made by this command; choose another folder.")
    write_json(path, {"parameters": parameters, "provenance": provenance(seed=parameters.get("seed"))})


def run_jobs(function: Callable[[Any], T], tasks: list[Any], jobs: int, unit: str) -> Iterator[T]:
    """Call ``function`` with each task and give the results in the tasks' order, with a progress bar.

    Args:
        function: a module-level function.
        jobs: number of processes; 1 works in this one.
        unit: what is counted, for the bar.

    Raises:
        SimulationError: ``jobs`` is not positive, or a process died.
    """
    if jobs < 1:
        raise SimulationError(f"The number of jobs must be at least 1, got {jobs}.")
    bar = {"total": len(tasks), "unit": f" {unit}", "dynamic_ncols": True}
    if jobs == 1:
        yield from tqdm(map(function, tasks), **bar)
        return
    # Not "fork": OpenGL contexts and OpenCV's threads do not survive it.
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"))
    try:
        yield from tqdm(pool.map(function, tasks), **bar)
    except BrokenProcessPool as error:
        raise SimulationError(
            "A worker process died, perhaps for want of memory; try again with fewer --jobs."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
