"""Which failed exercises explain the failure of another: those that the student's answer to it calls."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from grader.assignment import Assignment
from grader.checking.student import Transport
from grader.record import ExerciseRecord


def with_dependencies(assignment: Assignment, records: Sequence[ExerciseRecord], transport: Transport) -> list[ExerciseRecord]:
    """The records of a whole submission, where also exercises that came later may explain a failure."""
    failed = [record.exercise for record in records if record.failed]
    return [
        msgspec.structs.replace(record, depends_on_failed=failed_dependencies(assignment, record.exercise, transport, failed))
        if record.failed
        else record
        for record in records
    ]


def failed_dependencies(assignment: Assignment, name: str, transport: Transport, failed: Collection[str]) -> list[str]:
    """The failed exercises that the student's answer to this one calls, directly or through others."""
    topic = assignment[name].topic
    known = {exercise.name: exercise for exercise in assignment.of_topic(topic)}
    calls: Mapping[str, Sequence[str]] = transport.calls.get(topic, {})
    reached, open_names = set(), [name]
    while open_names:
        exercise = known[open_names.pop()]
        for other in [*(f"{topic}.{function}" for function in calls.get(exercise.function, ())), *exercise.calls]:
            if other in known and other not in reached:
                reached.add(other)
                open_names.append(other)
    return [other for other in known if other in reached and other in failed and other != name]
