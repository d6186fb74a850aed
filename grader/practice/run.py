"""The public checks on a working copy, in a process of its own."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import torch

from grader import assignment as assignments
from grader.assignment import Assignment
from grader.exam.collect import collect, worker_modules
from grader.exam.examiner import Examiner
from grader.exam.failure import Failure
from grader.exam.timeouts import Timeouts
from grader.exam.transport import WorkerTransport
from grader.practice.names import select
from grader.practice.work import read_work, unreadable
from grader.record import ExerciseRecord
from grader.sandbox.inside.loading import SubmissionFinder
from grader.sandbox.spawn import Spawn
from grader.sandbox.unlocked_fork import UnlockedFork
from grader.submission import Submission

FORKS_SAFELY = sys.platform == "linux" and hasattr(os, "fork")
PUBLIC_SEED = "public"  # a student's own checks draw other inputs than the grade's


class Practice:
    """A working copy and everything it takes to check it again and again.

    With `warm` a process always stands ready where starting one takes seconds. `device`: what checks
    that need a GPU are put on, "cuda", or "cpu" at small size.
    """

    def __init__(self, lecture: str, folder: Path, warm: bool = False, device: str | None = None) -> None:
        torch.set_num_threads(1)  # small tensors: threads would only wait for each other
        self.assignment = assignments.load(lecture)
        self.folder = folder
        self.submission: Submission | None = None  # what was checked last
        self.skipped: list[str] = []  # what went wrong while it was loaded
        modules = worker_modules(lecture)
        self._workers = UnlockedFork(modules) if FORKS_SAFELY and device is None else Spawn(modules, spare=warm)
        self._device = device
        self._examiners: dict[str, Examiner] = {}  # by topic: what nobody asks for is not imported
        self._call_seconds = 10.0 if device is None else 120.0  # opening a GPU takes its time

    def __enter__(self) -> Practice:
        return self

    def __exit__(self, *exception: object) -> None:
        self._workers.close()

    def check(self, names: Sequence[str] = ()) -> Iterator[ExerciseRecord]:
        """The exercises meant by `names` (all without), one after the other.

        Raises: `UnknownName`; `NoWorkFound`.
        """
        wanted = select(self.assignment, names)
        failed: list[str] = []
        with self._reached() as transport:
            assert self.submission is not None
            broken = unreadable(self.submission)
            for name in (one for one in wanted if self.assignment[one].topic not in broken):
                record = self._examiner(self.assignment[name].topic).exercise(name, transport, failed)
                failed += [name] if record.failed else []
                yield record

    def failure(self, name: str) -> Failure | None:
        """The first failure of one exercise, with its calls; None where all public checks pass.

        Raises: `NoWorkFound`.
        """
        with self._reached() as transport:
            examiner = self._examiner(self.assignment[name].topic)
            public = (check for check in examiner.checks if check.exercise == name and not check.needs_reference and not check.gpu)
            return next(filter(None, (examiner.failure(check, transport) for check in public)), None)

    def _examiner(self, topic: str) -> Examiner:
        if topic not in self._examiners:
            checks = collect(self.assignment.name, topics=frozenset([topic]))
            self._examiners[topic] = Examiner(self.assignment, checks, PUBLIC_SEED, device=self._device)
        return self._examiners[topic]

    @contextlib.contextmanager
    def _reached(self) -> Iterator[WorkerTransport]:
        submission = self.submission = read_work(self.assignment, self.folder)
        package = f"assignments.{self.assignment.name}"
        transport = WorkerTransport(self._workers, package, submission.topics, Timeouts(call=self._call_seconds, submission=math.inf))
        try:
            yield transport
        finally:
            self.skipped = transport.problems
            transport.close()


def load(assignment: Assignment, folder: Path) -> dict[str, ModuleType]:
    """The modules of a working copy in this very process, where their owner wants to look at them.

    Raises: `NoWorkFound`.
    """
    torch.set_num_threads(1)
    package, topics = f"assignments.{assignment.name}", read_work(assignment, folder).topics
    for name in topics:
        sys.modules.pop(name, None)
        sys.modules.pop(f"{package}.{name}", None)
    finder = SubmissionFinder(package, topics, seconds=60, definitions_only=False)
    return {name: topic.module for name, topic in finder.load_all().items()}
