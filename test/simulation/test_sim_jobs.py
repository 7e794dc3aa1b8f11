"""Work spread over processes."""

from __future__ import annotations

import os
import signal

import pytest

from uav_perception.simulation.errors import SimulationError
from uav_perception.simulation.jobs import run_jobs


def twice(number: int) -> int:
    return 2 * number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_the_order_of_the_tasks(jobs):
    assert list(run_jobs(twice, list(range(7)), jobs, "things")) == [0, 2, 4, 6, 8, 10, 12]


def test_a_killed_worker_ends_the_work():
    with pytest.raises(SimulationError, match="A worker process died, perhaps for want of memory"):
        list(run_jobs(die, [1, 2, 3], 2, "things"))


def test_jobs_must_be_positive():
    with pytest.raises(SimulationError, match="must be at least 1, got 0"):
        list(run_jobs(twice, [1], 0, "things"))
