"""The record of one graded submission: the one thing that grading produces, and all that is ever rendered."""

from __future__ import annotations

from typing import Literal

import msgspec

Outcome = Literal["passed", "failed", "error", "timeout", "crashed", "missing", "not_graded"]


class CheckRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One check put to one submission."""

    check: str
    outcome: Outcome
    points: float
    max_points: float
    message: str = ""
    counterexample: str = ""
    mistake: str | None = None
    seconds: float = 0.0
    sentence: str = ""  # the property, in words
    rung: str = ""  # where the comparison stopped
    returned: str = ""
    expected: str = ""
    mistake_says: str = ""


class ExerciseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One exercise: the sum of its checks."""

    exercise: str
    score: float
    max_score: float
    not_graded: float = 0.0
    slide: str = ""
    checks: list[CheckRecord]


class KitRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What graded: versions, and the fingerprint of the grading seed (never the seed)."""

    version: str
    torch: str
    hypothesis: str
    seed: str
    isolation: str = "none"
    layers: list[str] = []
    options: list[str] = []  # of the run, where they change a record: quick, hide-expected


class Person(msgspec.Struct, frozen=True):
    """Who a platform says handed something in; `id` is what the platform wants back with the grade."""

    name: str
    id: str
    email: str = ""
    platform: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One graded submission. `score + lost = max_score`; what was not graded is in neither."""

    submission: str
    assignment: str
    score: float
    max_score: float
    not_graded: float
    exercises: list[ExerciseRecord]
    kit: KitRecord
    seconds: float
    student: Person | None = None  # where a learning platform told
    content: str = ""  # sha256 of what was handed in
    problems: list[
        str
    ] = []  # what the reader of the submission should know: files that could not be read, statements skipped


def encode(record: Record) -> bytes:
    """The record as JSON, for people and programs."""
    return msgspec.json.format(msgspec.json.encode(record), indent=1)


def decode(data: bytes) -> Record:
    """The record in JSON; raises `msgspec.ValidationError` with the path of what does not fit."""
    return msgspec.json.decode(data, type=Record)


def exercise_record(exercise: str, slide: str, checks: list[CheckRecord]) -> ExerciseRecord:
    """An exercise from its checks."""
    graded = [check for check in checks if check.outcome != "not_graded"]
    return ExerciseRecord(
        exercise=exercise,
        slide=slide,
        score=_sum(check.points for check in graded),
        max_score=_sum(check.max_points for check in graded),
        not_graded=_sum(check.max_points for check in checks if check.outcome == "not_graded"),
        checks=checks,
    )


def _sum(points: object) -> float:
    return round(float(sum(points)), 6)  # type: ignore[call-overload]  # sums of quarters, freed of float dust; 0.0 where there is none
