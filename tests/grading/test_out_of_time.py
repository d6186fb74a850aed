"""A submission that has used up its time: what is left counts as wrong, and what nobody is graded on here still does not."""

from __future__ import annotations

import contextlib

from grader.assignment import load
from grader.exam.collect import collect
from grader.exam.examiner import Examiner
from grader.exam.timeouts import Timeouts
from grader.grading.examination import examine
from grader.hidden.answer_key import InstructorsKey
from grader.record import KitRecord
from grader.sandbox.unlocked_fork import UnlockedFork
from grader.submission import Submission

KIT = KitRecord(version="", torch="", hypothesis="", seed="")


def test_a_check_that_is_left_out_does_not_run_out_of_time() -> None:
    lecture, checks = load("lecture1"), collect("lecture1", topics=frozenset(["imagegpt"]))
    examiner = Examiner(lecture, checks, "a seed", key=InstructorsKey("lecture1", names=False), quick=True)
    with contextlib.closing(UnlockedFork([])) as workers:
        record = examine(Submission("s", {"imagegpt": [""]}, ()), lecture, examiner, workers, KIT, Timeouts(submission=0))
    left_out = {check.name for check in checks if check.training or check.gpu}
    assert {check.training for check in checks} == {check.gpu for check in checks} == {True, False}
    outcomes = {check.check: check.outcome for exercise in record.exercises for check in exercise.checks}
    assert {name for name, outcome in outcomes.items() if outcome == "not_graded"} == left_out
    assert {outcome for name, outcome in outcomes.items() if name not in left_out} == {"timeout"}
