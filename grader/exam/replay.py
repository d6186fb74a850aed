"""Sends the calls of a check all at once, and does not run it on an input whose answers have passed before.

While the kit's own solution sits the exam, its calls are written down with the bytes that travel: the plan of an input.
Another submission is sent the plans of all inputs of a check together, so that a worker need not wait for the grader between
two answers. A call of the check is answered from what came back, as long as it is the very call of the plan. Where it is not,
the input starts again with one call at a time; so does one for which the solution's calls depended on its answers.

A check is a function of its input and of the answers. Where the answers to a plan are to the bit those with which the check
has passed before, for the solution or for another submission, it has passed again. What a submission is sent depends on the
plan and on its own answers, never on time or on other submissions.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor

from grader.exam.transport import WorkerTransport, checked
from grader.sandbox.wire.black_boxes import Boxes
from grader.sandbox.wire.families import tensors_in
from grader.sandbox.wire.frames import TO_WORKER, WireError, encode
from grader.sandbox.wire.objects import to_wire
from grader.sandbox.workers import WorkerGone

MAX_PASSED = 256  # right answers that are remembered for one input; whoever finds more pays for the search alone

Result = TypeVar("Result")


@dataclass
class Plan:
    """The calls of a check on one input; none where one of them depends on an answer."""

    run: int  # the number by which a worker knows it; below zero, where no other run is
    calls: list[bytes] = field(default_factory=list)  # the frames that carry them
    passed: set[bytes] = field(default_factory=set)  # digests of answers with which the check has passed


Plans = dict[str, list[Plan]]  # by the check, in the order of its inputs


def empty_plans(check: str, inputs: int) -> list[Plan]:
    """Plans to be written, each with another number, also where others come from another process."""
    names = (f"{check} {number}".encode() for number in range(inputs))
    return [Plan(-1 - int.from_bytes(hashlib.blake2b(name, digest_size=6).digest(), "big")) for name in names]


class PlanDiverged(BaseException):
    """The check makes a call that no plan can have, or another one. No `Exception`: a check must not take it for an answer."""


class PlannedTransport(WorkerTransport):
    """A submission's transport that knows the plan of the input at hand."""

    _plan: Plan | None = None  # none: calls go one at a time
    _answers: Sequence[bytes] = ()  # to the calls of the plan

    def send_ahead(self, plans: Sequence[Plan]) -> None:
        """Learn the plans of all inputs of a check before the first begins."""

    def begin(self, plan: Plan) -> None:
        self._plan, self._answers = plan, []

    def end(self) -> None:
        self._plan = None

    def digest(self) -> bytes:
        """A digest of the answers to all calls of the plan, or nothing where it has none."""
        return hashlib.blake2b(b"".join(self._answers), digest_size=16).digest() if self._answers else b""

    def _exchange(self, calls: Sequence[bytes]) -> list[bytes]:
        """The answers to calls that are sent together, each within the time of one call."""
        return self._reach(lambda worker, seconds: worker.exchange(calls, seconds, self._left()))

    def _open(self, answer: bytes, mode: str) -> dict[str, Any]:
        return self._reach(lambda worker, seconds: checked(worker.open(answer), mode))


def judge(plan: Plan, transport: PlannedTransport, run: Callable[[], Result | None]) -> Result | None:
    """What `run` makes of the plan's input: None where the check passes. It is not run where that is known."""
    transport.begin(plan)
    try:
        if transport.digest() in plan.passed:
            return None
        failure = run()
        if failure is None and (digest := transport.digest()) and len(plan.passed) < MAX_PASSED:
            plan.passed.add(digest)
        return failure
    except PlanDiverged:
        pass
    finally:
        transport.end()
    return run()


class Rehearsal(PlannedTransport):
    """The solutions' transport: what the checks ask them is written into the plans."""

    def begin(self, plan: Plan) -> None:
        super().begin(plan)
        self._tensors: list[Tensor] = []  # of answers; kept, so that no other tensor gets their place in memory

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        plan = self._plan
        if plan is None:
            return super().ask(message)
        answered = {tensor.untyped_storage().data_ptr() for tensor in self._tensors if tensor.numel()}
        if any(tensor.untyped_storage().data_ptr() in answered for tensor in tensors_in(message)) or Boxes(message):
            plan.calls.clear()  # what a black box is asked depends on its answers
            raise PlanDiverged
        plan.calls.append(encode({**message, "run": plan.run}, to_wire, TO_WORKER))
        self._answers = [*self._answers, *self._exchange(plan.calls[-1:])]
        answer = self._open(self._answers[-1], message["mode"])
        self._tensors += tensors_in(answer)
        return answer


class Replay(PlannedTransport):
    """The transport of a submission that is sent the calls of all plans of a check together."""

    def send_ahead(self, plans: Sequence[Plan]) -> None:
        self._ahead: dict[int, list[bytes]] = {}  # answers by the run
        calls = [call for plan in plans for call in plan.calls]
        if calls and self._call_seconds == self._timeouts.call:  # else something loops here: one call at a time shows which
            with contextlib.suppress(WorkerGone):  # one call at a time shows which call ends it
                answers = iter(self._exchange(calls))
                self._ahead = {plan.run: [next(answers) for _ in plan.calls] for plan in plans}

    def begin(self, plan: Plan) -> None:
        self._answers, self._asked = self._ahead.pop(plan.run, ()), 0  # calls of the plan that the check has made
        self._plan = plan if self._answers else None

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        plan = self._plan
        if plan is None:
            return super().ask(message)
        if self._asked == len(plan.calls) or not carries(plan.calls[self._asked], {**message, "run": plan.run}):
            raise PlanDiverged
        self._asked += 1
        return self._open(self._answers[self._asked - 1], message["mode"])


def carries(frame: bytes, message: dict[str, Any]) -> bool:
    """Whether a frame carries this message, to the bit."""
    try:
        return frame == encode(message, to_wire, TO_WORKER)
    except WireError:  # it will be said when it is sent
        return False
