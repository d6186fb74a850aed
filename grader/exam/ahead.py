"""Sends the calls of a check ahead, so that a worker need not wait for the grader between two answers.

While the kit's own solution rehearses, its calls are written down with the bytes that travel. Another submission is sent
those bytes in one go; a call of the check is answered from what comes back as long as it is the very call that was
foreseen. Where it is not, because it depends on an answer, the input starts again with one call at a time.

What a submission is sent depends on the plan and on its own answers, never on time or on other submissions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor

from grader.exam.transport import LocalTransport, Patience, WorkerTransport
from grader.sandbox.families import Family, tensors_in
from grader.sandbox.objects import special
from grader.sandbox.wire import encode, raw
from grader.sandbox.workers import TO_WORKER, WorkerGone, Workers

TOGETHER = 1 << 16  # bytes: what a socket takes although nobody reads, or two full sockets would wait for each other
DRAIN_SECONDS = 1.0  # for answers that nobody needs any more; then a new worker is cheaper

Result = TypeVar("Result")


@dataclass(frozen=True)
class Foreseen:
    """One call, and the frame that carries it."""

    message: dict[str, Any]
    frame: bytes


@dataclass
class Plan:
    """The calls of a check on one input, up to the first that depends on an answer."""

    calls: list[Foreseen] = field(default_factory=list)
    complete: bool = True


Plans = dict[str, list[Plan]]  # by the check, in the order of its inputs


class Rehearsal(LocalTransport):
    """The solution's transport: what the checks ask it becomes the plans."""

    def __init__(self, inner: LocalTransport, plans: Plans) -> None:
        super().__init__(inner.host)
        self._plans, self._plan = plans, Plan()
        self._answers: list[Tensor] = []  # kept, so that no other tensor gets their place in memory

    def on_input(self, check: str, number: int, run: Callable[[], Result]) -> Result:
        self._plan, self._answers = Plan(), []
        self._plans.setdefault(check, []).insert(number, self._plan)
        return run()

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        answered = {tensor.untyped_storage().data_ptr() for tensor in self._answers if tensor.numel()}
        if any(tensor.untyped_storage().data_ptr() in answered for tensor in tensors_in(message)):
            self._plan.complete = False
        if self._plan.complete:
            self._plan.calls.append(Foreseen(message, encode(message, special, TO_WORKER)))
        answer = super().ask(message)
        self._answers += tensors_in(answer)
        return answer


class _Unforeseen(BaseException):
    """The check makes another call than the solution's answers had led it to; calls that it will not make are on their way."""


class SendingAhead(WorkerTransport):
    """A submission's transport that has plans."""

    def __init__(
        self, workers: Workers, package: str, topics: dict[str, list[str]], patience: Patience, plans: Plans
    ) -> None:
        super().__init__(workers, package, topics, patience)
        self._plans = plans
        self._check, self._input, self._call = "", -1, 0  # the call that is foreseen next; no input: none is
        self._sent: deque[tuple[int, int]] = deque()  # calls of this check whose answers are still to come

    def on_input(self, check: str, number: int, run: Callable[[], Result]) -> Result:
        if check != self._check or (self._sent and self._sent[0] != (number, 0)):
            self._drain()
        self._check, self._input, self._call = check, number, 0
        try:
            return run()
        except _Unforeseen:
            self._drain()
            self._input = -1
            return run()
        finally:
            self._input = -1

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        if self._input < 0:
            self._drain()
            return super().ask(message)
        calls = self._foreseen(self._input)
        if self._call < len(calls) and same(calls[self._call].message, message):
            if not self._sent:
                self._send()
            self._sent.popleft()
            self._call += 1
            return self._answer(lambda worker, seconds: worker.answer(seconds), message["mode"])
        if self._sent:
            raise _Unforeseen
        if self._call:  # the worker knows this run by the number that the foreseen calls bore
            message = {**message, "run": calls[0].message["run"]}
        return super().ask(message)

    def close(self) -> None:
        self._sent.clear()
        super().close()

    def _foreseen(self, number: int) -> list[Foreseen]:
        plans = self._plans.get(self._check, [])
        return plans[number].calls if number < len(plans) else []

    def _send(self) -> None:
        """Send as many calls, from the next one on, as a socket takes, also those on the inputs that follow."""
        frames: list[bytes] = []
        places: list[tuple[int, int]] = []
        size = 0
        for number, call, foreseen in self._following():
            size += len(foreseen.frame)
            if frames and size > TOGETHER:
                break
            frames.append(foreseen.frame)
            places.append((number, call))
        self._reach(lambda worker, seconds: worker.send(b"".join(frames), seconds))
        self._sent.extend(places)

    def _following(self) -> Iterator[tuple[int, int, Foreseen]]:
        plans = self._plans[self._check]
        first = self._call
        for number in range(self._input, len(plans)):
            for call in range(first, len(plans[number].calls)):
                yield number, call, plans[number].calls[call]
            if not plans[number].complete:
                return
            first = 0

    def _drain(self) -> None:
        """Take what nobody needs any more off the line; a worker that is slow about it is replaced."""
        try:
            while self._sent and self._worker is not None:
                self._sent.popleft()
                self._worker.answer(DRAIN_SECONDS)
        except WorkerGone:
            self.close()
        self._sent.clear()


def same(one: Any, other: Any) -> bool:
    """Whether two calls are the same to the bit, the number of the run apart."""
    return all(key == "run" or (key in other and _same(one[key], other[key])) for key in one) and len(one) == len(other)


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and raw(one) == raw(other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, Family):
        return one.name == other.name and _same(one.parameters, other.parameters)
    return (
        repr(one) == repr(other) if isinstance(one, float) else bool(one == other)
    )  # a nan is itself, -0.0 is not 0.0
