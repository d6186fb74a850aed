"""One submission through the whole exam."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec

from grader.assignment import Assignment
from grader.exam.collect import Check
from grader.exam.dependencies import with_dependencies
from grader.exam.examiner import Examiner
from grader.exam.failure import not_graded
from grader.exam.replay import Replay
from grader.exam.timeouts import Timeouts
from grader.exam.transport import WorkerTransport
from grader.grading import faults
from grader.record import CheckRecord, ExerciseRecord, KitRecord, Record, bounded, exercise_record, summed
from grader.sandbox.workers import Workers
from grader.submission import Submission


def examine(
    submission: Submission,
    assignment: Assignment,
    examiner: Examiner,
    workers: Workers,
    kit: KitRecord,
    timeouts: Timeouts,
) -> Record:
    """The record of one submission; whatever the submission does, a record comes out."""
    started = time.perf_counter()
    examiner.faults.clear()
    transport = Replay(workers, f"assignments.{assignment.name}", submission.topics, timeouts)
    try:
        exercises = with_dependencies(assignment, list(_exercises(assignment, examiner, transport, timeouts)), transport)
        problems = [*submission.problems, *transport.problems]
    finally:
        transport.close()
    record = Record(
        submission=submission.name,
        assignment=assignment.name,
        kit=kit,
        seconds=round(time.perf_counter() - started, 3),
        student=submission.student,
        handed_in_as=submission.handed_in_as,
        content=submission.digest,
        problems=problems,
        fault=faults.CHECKS_BROKE if examiner.faults else "",
        **summed(exercises),
    )
    return bounded(record)


def _exercises(assignment: Assignment, examiner: Examiner, transport: WorkerTransport, timeouts: Timeouts) -> Iterator[ExerciseRecord]:
    failed: list[str] = []
    for exercise in sorted(assignment.exercises, key=lambda one: one.bonus):  # no bonus takes time from the rest
        if transport.spent >= timeouts.submission:
            checks = [
                not_graded(check, unable) if (unable := examiner.unable(check)) else _out_of_time(check, timeouts.submission)
                for check in examiner.checks
                if check.exercise == exercise.name
            ]
            record = exercise_record(exercise.name, str(exercise.slide), checks, exercise.bonus)
        else:
            record = examiner.exercise(exercise.name, transport, failed)
        if record.failed:
            failed.append(exercise.name)
        if record.checks:
            yield record


def _out_of_time(check: Check, seconds: float) -> CheckRecord:
    said = f"the submission as a whole took longer than {seconds:g} s; this check was not run any more"
    return msgspec.structs.replace(not_graded(check, said), outcome="timeout")
