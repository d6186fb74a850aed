"""The checks marked `gpu`: on the device of this machine, in fresh workers, one submission at a time.

This process never opens a device, because graders are forked from it and CUDA does not survive that. Where a device is
missing, or the kit's own solution does not get through on it, nobody is judged: the record says why.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import filelock
import msgspec

from grader import assignment as assignments
from grader.assignment import Exercise
from grader.exam.collect import collect, worker_modules
from grader.exam.examiner import NO_GPU, Examiner
from grader.exam.failure import not_graded
from grader.exam.transport import WorkerTransport
from grader.grading.gpu import name_of
from grader.grading.kit import hidden
from grader.grading.options import GradingOptions
from grader.hidden import known_submissions
from grader.hidden.answer_key import InstructorsKey
from grader.record import ExerciseRecord, KitRecord, Record, bounded, exercise_record, summed
from grader.sandbox.layers.policy import IsolationError, environment_of_the_device, open_device_workers
from grader.sandbox.workers import WorkerGone
from grader.submission import Submission


class DeviceSession:
    """What the device's part of one submission takes; the counterpart of `GradingSession`, and of use without a device as well."""

    def __init__(self, options: GradingOptions) -> None:
        self.options = options
        self._assignment = assignments.load(options.lecture)
        checks = collect(options.lecture)
        self._names = list(dict.fromkeys(check.exercise for check in checks if check.gpu))
        self._examiner = Examiner(
            self._assignment, [check for check in checks if check.exercise in self._names], options.seed,
            key=InstructorsKey(options.lecture, names=False), device=options.device,
            quick=options.quick, show_expected=options.show_expected,
        )  # fmt: skip
        self.name = ""  # of the device that is in use
        self.layers: tuple[str, ...] = ()
        self._why_not = NO_GPU

    def __enter__(self) -> DeviceSession:
        with ExitStack() as stack:
            self._lock = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dgm-device-")), "lock")
            name = name_of(self.options.device) if self._names else ""
            if name:
                self._open(name, stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def restart(self) -> None:
        """Its workers are fresh processes: there is nothing to put in their place."""

    def kit(self, kit: KitRecord) -> KitRecord:
        """What grades, with the device."""
        return msgspec.structs.replace(kit, device=self.name, device_layers=list(self.layers))

    def complete(self, record: Record, submission: Submission) -> Record:
        """The record with the exercises of the device examined on it, or with the reason why they are not."""
        started = time.perf_counter()
        if self.name:
            with filelock.FileLock(self._lock):  # the kernel frees it should this grader be killed
                checks = self._examined(submission)
        else:
            checks = {name: self._not_graded(self._assignment[name]) for name in self._names}
        exercises = [checks.get(one.exercise, one) for one in record.examined]
        seconds = round(record.seconds + time.perf_counter() - started, 3)
        completed = msgspec.structs.replace(record, kit=self.kit(record.kit), seconds=seconds, **summed(exercises))
        return bounded(completed) if self.name else completed

    def _open(self, name: str, stack: ExitStack) -> None:
        """Take the device into use if the kit's own solutions pass on it."""
        device = environment_of_the_device()
        try:
            self._workers = open_device_workers(self.options.isolation, worker_modules(self.options.lecture), hidden(), device)
        except (IsolationError, RuntimeError, WorkerGone) as obstacle:  # all else can be graded
            self._why_not = f"there is a GPU here ({name}), but no worker may use it: {obstacle}"
            return
        stack.callback(self._workers.close)
        topics = {name.split(".")[0] for name in self._names}
        solutions = Submission("the solutions", known_submissions.solutions(self.options.lecture, topics), ())
        left_out = {check.name for check in self._examiner.checks if check.training and self.options.quick}
        for check in chain(*(exercise.checks for exercise in self._examined(solutions).values())):
            if check.outcome != "passed" and check.check not in left_out:
                self._why_not = (
                    f"on the GPU of this machine ({name}) the kit's own solution does not pass {check.check} "
                    f"({check.outcome}: {check.message}), so nobody is judged there"
                )
                return
        self.name, self.layers = name, self._workers.isolation.layers

    def _not_graded(self, exercise: Exercise) -> ExerciseRecord:
        checks = [not_graded(check, self._why_not) for check in self._examiner.checks if check.exercise == exercise.name]
        return exercise_record(exercise.name, str(exercise.slide), checks, exercise.bonus)

    def _examined(self, submission: Submission) -> dict[str, ExerciseRecord]:
        package = f"assignments.{self._assignment.name}"
        transport = WorkerTransport(self._workers, package, submission.topics, self.options.device_timeouts)
        try:
            return {name: self._examiner.exercise(name, transport) for name in self._names}
        finally:
            transport.close()
