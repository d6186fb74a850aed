"""What a student runs: the public checks on their working copy, in a process of its own."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

from grader import assignment as assignments
from grader.assignment import Assignment
from grader.exam.collect import collect, families
from grader.exam.examiner import Examiner
from grader.exam.transport import Patience, WorkerTransport
from grader.record import ExerciseRecord, exercise_record
from grader.sandbox.process import Spawn
from grader.submission import find, read

PUBLIC_SEED = "public"  # a student's own checks draw other inputs than the grade's


class UnknownName(Exception):
    """There is no exercise of that name; the message suggests one."""


def practise(lecture: str, folder: Path, names: Sequence[str]) -> Iterator[ExerciseRecord]:
    """The exercises called `names` (all without), one after the other, as their records."""
    assignment = assignments.load(lecture)
    wanted = select(assignment, names)
    examiner = Examiner(lecture, collect(lecture), PUBLIC_SEED, reference=False)
    (handed_in,) = find(folder, assignment)
    submission = read(handed_in, assignment)
    workers = Spawn(families(lecture))
    transport = WorkerTransport(workers, f"assignments.{lecture}", submission.topics, Patience())
    try:
        for name in wanted:
            checks = [check for check in examiner.checks if check.exercise == name]
            yield exercise_record(name, str(assignment[name].slide), [examiner.examine(check, transport) for check in checks])
    finally:
        transport.close()
        workers.close()


def select(assignment: Assignment, names: Sequence[str]) -> list[str]:
    """The exercises meant by full names, function names or topics; all of them for no name."""
    known = [exercise.name for exercise in assignment.exercises]
    chosen: list[str] = []
    for name in names:
        found = [one for one in known if name == one or one.startswith(f"{name}.") or one.split(".", 1)[1] == name]
        if not found:
            alike = difflib.get_close_matches(name, [*known, *(one.split(".", 1)[1] for one in known)], n=1, cutoff=0.5)
            raise UnknownName(f"there is no exercise {name!r}." + (f" Did you mean {alike[0]!r}?" if alike else "") + " `dgm list` shows all.")
        chosen += found
    return list(dict.fromkeys(chosen or known))
