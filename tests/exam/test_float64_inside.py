"""Who computes in float64 throughout is right: callables take any floating dtype, and what comes out is cast back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from grader.assignment import lectures, load
from grader.exam.collect import collect
from grader.exam.examiner import Examiner
from grader.hidden import known_submissions
from grader.hidden.answer_key import InstructorsKey
from grader.values import leaves, mapped

Function = Callable[..., Any]


@pytest.mark.parametrize("lecture", lectures())
def test_who_computes_in_float64_throughout_is_right(lecture: str) -> None:
    torch.set_num_threads(1)
    checks = [check for check in collect(lecture) if not check.training and not check.gpu]
    examiner = Examiner(load(lecture), checks, "a seed for float64", key=InstructorsKey(lecture, names=False), quick=True)
    for exercise in dict.fromkeys(check.exercise for check in checks):
        answer = known_submissions.with_changed(lecture, [exercise], _in_float64)
        for record in examiner.exercise(exercise, answer).checks:
            assert record.outcome in ("passed", "not_graded"), f"{record.check}: {record.message}"
    assert not examiner.faults


def _in_float64(right: Function) -> Function:
    @functools.wraps(right)
    def function(*args: Any, **kwargs: Any) -> Any:
        given = [leaf for leaf in leaves([args, kwargs]) if _has_fractions(leaf)]
        if not given or any(isinstance(arg, nn.Module) for arg in args):  # a model has the dtype that it has
            return right(*args, **kwargs)
        args, kwargs = mapped([args, kwargs], lambda leaf: leaf.double() if _has_fractions(leaf) else leaf)
        return mapped(right(*args, **kwargs), lambda leaf: leaf.to(given[0].dtype) if _has_fractions(leaf) else leaf)

    return function


def _has_fractions(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point()
