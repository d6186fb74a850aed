"""What ended a check, in the words of its record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from grader.checking.mismatch import SLIGHT, Mismatch
from grader.checking.student import Call, MissingFunction, NoGradient, StudentError
from grader.exam import counterexample
from grader.exam.collect import Check
from grader.exam.inputs import Example
from grader.record import CheckRecord, Outcome
from grader.sandbox.workers import WorkerGone, WorkerTimeout

THE_SUBMISSIONS = (AssertionError, NoGradient, MissingFunction, StudentError, WorkerGone)  # what a submission may end a check with


@dataclass(frozen=True)
class Failure:
    """What ended a check: the outcome, the sentence, the input and the calls on it."""

    outcome: Outcome
    sentence: str
    example: Example
    calls: tuple[Call, ...]
    rung: str = ""
    got: Any = None
    want: Any = None
    mistake: str | None = None
    expected: str = ""  # the right answer in words
    says: str = ""  # what was misunderstood, where a public check recognises it


def failure_of(error: Exception, check: Check, example: Example, calls: tuple[Call, ...]) -> Failure:
    """The failure behind one of `THE_SUBMISSIONS` exceptions."""
    outcome: Outcome = "failed"
    sentence, rung = str(error), ""
    match error:
        case Mismatch():
            return Failure(
                "failed", error.sentence, example, calls, error.rung, error.got, error.want, error.mistake, error.expected, error.says
            )
        case AssertionError():
            sentence = sentence.split("\n")[0] or check.sentence
        case NoGradient():
            rung = "gradient"
        case MissingFunction():
            outcome = "missing"
        case StudentError(unimplemented=True):
            outcome, sentence = "missing", "not implemented yet"
        case StudentError():
            where = f" — in {error.where}" if error.where else ""
            outcome, sentence = "error", f"your code raised {error}{where}"
        case WorkerTimeout():
            outcome, sentence = "timeout", f"{error}: an endless loop, or far too slow?"
        case WorkerGone():
            outcome, sentence = "crashed", f"the Python process running your code ended: {error}"
    return Failure(outcome, sentence, example, calls, rung)


def gravest(failures: Iterable[Failure | None]) -> Failure | None:
    """The first failure that is more than a slight one; where there is none, the first."""
    slight = None
    for failure in failures:
        if failure is not None and failure.rung not in SLIGHT:
            return failure
        slight = slight or failure
    return slight


def failed(
    check: Check,
    failure: Failure,
    named: tuple[str, str] | None,
    *,
    show_expected: bool,
    seconds: float,
    printed: str,
    figures: Mapping[str, str],
) -> CheckRecord:
    """The record of a check that failed. `named`: the mistake behind it and what it says."""
    told = bool(failure.expected) and show_expected
    return CheckRecord(
        check=check.name,
        outcome=failure.outcome,
        points=0.0,
        max_points=check.points,
        message=f"{failure.sentence}, expected {failure.expected}" if told else failure.sentence,
        counterexample=counterexample.of_calls(failure.calls, failure.got),
        mistake=named[0] if named else None,
        mistake_says=named[1] if named else failure.says,
        rung=failure.rung,
        returned=counterexample.short(failure.got) if failure.got is not None or failure.rung == "nothing" else "",
        expected=counterexample.short(failure.want) if failure.want is not None and show_expected else "",
        sentence=check.sentence,
        seconds=seconds,
        printed=first_and_last(printed),
        figures=dict(figures),
    )


def first_and_last(text: str, most: int = 8, width: int = 200) -> str:
    """The first and the last lines of what was printed."""
    lines = [line[:width] for line in text.rstrip().split("\n")]
    return "\n".join(lines if len(lines) <= most else [*lines[: most // 2], "…", *lines[-(most // 2) :]])


def not_graded(check: Check, why: str) -> CheckRecord:
    """The record of a check that was not put to anyone."""
    return CheckRecord(check=check.name, outcome="not_graded", points=0.0, max_points=check.points, message=why, sentence=check.sentence)
