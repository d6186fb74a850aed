"""Sends the calls of a check ahead, so that a worker need not wait for the grader between two answers.

While the kit's own solution rehearses, its calls are written down with the bytes that travel. Another submission is sent
those bytes in one go; a call of the check is answered from what comes back as long as it is the very call that was
foreseen. Where it is not, because it depends on an answer, the input starts again with one call at a time.

What a submission is sent depends on the plan and on its own answers, never on time or on other submissions.

A check is a function of its input and of the answers. Where every answer to a foreseen call is to the bit one with which
the check has passed before, in the rehearsal or for another submission, it has passed again and is not run.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor

from grader.exam.transport import Timeouts, WorkerTransport, checked
from grader.sandbox.wire.black_boxes import Boxes
from grader.sandbox.wire.families import tensors_in
from grader.sandbox.wire.frames import WireError, encode
from grader.sandbox.wire.objects import to_wire
from grader.sandbox.workers import TO_WORKER, Worker, WorkerGone, Workers

MAX_BATCH_BYTES = 1 << 16  # bytes: what a socket takes although nobody reads, or two full sockets would wait for each other
MAX_PATHS = 256  # ways to pass a check on one input; whoever finds more of them pays for the search alone
DRAIN_SECONDS = 1.0  # for all answers that nobody needs any more; then a new worker is cheaper

Result = TypeVar("Result")


@dataclass
class Answers:
    """The answers to the calls of a plan, known by a chain of digests: each stands for its answer and those before."""

    digests: list[bytes] = field(default_factory=list)

    def add(self, frame: bytes) -> bytes:
        """The digest of all answers up to this one."""
        before = self.digests[-1] if self.digests else b""
        self.digests.append(hashlib.blake2b(before + frame, digest_size=16).digest())
        return self.digests[-1]


@dataclass
class Plan:
    """The calls of a check on one input, up to the first that depends on an answer."""

    run: int  # the number by which a worker knows it; below zero, where no other run is
    calls: list[bytes] = field(default_factory=list)  # the frames that carry them
    complete: bool = True
    passed: set[bytes] = field(default_factory=set)  # digests of answers, and of their beginnings, that have passed

    def remember(self, answers: Answers) -> None:
        """Let whoever gives these answers pass."""
        if len(answers.digests) == len(self.calls) > 0 and self.complete:
            if len(self.passed) >= MAX_PATHS * len(self.calls):
                self.passed.clear()
            self.passed.update(answers.digests)


Plans = dict[str, list[Plan]]  # by the check, in the order of its inputs


def plan_for(check: str, number: int) -> Plan:
    """An empty plan, whose run differs from that of every other input, also where plans come from another process."""
    return Plan(-1 - int.from_bytes(hashlib.blake2b(f"{check} {number}".encode(), digest_size=6).digest(), "big"))


class Rehearsal(WorkerTransport):
    """The solutions' transport: what the checks ask them becomes the plans."""

    def __init__(
        self, workers: Workers, package: str, topics: dict[str, list[str]], patience: Timeouts, plans: Plans
    ) -> None:
        super().__init__(workers, package, topics, patience)
        self._plans, self._plan = plans, plan_for("", 0)
        self._answers = Answers()
        self._tensors: list[Tensor] = []  # of answers; kept, so that no other tensor gets their place in memory

    def on_input(self, check: str, number: int, run: Callable[[], Result | None]) -> Result | None:
        self._plan, self._answers, self._tensors = plan_for(check, number), Answers(), []
        self._plans.setdefault(check, []).insert(number, self._plan)
        failure = run()
        if failure is None:
            self._plan.remember(self._answers)
        return failure

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        answered = {tensor.untyped_storage().data_ptr() for tensor in self._tensors if tensor.numel()}
        if any(tensor.untyped_storage().data_ptr() in answered for tensor in tensors_in(message)) or Boxes(message):
            self._plan.complete = False  # what a black box is asked depends on its answers
        message = {**message, "run": self._plan.run}
        answer = self._foreseen(message) if self._plan.complete else super().ask(message)
        self._tensors += tensors_in(answer)
        return answer

    def _foreseen(self, message: dict[str, Any]) -> dict[str, Any]:
        call = encode(message, to_wire, TO_WORKER)
        self._plan.calls.append(call)

        def use(worker: Worker, seconds: float) -> dict[str, Any]:
            worker.send(call, seconds)
            frame = worker.answer(seconds)
            self._answers.add(frame)
            return checked(worker.open(frame), message["mode"])

        return self._reach(use)


class PlanDiverged(BaseException):
    """Calls were sent ahead in vain: the check makes another one, or the worker is gone and one of them ended it."""


class SendingAhead(WorkerTransport):
    """A submission's transport that has plans."""

    def __init__(
        self, workers: Workers, package: str, topics: dict[str, list[str]], patience: Timeouts, plans: Plans
    ) -> None:
        super().__init__(workers, package, topics, patience)
        self._plans = plans
        self._check, self._input, self._call = "", -1, 0  # the call that is foreseen next; no input: none is
        self._sent: deque[tuple[int, int]] = deque()  # calls of this check whose answers are still to come
        self._answers = Answers()  # to the foreseen calls on this input
        self._come: deque[bytes | WorkerGone] = deque()  # those that the check has not asked for yet
        self._beyond = False  # whether the check has made calls that were not foreseen

    def on_input(self, check: str, number: int, run: Callable[[], Result | None]) -> Result | None:
        if self._call_seconds < self._patience.call:  # something loops here: one call at a time shows which
            return run()
        if check != self._check or (self._sent and self._sent[0] != (number, 0)):
            self._drain()
        self._check, self._input, self._call = check, number, 0
        self._answers, self._come, self._beyond = Answers(), deque(), False
        plan = self._plan(number)
        try:
            if self._has_passed(plan):
                return None
            failure = run()
            if failure is None and not self._beyond:
                plan.remember(self._answers)
            return failure
        except PlanDiverged:
            self._drain()
            self._input = -1
            return run()
        finally:
            self._input = -1

    def inputs(self, check: str) -> int:
        return len(self._plans.get(check, []))

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        if self._input < 0:
            self._drain()
            return super().ask(message)
        plan = self._plan(self._input)
        if self._call:  # the worker knows this run by the number that the foreseen calls bore
            message = {**message, "run": plan.run}
        if self._call < len(plan.calls) and carries(plan.calls[self._call], {**message, "run": plan.run}):
            if not self._come:
                self._take()
            come = self._come.popleft()
            if isinstance(come, WorkerGone):
                raise PlanDiverged  # answers travel together: it may have been a later call
            self._call += 1
            return self._reach(lambda worker, seconds: checked(worker.open(come), message["mode"]))
        if self._sent:
            raise PlanDiverged
        self._beyond = True
        return super().ask(message)

    def _has_passed(self, plan: Plan) -> bool:
        """Whether the answers to all calls of a plan have passed before. No further answer is waited for once one has not."""
        for _ in plan.calls:
            self._take()
            if isinstance(self._come[-1], WorkerGone) or self._answers.digests[-1] not in plan.passed:
                return False
        return plan.complete and bool(plan.calls)

    def _take(self) -> None:
        """Receive the answer to the next foreseen call; whatever is wrong with it is said when the check asks for it."""
        try:
            if not self._sent:
                self._send(len(self._answers.digests))
            self._sent.popleft()
            frame = self._reach(lambda worker, seconds: worker.answer(seconds))
        except WorkerGone as gone:
            self._come.append(gone)
        else:
            self._answers.add(frame)
            self._come.append(frame)

    def close(self) -> None:
        self._sent.clear()
        super().close()

    def _plan(self, number: int) -> Plan:
        plans = self._plans.get(self._check, [])
        return plans[number] if number < len(plans) else plan_for(self._check, number)

    def _send(self, first: int) -> None:
        """Send as many calls, from the first one named on, as a socket takes, also those on the inputs that follow."""
        frames: list[bytes] = []
        places: list[tuple[int, int]] = []
        size = 0
        for number, call, foreseen in self._following(first):
            size += len(foreseen)
            if frames and size > MAX_BATCH_BYTES:
                break
            frames.append(foreseen)
            places.append((number, call))
        self._reach(lambda worker, seconds: worker.send(b"".join(frames), seconds))
        self._sent.extend(places)

    def _following(self, first: int) -> Iterator[tuple[int, int, bytes]]:
        plans = self._plans[self._check]
        for number in range(self._input, len(plans)):
            for call in range(first, len(plans[number].calls)):
                yield number, call, plans[number].calls[call]
            if not plans[number].complete:
                return
            first = 0

    def _drain(self) -> None:
        """Take what nobody needs any more off the line; a worker that is slow about it is replaced."""
        worker = self._worker
        ends = self.waited + DRAIN_SECONDS
        try:
            while self._sent and worker is not None:
                self._sent.popleft()
                worker.answer(min(ends - self.waited, self._left()))
        except WorkerGone:
            self.close()
        self._sent.clear()


def carries(frame: bytes, message: dict[str, Any]) -> bool:
    """Whether a frame carries this message, to the bit."""
    try:
        return frame == encode(message, to_wire, TO_WORKER)
    except WireError:  # it will be said when it is sent
        return False
