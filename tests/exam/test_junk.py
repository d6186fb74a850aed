"""Whatever a submission returns, a check that the solutions pass is graded."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.assignment import load
from grader.exam.collect import collect
from grader.exam.examiner import Examiner

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
