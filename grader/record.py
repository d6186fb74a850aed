"""The record of one graded submission: the one thing that grading produces, and all that is ever rendered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

MADE_BY_DGM = ".dgm-made"  # a folder with a file of this name holds results, pages or exports: never a submission

Outcome = Literal["passed", "failed", "error", "timeout", "crashed", "missing", "not_graded"]


MAX_PROBLEMS = 50  # sentences about a submission
LONGEST = {"message": 1000, "counterexample": 2000}  # characters of a field
LONGEST_OTHER = 500


class CheckRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One check put to one submission."""

    check: str  # the name of the test
    outcome: Outcome  # passed, failed, error, timeout, crashed, missing, not_graded
    points: float  # earned
    max_points: float  # as weights and assignment.toml give them
    message: str = ""  # what is wrong, in a sentence
    counterexample: str = ""  # the calls that went wrong, as Python
    mistake: str | None = None  # the registered mistake that the answer is
    seconds: float = 0.0  # that the check took
    sentence: str = ""  # the property, in words
    rung: str = ""  # where the comparison stopped
    returned: str = ""  # in short
    expected: str = ""  # in short; empty with --hide-expected
    mistake_says: str = ""  # what a student is told of the mistake
    printed: str = ""  # by the student's code in these calls: the first and the last lines, on their own machine alone
    figures: dict[str, str] = {}  # what the check has measured, where a person may want to see it


class ExerciseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One exercise: the sum of its checks."""

    exercise: str  # topic.function
    score: float  # points earned
    max_score: float  # of what could be graded
    not_graded: float = 0.0  # points of checks that could not be run, in neither of both
    slide: str = ""  # of the lecture
    bonus: bool = False  # its points stand beside the score
    kit: str = ""  # the version that graded it, where it was graded again alone
    checks: list[CheckRecord]  # in the order of their files
    depends_on_failed: list[str] = []  # exercises that the student's answer to this one calls, and that failed: repair these first
    rubric: str = ""  # the mistake for which the instructor's rubric leaves a share of the points

    @property
    def failed(self) -> bool:
        """Whether something that was graded is not right."""
        return any(check.outcome not in ("passed", "not_graded") for check in self.checks)


class KitRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What graded: versions, and the fingerprint of the grading seed (never the seed)."""

    version: str  # of dgm-kit
    torch: str  # its version
    hypothesis: str  # its version
    seed: str  # its fingerprint
    isolation: str = "none"  # the policy that the worker ran under
    layers: list[str] = []  # of isolation that held on that machine
    device: str = ""  # the GPU on which checks that need one were run
    device_layers: list[str] = []  # what stood around the workers that could open it
    options: list[str] = []  # of the run, where they change a record: quick, hide-expected


class Person(msgspec.Struct, frozen=True):
    """Who a platform says handed something in; `id` is what the platform wants back with the grade."""

    name: str  # as the platform writes it
    id: str  # on the platform
    email: str = ""  # where the platform tells
    platform: str = ""  # canvas, moodle, gradescope
    late: bool = False  # as the platform says
    attempt: str = ""  # what the platform calls this hand-in: Canvas its attachment, Gradescope its submission
    members: tuple[Person, ...] = ()  # the others of a group
    submitted: str = ""  # when, as ISO 8601, where the platform's metadata tells


class Final(msgspec.Struct, frozen=True, kw_only=True):
    """What the course makes of a score: never below 0."""

    points: float  # the score without what lateness costs, and with adjustments
    days_late: int | None  # days begun after the due date; None where nobody knows when it came
    adjustment: float = 0.0  # points given or taken by hand
    why: list[str] = []  # a sentence for each of them


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One graded submission. `score + lost = max_score`; what was not graded is in neither, and neither is the bonus."""

    submission: str  # the name of its folder of results
    assignment: str  # its name
    score: float  # points earned
    max_score: float  # of what could be graded
    not_graded: float  # points of checks that could not be run, in neither of both
    exercises: list[ExerciseRecord]  # those that one can lose points on
    kit: KitRecord  # what graded
    seconds: float  # that grading took
    student: Person | None = None  # where a learning platform told
    handed_in_as: str = ""  # the name it came with, where `submission` is another one
    content: str = ""  # sha256 of what was handed in
    problems: list[str] = []  # about what was handed in: files that could not be read, statements skipped
    bonus: list[ExerciseRecord] = []  # exercises beside those above
    bonus_score: float = 0.0  # points beside the score
    fault: str = ""  # where the grader itself broke: this record is provisional, the next run grades again
    final: Final | None = None  # in no file: a course's policy is applied whenever records are read

    @property
    def grade(self) -> float:
        """What a platform gets: the final grade where the course has a policy, else the score."""
        return self.final.points if self.final else self.score

    @property
    def bonus_max_score(self) -> float:
        """What the bonus exercises are worth, as far as they were graded; 0 where there are none."""
        return _sum(exercise.max_score for exercise in self.bonus)

    @property
    def examined(self) -> list[ExerciseRecord]:
        """All exercises, the bonus last."""
        return [*self.exercises, *self.bonus]


class Done(msgspec.Struct, frozen=True):
    """One submission is finished: graded now, or found from an earlier run."""

    record: Record
    found: bool
    log: str = ""  # of a fault of ours, for its makers


def encode(record: Record) -> bytes:
    """The record as JSON, for people and programs."""
    return msgspec.json.format(msgspec.json.encode(record), indent=1)


def decode(data: bytes) -> Record:
    """The record in JSON; raises `msgspec.DecodeError`, which says what does not fit and where."""
    try:
        return msgspec.json.decode(data, type=Record)
    except UnicodeDecodeError as error:  # of a disk's damage in a text: msgspec leaves it to Python
        raise msgspec.DecodeError(f"no UTF-8: {error}") from None


def exercise_record(
    exercise: str,
    slide: str,
    checks: list[CheckRecord],
    bonus: bool = False,
    rubric: str = "",
) -> ExerciseRecord:
    """An exercise from its checks."""
    graded = [check for check in checks if check.outcome != "not_graded"]
    return ExerciseRecord(
        exercise=exercise,
        slide=slide,
        bonus=bonus,
        score=_sum(check.points for check in graded),
        max_score=_sum(check.max_points for check in graded),
        not_graded=_sum(check.max_points for check in checks if check.outcome == "not_graded"),
        checks=checks,
        rubric=rubric,
    )


def summed(exercises: Sequence[ExerciseRecord]) -> dict[str, Any]:
    """The fields of a record that follow from its exercises: those that one can lose points on, and the bonus beside them."""
    required = [exercise for exercise in exercises if not exercise.bonus]
    bonus = [exercise for exercise in exercises if exercise.bonus]
    return {
        "exercises": required,
        "score": _sum(exercise.score for exercise in required),
        "max_score": _sum(exercise.max_score for exercise in required),
        "not_graded": _sum(exercise.not_graded for exercise in required),
        "bonus": bonus,
        "bonus_score": _sum(exercise.score for exercise in bonus),
    }


def bounded(record: Record) -> Record:
    """The record within the documented bounds, whatever a submission made of it: at most about 2 MiB."""

    def shorter(value: Any, key: str = "") -> Any:
        if isinstance(value, str):
            most = LONGEST.get(key, LONGEST_OTHER)
            return value if len(value) <= most else value[: most - 2] + " …"
        if isinstance(value, list):
            return [shorter(one, key) for one in (value[:MAX_PROBLEMS] if key == "problems" else value)]
        if isinstance(value, dict):
            return {name: shorter(one, name) for name, one in value.items()}
        return value

    return msgspec.convert(shorter(msgspec.to_builtins(record)), Record)


def _sum(points: Iterable[float]) -> float:
    return round(float(sum(points)), 6)  # sums of quarters, freed of float dust; 0.0 where there is none
