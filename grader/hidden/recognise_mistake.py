"""Names the mistake behind a failure: the registered mistake that gives the student's answers on the same input.

A name is given only when exactly one registered mistake matches. Where two agree on the input, further inputs of the
check are tried until they part; where they never do, the failure stays unnamed. So does a mere yes or no, which tells no
mistake from another that is not registered.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dgm_ref import catalogue as mistakes
from dgm_ref.catalogue import Mistake
from grader.checking.student import Call, Transport
from grader.exam.collect import Check
from grader.exam.examiner import Examiner, Failure
from grader.exam.inputs import Example
from grader.hidden import known_submissions as candidates

FURTHER_INPUTS = 12
AGREEMENT = 1e-3  # relative: the same mistake written another way, in float32


class NameFromCatalogue:
    """The namer of an instructor's exam."""

    def __init__(self, lecture: str) -> None:
        self.lecture = lecture
        mistakes.load(lecture)

    def __call__(
        self, examiner: Examiner, check: Check, failure: Failure, transport: Transport
    ) -> tuple[str, str] | None:
        registered = mistakes.MISTAKES.get(check.exercise, [])
        if failure.mistake is not None:
            return next(((m.name, m.says) for m in registered if m.name == failure.mistake), None)
        if all(isinstance(call.answer.get("value"), bool) for call in failure.calls):
            return None
        matching = [m for m in registered if self._same(examiner, check, failure.example, m, failure.calls)]
        for example in examiner.examples(check)[:FURTHER_INPUTS]:
            if len(matching) < 2:
                break
            again = examiner.run(check, example, transport)
            if again is not None:
                matching = [m for m in matching if self._same(examiner, check, example, m, again.calls)]
        return (matching[0].name, matching[0].says) if len(matching) == 1 else None

    def _same(
        self, examiner: Examiner, check: Check, example: Example, mistake: Mistake, calls: Sequence[Call]
    ) -> bool:
        """Whether the mistake fails on this input with the student's answers."""
        failure = examiner.run(check, example, self._transport(mistake))
        return failure is not None and len(failure.calls) == len(calls) and all(map(_agree, failure.calls, calls))

    @functools.cache  # noqa: B019  one namer lives as long as its exam
    def _transport(self, mistake: Mistake) -> Transport:
        return candidates.with_function(self.lecture, mistake.replaces, mistake.function)


def _agree(one: Call, other: Call) -> bool:
    return one.name == other.name and _same_answer(one.answer, other.answer)


def _same_answer(one: Any, other: Any) -> bool:
    """Equal up to rounding; two errors agree when their types do; what has no numbers agrees by its kind."""
    if isinstance(one, dict) and isinstance(other, dict):
        if "error" in one or "error" in other:
            return "error" in one and "error" in other and one["error"]["type"] == other["error"]["type"]
        return one.keys() == other.keys() and all(_same_answer(one[key], other[key]) for key in one)
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        if one.shape != other.shape or one.dtype != other.dtype:
            return False
        if not one.is_floating_point():
            return torch.equal(one, other)
        size = one.abs().nan_to_num(0.0, 0.0, 0.0).max().item() if one.numel() else 0.0
        return torch.allclose(one, other, rtol=AGREEMENT, atol=AGREEMENT * 1e-3 * size, equal_nan=True)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(_same_answer, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one == other or abs(one - other) <= AGREEMENT * abs(one) or (one != one and other != other)
    return type(one) is type(other) and (not isinstance(one, int | str | None) or one == other)
