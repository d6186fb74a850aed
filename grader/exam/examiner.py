"""Puts the checks to one submission and writes down what came out."""

from __future__ import annotations

import contextlib
import functools
import time
import traceback
from bdb import BdbQuit
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from grader.assignment import Assignment
from grader.checking.student import Call, CannotObserve, Student, Transport
from grader.exam import counterexample, credit
from grader.exam.collect import Check
from grader.exam.dependencies import failed_dependencies
from grader.exam.failure import THE_SUBMISSIONS, Failure, failed, failure_of, gravest, not_graded
from grader.exam.inputs import Example, derive, draw_examples, shrink
from grader.exam.replay import PlannedTransport, Plans, judge
from grader.record import CheckRecord, ExerciseRecord, Outcome, exercise_record
from grader.sandbox.workers import WorkerGone
from grader.values import mapped

NO_GPU = "needs a GPU, and this machine has none"
APOLOGY = "our grader broke at this check, which is no fault of yours: it does not count. Please tell the course staff."


@dataclass(frozen=True)
class Fault:
    """Where the grader itself broke: for its makers, never for a student."""

    check: str  # its identity
    traceback: str


class AnswerKey(Protocol):
    """What an instructor's exam is handed beside the checks: the reference, the solutions, and who names mistakes."""

    def reference(self, topic: str) -> Any:
        """The functions of one topic's reference."""

    def solution(self, topic: str) -> Transport:
        """The kit's own answer to one topic."""

    def recognise(self, examiner: Examiner, check: Check, failure: Failure, transport: Transport) -> tuple[str, str] | None:
        """The name of the registered mistake behind a failure and what it says, or None."""

    def fails(self, examiner: Examiner, check: Check, mistake: str) -> bool:
        """Whether the registered mistake of this name fails this check."""


class Examiner:
    """The checks of one assignment with their inputs, ready for any number of submissions.

    `key`: none on a student's machine. `device`: what checks marked `gpu` are put on: "cuda"; "cpu", small, in the kit's
    own tests only; or nothing. `faults` collects where the grader itself broke; whoever keeps a log empties it.
    """

    def __init__(
        self,
        assignment: Assignment,
        checks: Sequence[Check],
        seed: str,
        *,
        key: AnswerKey | None = None,
        device: str | None = None,
        quick: bool = False,
        show_expected: bool = True,
    ) -> None:
        self.assignment, self.checks, self.seed = assignment, tuple(checks), seed
        self._key, self._device, self._quick, self._show_expected = key, device, quick, show_expected
        self._examples: dict[str, list[Example]] = {}
        self._figures: dict[str, str] = {}  # what the check at hand has measured
        self.plans: Plans = {}  # what is known before a submission comes; nothing: every check is run on every input
        self.faults: list[Fault] = []

    def exercise(self, name: str, transport: Transport, failed_before: Collection[str] = ()) -> ExerciseRecord:
        """The record of one exercise. `failed_before`: exercises of this submission that have failed so far."""
        transport.begin_exercise()
        checks = [check for check in self.checks if check.exercise == name]
        records = [self.examine(check, transport, failed_before) for check in checks]
        records, rubric = credit.by_rubric(
            credit.in_proportion(checks, records),
            self.assignment.shares(name),
            functools.partial(self._also_fails, checks),
        )
        exercise = self.assignment[name]
        record = exercise_record(name, str(exercise.slide), records, exercise.bonus, rubric)
        at_fault = failed_dependencies(self.assignment, name, transport, failed_before) if record.failed else []
        return msgspec.structs.replace(record, depends_on_failed=at_fault)

    def examine(self, check: Check, transport: Transport, failed_before: Collection[str] = ()) -> CheckRecord:
        """The record of one check put to the submission behind `transport`."""
        unable = self.unable(check)
        if unable:
            return not_graded(check, unable)
        started = time.perf_counter()
        self._figures.clear()
        try:
            failure = self.failure(check, transport)
            if failure is None:
                return CheckRecord(
                    check=check.name, outcome="passed", points=check.points, max_points=check.points,
                    sentence=check.sentence, seconds=_since(started), figures=dict(self._figures),
                )  # fmt: skip
            explained = failed_dependencies(self.assignment, check.exercise, transport, failed_before)
            named = None if explained else self._name(check, failure, transport)
            return failed(
                check, failure, named, show_expected=self._show_expected, seconds=_since(started),
                printed=self._printed(failure, transport), figures=self._figures,
            )  # fmt: skip
        except CannotObserve as why:
            return not_graded(check, str(why))
        except Exception:  # a fault of ours must cost nobody anything
            self.faults.append(Fault(check.identity, traceback.format_exc()))
            return not_graded(check, APOLOGY)

    def failure(self, check: Check, transport: Transport) -> Failure | None:
        """What a check fails with, on the smallest input that can be found; None where it passes."""
        if not transport.has(check.topic):  # no input need be drawn to say so
            return Failure("missing", f"the submission has no module {check.topic}", {}, ())
        transport.begin_check(check.seconds)
        failure = self._first_failure(check, transport, transport.waited + check.seconds)
        if failure is not None and failure.outcome in ("failed", "error") and check.drawn:
            failure = self._smallest(check, transport, failure, transport.waited + check.seconds)
        return failure

    def passes(self, check: Check, transport: Transport) -> bool:
        """Whether a check holds, without a word on why not: no smaller input, no name."""
        return all(self.run(check, example, transport) is None for example in self.examples(check))

    def share(self, name: str, transport: Transport) -> float:
        """How much of an exercise is earned, of what this machine can grade."""
        graded: list[Check] = []
        records: list[CheckRecord] = []
        for check in (one for one in self.checks if one.exercise == name and not self.unable(one)):
            try:
                failure = gravest(self.run(check, example, transport) for example in self.examples(check))
            except CannotObserve:
                continue
            points, rung = (check.points, "") if failure is None else (0.0, failure.rung)
            outcome: Outcome = "passed" if failure is None else "failed"
            graded.append(check)
            records.append(CheckRecord(check=check.name, outcome=outcome, points=points, max_points=check.points, rung=rung))
        earned = sum(record.points for record in credit.in_proportion(graded, records))
        return earned / max(sum(check.points for check in graded), 1e-9)

    def examples(self, check: Check) -> list[Example]:
        """The inputs of a check: the same for every submission."""
        if check.identity not in self._examples:
            self._examples[check.identity] = draw_examples(check, self.seed)
        return self._examples[check.identity]

    def run(self, check: Check, example: Example, transport: Transport, calls: list[Call] | None = None) -> Failure | None:
        """Run the body of a check on one input; its calls are written into `calls`."""
        student = Student(check.topic, transport, [] if calls is None else calls)
        try:
            self._put(check, example, student)
        except CannotObserve:
            raise
        except BdbQuit:  # of a breakpoint in the check
            raise KeyboardInterrupt from None
        except THE_SUBMISSIONS as error:
            return failure_of(error, check, example, tuple(student.calls))
        except Exception:
            if not student.calls or self._like_the_solution(check, example, student.calls):
                raise
            answer = student.calls[-1].answer
            beside = ", and its gradients" if answer.get("gradients") else ""
            sentence = f"this check cannot compare what your code returned: {counterexample.form(answer.get('value'))}{beside}"
            return Failure("failed", sentence, example, tuple(student.calls), "type", got=answer.get("value"))
        return None

    def _put(self, check: Check, example: Example, student: Student) -> None:
        fixtures: dict[str, Any] = {"student": student, "seed": derive(self.seed, f"fixture {check.identity}")}
        fixtures |= {"device": self._device, "figures": self._figures}
        if check.needs_reference and self._key is not None:
            fixtures["ref"] = self._key.reference(check.topic)
        check.body(**{name: fixtures[name] for name in check.fixtures} | example)

    def _printed(self, failure: Failure, transport: Transport) -> str:
        """What the student's code prints in the calls of a failure, on their own machine: the calls are made once more."""
        if self._key is not None or failure.outcome not in ("failed", "error") or not transport.output():
            return ""
        before, again = len(transport.output()), {"run": Student("", transport).run_number}
        with contextlib.suppress(WorkerGone):
            for call in failure.calls:
                transport.ask(call.message | again)
        return transport.output()[before:]

    def _like_the_solution(self, check: Check, example: Example, calls: Sequence[Call]) -> bool:
        """Whether a check that broke had answers of the solution's form, or breaks on the solution: the fault is its own."""
        if self._key is None:
            return False
        solution = Student(check.topic, self._key.solution(check.topic))
        try:
            self._put(check, example, solution)
        except Exception:
            return True
        forms = [[_form(call.answer) for call in of] for of in (calls, solution.calls)]
        return all(mine == right for mine, right in zip(*forms, strict=False))

    def unable(self, check: Check) -> str:
        """Why a check is not graded here, whatever the submission is; empty where it is."""
        if check.gpu and self._device is None:
            return NO_GPU
        if check.training and self._quick:
            return "left out by --quick: it trains a model"
        if check.needs_reference and self._key is None:
            return "graded after submission: it compares with the hidden reference"
        return ""

    def _first_failure(self, check: Check, transport: Transport, limit: float) -> Failure | None:
        plans = self.plans.get(check.identity, [])

        def run(number: int) -> Failure | None:
            return self.run(check, self.examples(check)[number], transport)  # no input is drawn before a body is run

        def failures() -> Iterator[Failure | None]:
            planned = transport if plans and isinstance(transport, PlannedTransport) else None
            if planned:
                planned.send_ahead(plans)
            for number in range(len(plans) or len(self.examples(check))):
                failure = judge(plans[number], planned, functools.partial(run, number)) if planned else run(number)
                yield failure
                if transport.waited > limit:
                    said = f"the check took longer than {check.seconds:g} s: far too slow"
                    yield failure or Failure("timeout", said, self.examples(check)[number], ())
                    return

        return gravest(failures())

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
        if self._key is None or failure.outcome not in ("failed", "error"):
            return None
        if check.training or check.gpu:
            return None  # to name such a mistake, every registered one would have to be trained, or put on the device
        return self._key.recognise(self, check, failure, transport)

    def _also_fails(self, checks: Sequence[Check], record: CheckRecord, mistake: str) -> bool:
        """Whether a registered mistake fails the check of this record, too."""
        (check,) = (one for one in checks if one.name == record.check)
        return self._key is not None and self._key.fails(self, check, mistake)


def _form(answer: dict[str, Any]) -> Any:
    """The form of an answer, gradients included: whoever writes the worker's answers could take a check out of the maximum."""
    gradients = [answer.get("gradients"), answer.get("parameter_gradients")]
    return counterexample.form(answer.get("value")), mapped(gradients, counterexample.form)


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 4)
