"""Whatever a submission returns, a check that the solutions pass is graded."""

from __future__ import annotations

import pytest

from grader.exam.collect import collect
from grader.exam.examiner import Examiner

JUNK = [
    {"value": {"a": [1, (2, None)]}, "gradients": [], "parameter_gradients": {}},
    {"value": (), "gradients": [None, None, "x"], "parameter_gradients": {"w": 3}},
    {
        "value": "text",
        "changed": [],
        "random_state_moved": False,
        "autograd_mode_moved": False,
        "printed": "",
        "carries_graph": False,
    },
]


class Liar:
    """A worker that gives the same answer to everything."""

    waited = 0.0

    def __init__(self, answer):
        self.answer = answer

    def ask(self, message):
        return self.answer

    def on_input(self, check, number, run):
        return run()

    def begin_exercise(self):
        pass

    def begin_check(self, seconds):
        pass


@pytest.mark.parametrize("answer", JUNK, ids=["dict", "tuple", "text"])
def test_junk_never_takes_a_check_out_of_the_maximum(answer):
    examiner = Examiner("demo", collect("demo"), seed="a seed for tests", reference=False)
    for exercise in ("sums.total", "sums.apply"):
        for record in examiner.exercise(exercise, Liar(answer)):
            assert record.outcome == ("not_graded" if "gpu" in record.check else "failed"), record.message


def test_refusing_everything_earns_nothing():
    examiner = Examiner("demo", collect("demo"), seed="a seed for tests", reference=False)
    refusal = {
        "error": {"type": "ValueError", "bases": ["ValueError"], "message": "x", "where": "", "unimplemented": False}
    }
    records = {record.check: record for record in examiner.exercise("sums.total", Liar(refusal))}
    assert records["test_nothing_to_add_is_refused"].points == 0
    assert "counts only once" in records["test_nothing_to_add_is_refused"].message
