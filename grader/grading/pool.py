"""Graders side by side: processes forked from one that has collected the checks, drawn their inputs and started a zygote."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

RESTARTS = 3  # in a row, without a result between them, should grader processes be killed from outside


class GradersKilled(Exception):
    """Grader processes die faster than they grade."""


class GraderPool(Generic[Job, Result]):
    """Runs `work(job)` in `size` processes that inherit everything this one has. Results come as they are done."""

    def __init__(self, size: int, work: Callable[[Job], Result]) -> None:
        self._size, self._work = size, work

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Result]]:
        """Every job with its result, in the order of completion. A killed grader costs the jobs in flight a second run."""
        open_jobs = dict.fromkeys(jobs)
        restarts = 0
        while open_jobs:
            try:
                for job, result in self._round(list(open_jobs)):
                    del open_jobs[job]
                    restarts = 0
                    yield job, result
            except BrokenProcessPool:
                restarts += 1
                if restarts > RESTARTS:
                    raise GradersKilled(
                        f"grader processes were killed {restarts} times in a row: is there too little memory?"
                    ) from None

    def _round(self, jobs: list[Job]) -> Iterator[tuple[Job, Result]]:
        if "fork" not in multiprocessing.get_all_start_methods():  # Windows: one after the other, in this process
            yield from ((job, self._work(job)) for job in jobs)
            return
        context = multiprocessing.get_context("fork")
        executor = ProcessPoolExecutor(self._size, mp_context=context, initializer=_inherit, initargs=(self._work,))
        try:
            waiting = {executor.submit(_work, job): job for job in jobs}
            while waiting:
                done: set[Future[Result]] = wait(waiting, return_when=FIRST_COMPLETED).done
                for future in done:
                    yield waiting.pop(future), future.result()
        finally:
            executor.shutdown(cancel_futures=True)  # whoever stops early, waits for the jobs in flight and no others


_inherited: Callable[[Any], Any] | None = None


def _inherit(work: Callable[[Any], Any]) -> None:
    """In a new grader process: by the fork, `work` is there without having been pickled."""
    global _inherited
    _inherited = work
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """A grader whose parent was killed would wait for jobs forever, and hold the lock on the results."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _work(job: Any) -> Any:
    assert _inherited is not None
    return _inherited(job)
