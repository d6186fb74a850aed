"""Whatever a submission returns, a check that the solutions pass is graded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from grader.assignment import load
from grader.exam.collect import collect
from grader.exam.examiner import Examiner
from grader.hidden import known_submissions
from grader.hidden.answer_key import InstructorsKey

DEMO_ROOT = Path(__file__).parent / "demo_root"

JUNK = [
    {"value": {"a": [1, (2, None)]}, "gradients": [], "parameter_gradients": {}},
    {"value": (), "gradients": [None, None, "x"], "parameter_gradients": {"w": 3}},
    {"value": "text", "changed": []},
]


class Liar:
    """A worker that gives the same answer to everything."""

    waited = 0.0
    calls = {}

    def __init__(self, answer):
        self.answer = answer

    def ask(self, message):
        return self.answer

    def has(self, topic):
        return True

    def output(self):
        return ""

    def begin_exercise(self):
        pass

    def begin_check(self, seconds):
        pass


@pytest.mark.parametrize("answer", JUNK, ids=["dict", "tuple", "text"])
def test_junk_never_takes_a_check_out_of_the_maximum(answer):
    examiner = Examiner(load("demo", DEMO_ROOT), collect("demo", DEMO_ROOT), seed="a seed for tests")
    for exercise in ("sums.total", "sums.apply"):
        for record in examiner.exercise(exercise, Liar(answer)).checks:
            assert (record.outcome == "not_graded") == ("gpu" in record.check), record.message
            assert record.points == 0


def test_refusing_everything_earns_nothing():
    examiner = Examiner(load("demo", DEMO_ROOT), collect("demo", DEMO_ROOT), seed="a seed for tests")
    refusal = {"error": {"type": "ValueError", "bases": ["ValueError"], "message": "x", "where": "", "unimplemented": False}}
    records = {record.check: record for record in examiner.exercise("sums.total", Liar(refusal)).checks}
    assert records["test_nothing_to_add_is_refused"].points == 0
    assert "counts only once" in records["test_nothing_to_add_is_refused"].message


class Forger:
    """The solution of a topic, with gradients that autograd never gives."""

    def __init__(self, topic, gradient):
        self.solution, self.gradient = known_submissions.solution("lecture1", topic), gradient

    def __getattr__(self, name):
        return getattr(self.solution, name)

    def ask(self, message):
        answer = self.solution.ask(message)
        if answer.get("gradients"):
            answer["gradients"] = [self.gradient] * len(answer["gradients"])
            answer["parameter_gradients"] = dict.fromkeys(answer["parameter_gradients"], self.gradient)
        return answer


@pytest.mark.parametrize("gradient", ["x", None, True, {"a": 1}, torch.empty(0), torch.ones(2, dtype=torch.float16), [torch.ones(2)]])
@pytest.mark.parametrize("exercise", ["course_tricks.monte_carlo_standard_error", "imagegpt.causal_attention"])
def test_forged_gradients_never_take_a_check_out_of_the_maximum(exercise, gradient):
    checks = [check for check in collect("lecture1") if check.exercise == exercise and "gradient" in check.name]
    examiner = Examiner(load("lecture1"), checks, "a seed for tests", key=InstructorsKey("lecture1", names=False))
    records = [examiner.examine(check, Forger(exercise.split(".")[0], gradient)) for check in checks]
    assert "failed" in {record.outcome for record in records} <= {"failed", "passed"}, examiner.faults


@pytest.mark.parametrize("function", ["histogram.sample_histogram", "autoregressive.sample", "autoregressive.gaussian_sample"])
@pytest.mark.parametrize("few", [torch.empty(0), torch.zeros(0, 1), torch.zeros(1, dtype=torch.int64)], ids=["0", "0x1", "1"])
def test_fewer_draws_than_were_asked_for_earn_nothing(function, few):
    examiner = Examiner(load("lecture1"), collect("lecture1"), "a seed for tests", key=InstructorsKey("lecture1", names=False))
    student = known_submissions.with_changed("lecture1", (function,), lambda right: lambda *args, **kwargs: few)
    assert examiner.share(function, student) == 0
