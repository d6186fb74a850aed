"""Where the grader itself breaks, the check is not graded, we apologise, and only a log has the traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from grader.assignment import load
from grader.checking.student import Call
from grader.exam import counterexample, examiner
from grader.exam.collect import collect, collected
from grader.exam.examiner import APOLOGY, Examiner
from grader.exam.plain_torch import Script
from grader.exam.transport import LocalTransport
from grader.sandbox.inside.host import Host
from grader.sandbox.inside.loading import load_topic

DEMO_ROOT = Path(__file__).parent / "demo_root"
CHECK = "test_the_total_is_the_sum"
RIGHT = "def total(x):\n    return x.sum()\n"
WRONG = "def total(x):\n    return x.sum() + 1\n"


class Key:
    """An answer key with the right `total`, and somebody who names every mistake."""

    def reference(self, topic):
        return None

    def solution(self, topic):
        return _submission(RIGHT)

    def recognise(self, examiner, check, failure, transport):
        return "one_too_many", "You add one."


def _submission(source: str) -> LocalTransport:
    host = Host()
    host.topics = {"sums": load_topic("sums", [source], seconds=5, definitions_only=False)}
    return LocalTransport(host)


@pytest.fixture
def exam():
    return Examiner(load("demo", DEMO_ROOT), collect("demo", DEMO_ROOT), "a seed for tests", key=Key())


def _breaks(*args, **kwargs):
    raise RuntimeError("secret detail of ours")


@pytest.mark.parametrize("part", ["recognise", "of_calls", "short", "shrink"])
def test_whatever_breaks_of_ours_the_check_is_not_graded(exam, monkeypatch, part):
    place = {"recognise": Key, "of_calls": counterexample, "short": counterexample, "shrink": examiner}[part]
    monkeypatch.setattr(place, part, _breaks)
    record = exam.exercise("sums.total", _submission(WRONG)).checks[0]
    assert (record.check, record.outcome, record.message) == (CHECK, "not_graded", APOLOGY)
    fault = exam.faults[0]
    assert fault.check == f"sums.total::{CHECK}"
    assert "secret detail of ours" in fault.traceback


def test_a_check_that_breaks_on_an_answer_of_the_right_form_is_at_fault_itself(exam, monkeypatch):
    check = next(check for check in exam.checks if check.name == CHECK)

    def body(student, x):
        if student.total(x).item() == x.sum().item() + 1:
            raise RuntimeError("stumbles over one too many")

    monkeypatch.setattr(check.function.hypothesis, "inner_test", body)
    object.__setattr__(check, "body", body)
    try:
        assert exam.examine(check, _submission(RIGHT)).outcome == "passed"
        assert exam.examine(check, _submission(WRONG)).message == APOLOGY
        assert "stumbles" in exam.faults[0].traceback
        other_form = exam.examine(check, _submission("def total(x):\n    return (x, x)\n"))
        assert (other_form.outcome, other_form.rung) == ("failed", "type")
        assert other_form.message.startswith("this check cannot compare what your code returned: a tuple of 2")
        assert "AttributeError" not in other_form.message
    finally:
        collected.cache_clear()


def test_whatever_a_check_has_passed_can_be_written_out():
    odd = [
        torch.ones(2, requires_grad=True),
        torch.ones(30, requires_grad=True),
        torch.ones(30, dtype=torch.uint16),
        torch.ones(30, dtype=torch.complex64),
        torch.ones(30, dtype=torch.bool),
        torch.ones(2, dtype=torch.complex64).conj(),
        torch.full((30,), float("nan")),
        {"a": (1, [float("inf")])},
    ]
    for value in odd:
        assert counterexample.short(value)
        assert Script(whole=True).expression(value)
        assert counterexample.form(value)


def _call(x, value) -> Call:
    return Call("f", {"target": ["sums", "f"], "args": [x], "kwargs": {}, "mode": "plain"}, value)


def test_of_several_calls_the_one_that_failed_is_marked_with_what_came_back():
    first, second = torch.tensor(0.5), torch.tensor(0.25)
    calls = [_call(1, {"value": first}), _call(2, {"value": second})]
    assert counterexample.of_calls(calls, first) == "f(1)   # <- this call gave torch.tensor(0.5)\nf(2)"
    assert counterexample.of_calls(calls, torch.tensor(7.0)) == "f(1)\nf(2)"
    assert counterexample.of_calls(calls[:1], first) == "f(1)"
    calls.append(_call(3, {"error": {}}))
    assert counterexample.of_calls(calls).endswith("f(3)   # <- this call failed")
