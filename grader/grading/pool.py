"""Graders side by side: processes forked from one that has collected the checks and drawn their inputs."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

RESTARTS = 3  # of the whole pool, should a grader process be killed from outside


class GraderPool(Generic[Job, Result]):
    """Runs `work(job)` in `size` processes, each prepared once by `prepare()`. Results come as they are done."""

    def __init__(self, size: int, prepare: Callable[[], None], work: Callable[[Job], Result]) -> None:
        self._size, self._prepare, self._work = size, prepare, work

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Result]]:
        """Every job with its result, in the order of completion. A killed grader costs the jobs in flight a second run."""
        open_jobs = list(jobs)
        for attempt in range(RESTARTS + 1):
            try:
                for job, result in self._round(list(open_jobs)):
                    open_jobs.remove(job)
                    yield job, result
            except BrokenProcessPool:
                if attempt == RESTARTS:
                    raise
            if not open_jobs:
                return

    def _round(self, jobs: list[Job]) -> Iterator[tuple[Job, Result]]:
        if "fork" not in multiprocessing.get_all_start_methods():  # Windows: one after the other, in this process
            self._prepare()
            yield from ((job, self._work(job)) for job in jobs)
            return
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(self._size, mp_context=context, initializer=self._prepare) as executor:
            waiting = {executor.submit(self._work, job): job for job in jobs}
            while waiting:
                done: set[Future[Result]] = wait(waiting, return_when=FIRST_COMPLETED).done
                for future in done:
                    yield waiting.pop(future), future.result()

