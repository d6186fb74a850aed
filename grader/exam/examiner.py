"""Puts the checks to one submission and writes down what came out."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from grader.checking.compare import Mismatch
from grader.checking.student import Call, NoGradient, NotThere, Student, StudentError, Transport
from grader.exam import counterexample
from grader.exam.collect import Check
from grader.exam.inputs import Example, derive, draw_examples, shrink
from grader.hidden.reference import Reference
from grader.record import CheckRecord, Outcome
from grader.sandbox.workers import WorkerGone, WorkerTimeout

NO_GPU = "needs a GPU, and this machine has none"


@dataclass(frozen=True)
class Failure:
    """What ended a check: the outcome, the sentence, the input and the calls on it."""

    outcome: Outcome
    sentence: str
    example: Example
    calls: tuple[Call, ...]
    rung: str = ""
    expected: str = ""  # the right answer in words
    got: Any = None
    want: Any = None
    mistake: str | None = None


class Namer(Protocol):
    """Recognises a registered mistake behind a failure: its name and what it says, or None."""

    def __call__(
        self, examiner: Examiner, check: Check, failure: Failure, transport: Transport
    ) -> tuple[str, str] | None: ...


class Examiner:
    """The checks of one lecture with their inputs and reference answers, ready for any number of submissions.

    `device`: what checks marked `gpu` are put on: "cuda"; "cpu", small, in the kit's own tests only; or nothing.
    """

    def __init__(
        self,
        lecture: str,
        checks: Sequence[Check],
        seed: str,
        *,
        reference: bool,
        device: str | None = None,
        quick: bool = False,
        namer: Namer | None = None,
        show_expected: bool = True,
    ) -> None:
        self.lecture, self.checks, self.seed = lecture, tuple(checks), seed
        self._reference, self._device, self._quick = reference, device, quick
        self._namer, self._show_expected = namer, show_expected
        self._references: dict[str, Reference] = {}
        self._examples: dict[str, list[Example]] = {}

    def exercise(self, name: str, transport: Transport) -> list[CheckRecord]:
        """The checks of one exercise. Good conduct alone earns nothing: it counts once some value is right."""
        transport.begin_exercise()
        checks = [check for check in self.checks if check.exercise == name]
        records = [self.examine(check, transport) for check in checks]
        values = [record.outcome for check, record in zip(checks, records, strict=True) if not check.conduct]
        if "passed" in values or not any(outcome != "not_graded" for outcome in values):
            return records
        return [_uncredited(record) if record.outcome == "passed" else record for record in records]

    def examine(self, check: Check, transport: Transport) -> CheckRecord:
        """The record of one check put to the submission behind `transport`."""
        unable = self._unable(check)
        if unable:
            return not_graded(check, unable)
        started = time.perf_counter()
        limit = transport.waited + check.seconds  # of the student's own time
        try:
            failure = self._first_failure(check, transport, limit)
            if failure is None:
                return CheckRecord(
                    check=check.name, outcome="passed", points=check.points, max_points=check.points,
                    sentence=check.sentence, seconds=_since(started),
                )  # fmt: skip
            if failure.outcome in ("failed", "error") and check.drawn:
                failure = self._smallest(check, transport, failure, limit)
            named = self._name(check, failure, transport)
        except Exception as error:  # a fault of ours must cost nobody anything
            message = f"this check is broken ({type(error).__name__}: {error}). It does not count; please tell the course staff."
            return not_graded(check, message[:500])
        return CheckRecord(
            check=check.name,
            outcome=failure.outcome,
            points=0.0,
            max_points=check.points,
            message=f"{failure.sentence}, expected {failure.expected}" if failure.expected and self._show_expected else failure.sentence,
            counterexample=counterexample.of_calls(failure.calls),
            mistake=named[0] if named else None,
            mistake_says=named[1] if named else "",
            rung=failure.rung,
            returned=counterexample.short(failure.got) if failure.rung else "",
            expected=counterexample.short(failure.want) if failure.rung and self._show_expected else "",
            sentence=check.sentence,
            seconds=_since(started),
        )

    def examples(self, check: Check) -> list[Example]:
        """The inputs of a check: the same for every submission."""
        if check.identity not in self._examples:
            self._examples[check.identity] = draw_examples(check, self.seed)
        return self._examples[check.identity]

    def run(self, check: Check, example: Example, transport: Transport) -> Failure | None:
        """Run the body of a check on one input."""
        student = Student(check.topic, transport)
        fixtures: dict[str, Any] = {"student": student, "seed": derive(self.seed, f"fixture {check.identity}")}
        fixtures["device"] = self._device
        if check.needs_reference:
            fixtures["ref"] = self._topic_reference(check.topic)
        arguments = {name: fixtures[name] for name in check.fixtures} | example
        try:
            check.body(**arguments)
        except Mismatch as mismatch:
            return Failure(
                "failed",
                mismatch.sentence,
                example,
                tuple(student.calls),
                mismatch.rung,
                mismatch.expected,
                mismatch.got,
                mismatch.want,
                mismatch.mistake,
            )
        except AssertionError as error:
            return Failure("failed", str(error).split("\n")[0] or check.sentence, example, tuple(student.calls))
        except NoGradient as error:
            return Failure("failed", str(error), example, tuple(student.calls), "gradient")
        except NotThere as error:
            return Failure("missing", str(error), example, tuple(student.calls))
        except StudentError as error:
            outcome: Outcome = "missing" if error.unimplemented else "error"
            sentence = "not implemented yet" if error.unimplemented else _words(error)
            return Failure(outcome, sentence, example, tuple(student.calls))
        except WorkerTimeout as error:
            return Failure("timeout", f"{error}: an endless loop, or far too slow?", example, tuple(student.calls))
        except WorkerGone as error:
            return Failure(
                "crashed", f"the Python process running your code ended: {error}", example, tuple(student.calls)
            )
        except Exception as error:
            if not student.calls:
                raise
            # the solutions have passed this very check, so it is the answer that no comparison can be made with
            sentence = f"what your code returned cannot be worked with ({type(error).__name__}: {str(error)[:200]})"
            return Failure("failed", sentence, example, tuple(student.calls), "type")
        return None

    def _unable(self, check: Check) -> str:
        if check.gpu and self._device is None:
            return NO_GPU
        if check.training and self._quick:
            return "left out by --quick: it trains a model"
        if check.needs_reference and not self._reference:
            return "graded after submission: it compares with the hidden reference"
        return ""

    def _first_failure(self, check: Check, transport: Transport, limit: float) -> Failure | None:
        for number, example in enumerate(self.examples(check)):
            failure = transport.on_input(check.identity, number, functools.partial(self.run, check, example, transport))
            if failure is not None:
                return failure
            if transport.waited > limit:
                return Failure("timeout", f"the check took longer than {check.seconds:g} s: far too slow", example, ())
        return None

    def _smallest(self, check: Check, transport: Transport, first: Failure, limit: float) -> Failure:
        """The same failure on the smallest input that can be found."""
        smallest = first

        def fails(example: Example) -> bool:
            nonlocal smallest
            if transport.waited > limit:
                return False
            failure = self.run(check, example, transport)
            if failure is None or (failure.outcome, failure.rung) != (first.outcome, first.rung):
                return False
            smallest = failure
            return True

        shrink(check, self.seed, fails)
        return smallest

    def _name(self, check: Check, failure: Failure, transport: Transport) -> tuple[str, str] | None:
        if self._namer is None or failure.outcome not in ("failed", "error"):
            return None
        if check.training or check.gpu:
            return None  # to name such a mistake, every registered one would have to be trained, or put on the device
        return self._namer(self, check, failure, transport)

    def _topic_reference(self, topic: str) -> Reference:
        if topic not in self._references:
            self._references[topic] = Reference(self.lecture, topic)
        return self._references[topic]


def not_graded(check: Check, why: str) -> CheckRecord:
    """The record of a check that was not put to anyone."""
    return CheckRecord(
        check=check.name, outcome="not_graded", points=0.0, max_points=check.points, message=why, sentence=check.sentence
    )


def _uncredited(record: CheckRecord) -> CheckRecord:
    return msgspec.structs.replace(
        record,
        outcome="failed",
        points=0.0,
        message="this is in order, but counts only once some value of the function is right",
    )


def _words(error: StudentError) -> str:
    where = f" — in {error.where}" if error.where else ""
    return f"your code raised {error}{where}"


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 4)
