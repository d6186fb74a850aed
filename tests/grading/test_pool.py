"""Graders side by side, some of which are killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from grader.grading.pool import GraderPool, GradersKilled


def test_a_killed_grader_costs_nothing_but_its_time(tmp_path: Path) -> None:
    def work(job: int) -> int:
        once = tmp_path / f"killed-{job}"
        if job % 3 == 0 and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return job * job

    assert dict(GraderPool(2, work).run(range(10))) == {job: job * job for job in range(10)}


def test_a_job_that_kills_its_grader_each_time_is_given_up_and_the_others_are_done() -> None:
    def work(job: int) -> int:
        if job == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return job * job

    assert dict(GraderPool(2, work).run(range(6))) == {job: None if job == 3 else job * job for job in range(6)}


def test_graders_that_are_always_killed_end_the_run_with_a_sentence() -> None:
    pool: GraderPool[int, None] = GraderPool(1, lambda job: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(GradersKilled, match="too little memory"):
        list(pool.run(range(10)))
