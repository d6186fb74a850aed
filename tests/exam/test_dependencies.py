"""An exercise that calls another, failed one says so, and is given no name of its own."""

from __future__ import annotations

from types import ModuleType

import pytest

from grader.assignment import load
from grader.exam.collect import collect
from grader.exam.dependencies import failed_dependencies, with_dependencies
from grader.exam.examiner import Examiner
from grader.hidden import known_submissions
from grader.hidden.answer_key import InstructorsKey
from grader.sandbox.inside.calls import calls_within

LOG_DET, LOG_PROB = "change_of_variables.log_abs_det_jacobian", "change_of_variables.log_prob_x"


@pytest.fixture(scope="module")
def examiner():
    return Examiner(load("lecture1"), collect("lecture1"), "a seed for tests", key=InstructorsKey("lecture1"))


def test_what_fails_with_its_callee_points_there(examiner):
    wrong = known_submissions.with_changed("lecture1", [LOG_DET], lambda right: lambda f, x: 0 * right(f, x))
    callee = examiner.exercise(LOG_DET, wrong)
    caller = examiner.exercise(LOG_PROB, wrong, [LOG_DET])
    assert callee.failed
    assert caller.failed
    assert (callee.depends_on_failed, caller.depends_on_failed) == ([], [LOG_DET])
    assert {check.mistake for check in caller.checks} == {None}
    alone = examiner.exercise(LOG_PROB, wrong)
    assert alone.depends_on_failed == []  # nobody has looked at the other one
    first, second = with_dependencies(examiner.assignment, [alone, callee], wrong)
    assert (first.depends_on_failed, second.depends_on_failed) == ([LOG_DET], [])


def test_who_does_not_call_it_does_not_depend_on_it(examiner):
    transport = known_submissions.solution("lecture1", "change_of_variables")
    transport.calls = {"change_of_variables": {}}
    assert failed_dependencies(examiner.assignment, LOG_PROB, transport, [LOG_DET]) == []


def test_a_module_that_is_called_is_known_from_the_assignment(examiner):
    transport = known_submissions.solution("lecture1", "imagegpt")
    attention, block = "imagegpt.causal_attention", "imagegpt.Block.forward"
    assert failed_dependencies(examiner.assignment, "imagegpt.sample", transport, [block, attention]) == [attention, block]


def test_a_method_of_something_else_is_not_the_function_of_its_name():
    module = ModuleType("mine")
    exec(
        "def log_prob(conditional, x): return conditional(x)\n"
        "def of_a_normal(x): return torch.distributions.Normal(0, 1).log_prob(x)\n"
        "def of_rows(conditional, x): return [log_prob(conditional, row) for row in x]\n",
        module.__dict__,
    )
    assert calls_within(module) == {"log_prob": [], "of_a_normal": [], "of_rows": ["log_prob"]}
