"""One submission through the exam: every outcome, with the words a student reads."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from grader.assignment import load
from grader.exam.collect import collect
from grader.exam.examiner import Examiner
from grader.exam.inputs import draw_examples
from grader.exam.timeouts import Timeouts
from grader.exam.transport import LocalTransport, WorkerTransport
from grader.sandbox.inside.host import Host
from grader.sandbox.inside.loading import load_topic
from grader.sandbox.unlocked_fork import UnlockedFork

DEMO_ROOT = Path(__file__).parent / "demo_root"

RIGHT = """
    def total(x):
        if x.numel() == 0:
            raise ValueError("x is empty")
        return x.sum()

    def apply(f, x):
        return f(x)
"""


@pytest.fixture(scope="module")
def examiner():
    return Examiner(load("demo", DEMO_ROOT), collect("demo", DEMO_ROOT), seed="a seed for tests")


def outcomes(examiner, source, transport=None):
    if transport is None:
        host = Host()
        host.topics = {"sums": load_topic("sums", [textwrap.dedent(source)], seconds=5, definitions_only=False)}
        transport = LocalTransport(host)
    return {check.name: examiner.examine(check, transport) for check in examiner.checks}


def test_the_right_answer_gets_every_point_that_this_machine_can_grade(examiner):
    records = outcomes(examiner, RIGHT)
    assert {name: record.outcome for name, record in records.items()} == {
        "test_the_total_is_the_sum": "passed",
        "test_nothing_to_add_is_refused": "passed",
        "test_the_total_leaves_its_argument_alone": "passed",
        "test_apply_differentiates[2.0]": "passed",
        "test_apply_differentiates[-1.0]": "passed",
        "test_apply_on_a_gpu": "not_graded",
    }
    # of 13: weights 2, 1, 1 share the 6 points of one exercise, 3, 3, 1 the 7 of the other
    assert sum(record.points for record in records.values()) == 12


def test_a_wrong_value_is_shown_on_the_smallest_input(examiner):
    record = outcomes(examiner, RIGHT.replace("x.sum()", "x[:2].sum()"))["test_the_total_is_the_sum"]
    assert (record.outcome, record.rung, record.points) == ("failed", "value", 0)
    assert record.counterexample in (
        "total(torch.tensor([0., 0., 1.], dtype=torch.float64))",
        "total(torch.tensor([0., 0., -1.], dtype=torch.float64))",
    )
    assert record.sentence == "The total adds every entry once."


@pytest.mark.parametrize(
    ("source", "check", "outcome", "words"),
    [
        ("", "test_the_total_is_the_sum", "missing", "sums has no total"),
        (
            "def total(x): raise NotImplementedError('total')",
            "test_the_total_is_the_sum",
            "missing",
            "not implemented yet",
        ),
        (
            "def total(x): return 1 / 0",
            "test_the_total_is_the_sum",
            "error",
            "ZeroDivisionError: division by zero — in sums.py, line 1",
        ),
        ("def total(x, y): return x", "test_the_total_is_the_sum", "error", "TypeError"),
        ("def total(x): raise SystemExit(0)", "test_the_total_is_the_sum", "error", "SystemExit"),
        ("def total(x): return", "test_the_total_is_the_sum", "failed", "returned None"),
        ("def total(x): return x.sum()", "test_nothing_to_add_is_refused", "failed", "raise a ValueError"),
        ("def total(x): x *= 2; return x", "test_the_total_leaves_its_argument_alone", "failed", "changed what it was given: x"),
        (
            "def apply(f, x): return f(x).detach()",
            "test_apply_differentiates[2.0]",
            "failed",
            "carries no graph",
        ),
        ("def total(x: return", "test_the_total_is_the_sum", "missing", "SyntaxError"),
    ],
)
def test_every_way_to_be_wrong_is_an_outcome_with_a_sentence(examiner, source, check, outcome, words):
    record = outcomes(examiner, source)[check]
    assert record.outcome == outcome
    assert words in record.message


def test_the_same_seed_draws_the_same_inputs_and_another_seed_others():
    check = collect("demo", DEMO_ROOT)[0]
    first, again, other = (draw_examples(check, seed) for seed in ("one seed", "one seed", "another seed"))
    same = [x["x"].tolist() for x in first]
    assert same == [x["x"].tolist() for x in again]
    assert same != [x["x"].tolist() for x in other]
    assert same[0] == [1.0, 2.0]  # explicit examples come first
    assert len(same) > 20


def test_a_worker_that_hangs_or_dies_is_replaced_and_the_next_check_goes_on(examiner):
    source = textwrap.dedent("""
        import os

        while True:  # an exploration that never ends
            pass

        def total(x):
            if x.numel() == 0:
                os._exit(0)
            if x.dtype.itemsize == 4:
                while True:
                    pass
            return x.sum()
    """)
    workers = UnlockedFork([])
    transport = WorkerTransport(workers, "assignments.demo", {"sums": [source]}, Timeouts(call=1.5, statement=0.5))
    try:
        records = outcomes(examiner, "", transport)
    finally:
        transport.close()
        workers.close()
    assert records["test_the_total_is_the_sum"].outcome == "passed"
    assert records["test_nothing_to_add_is_refused"].outcome == "crashed"
    assert records["test_the_total_leaves_its_argument_alone"].outcome == "timeout"
    for name in ("test_nothing_to_add_is_refused", "test_the_total_leaves_its_argument_alone"):
        assert records[name].counterexample.startswith("total(torch.")  # the very call that never answered
    assert "still running" in transport.problems[0]
