"""Graders side by side: processes forked from one that has collected the checks, drawn their inputs and started a zygote."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

TRIES_ALONE = 2  # tries, with no other job beside it, before a job is given up whose grader process is killed each time
MAX_KILLED_IN_A_ROW = 5  # jobs in a row, without a result between them: then it is no job that kills graders
RUNNING = 1  # a job's mark, from its beginning to its end


class GradersKilled(Exception):
    """Grader processes die faster than they grade."""


class GraderPool(Generic[Job, Result]):
    """Runs `work(job)` in `size` processes that inherit everything this one has. Results come as they are done.

    `size` 0: here, one after the other; so it is where processes cannot be forked.
    """

    def __init__(self, size: int, work: Callable[[Job], Result]) -> None:
        self._size, self._work = size, work

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Result | None]]:
        """Every job with its result, in the order of completion.

        A killed grader costs the jobs in flight a second run, one at a time; None is the result of a job whose grader
        is killed again and again, also alone.
        """
        left = dict.fromkeys(jobs)
        in_a_row = 0
        while left:
            open_jobs = list(left)
            marks: MutableSequence[int] = multiprocessing.RawArray("b", len(open_jobs))
            try:
                for job, result in self._round(self._size, open_jobs, marks):
                    del left[job]
                    in_a_row = 0
                    yield job, result
            except BrokenProcessPool:
                suspects = [job for job, mark in zip(open_jobs, marks, strict=True) if mark == RUNNING and job in left]
                if not suspects:
                    in_a_row += 1
                for job in suspects:
                    alone = self._alone(job)
                    in_a_row = in_a_row + 1 if alone is None else 0
                    if in_a_row > MAX_KILLED_IN_A_ROW:
                        break
                    del left[job]
                    yield job, alone
                if in_a_row > MAX_KILLED_IN_A_ROW:
                    raise GradersKilled(f"grader processes were killed {in_a_row} times in a row: is there too little memory?") from None

    def _alone(self, job: Job) -> Result | None:
        for _ in range(TRIES_ALONE):
            try:
                ((_, result),) = self._round(1, [job], [0])
            except BrokenProcessPool:
                continue
            return result
        return None

    def _round(self, size: int, jobs: Sequence[Job], marks: MutableSequence[int]) -> Iterator[tuple[Job, Result]]:
        if size == 0 or "fork" not in multiprocessing.get_all_start_methods():
            yield from ((job, self._work(job)) for job in jobs)
            return
        context = multiprocessing.get_context("fork")
        executor = ProcessPoolExecutor(size, mp_context=context, initializer=_inherit, initargs=(self._work, jobs, marks))
        try:
            waiting = {executor.submit(_work, number): job for number, job in enumerate(jobs)}
            while waiting:
                done: set[Future[Result]] = wait(waiting, return_when=FIRST_COMPLETED).done
                for future in done:
                    yield waiting.pop(future), future.result()
        except KeyboardInterrupt:
            for process in executor._processes.values():  # who stops a run does not wait for the jobs in flight
                process.kill()
            raise
        finally:
            executor.shutdown(cancel_futures=True)  # whoever stops early, waits for the jobs in flight and no others


_inherited: tuple[Callable[[Any], Any], Sequence[Any], MutableSequence[int]] | None = None


def _inherit(work: Callable[[Any], Any], jobs: Sequence[Any], marks: MutableSequence[int]) -> None:
    """In a new grader process: by the fork, all of it is there without having been pickled."""
    global _inherited
    _inherited = work, jobs, marks
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started the graders
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """A grader whose parent was killed would wait for jobs forever, and hold the lock on the results."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _work(number: int) -> Any:
    assert _inherited is not None
    work, jobs, marks = _inherited
    marks[number] = RUNNING
    try:
        return work(jobs[number])
    finally:
        marks[number] = 0
