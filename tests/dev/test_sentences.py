"""What a machine finds in the sentences of checks; and with the expected values hidden, none is to be seen."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
import torch

from dgm_ref import catalogue
from grader.assignment import load
from grader.authoring.sentences import compares_with_own_value, said_badly
from grader.exam.collect import collect
from grader.exam.examiner import Examiner
from grader.hidden import known_submissions
from grader.hidden.answer_key import InstructorsKey
from grader.record import CheckRecord


def _said(message: str, rung: str = "value") -> str:
    record = CheckRecord(check="test_x", outcome="failed", points=0, max_points=1, message=message, rung=rung)
    return "; ".join(said_badly(record))


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ("you returned 0.26 at [2], expected 0.25 (nats)", ""),
        ("you returned 1 at [2], expected 2", ""),
        ("you returned a tensor of shape (3, 2), expected shape (2,)", ""),
        ("you returned 0.1296, expected 0.1296", "look alike"),
        ("you returned 0 where the mass is 0.25, expected 0.25", "has the expected 0.25"),
        ("30 % of the draws (expected are 10 %) are 2", "within its sentence"),
    ],
)
def test_sentences_are_read(message, complaint):
    assert complaint in _said(message)
    assert bool(_said(message)) == bool(complaint)


def _compares_with_the_truth(student, ref, x):
    drawn, shape = student.sample(x), x.shape
    assert_agrees(student.f(x), ref.f(drawn), like=x)  # noqa: F821
    assert_agrees(drawn, torch.zeros(shape))  # noqa: F821


def _compares_with_itself(student, x):
    first = student.f(x)
    half = first / 2
    assert_agrees(student.f(x / 2), half.double())  # noqa: F821


def test_a_students_own_value_is_not_called_right():
    said = [
        list(compares_with_own_value(SimpleNamespace(body=body, name=body.__name__, place="here")))
        for body in (_compares_with_the_truth, _compares_with_itself)
    ]
    assert said[0] == []
    assert len(said[1]) == 1
    assert "half.double()" in said[1][0]


def test_with_expected_values_hidden_none_is_to_be_seen():
    """Every registered mistake of one topic, as its student reads it."""
    torch.set_num_threads(1)
    checks = [check for check in collect("lecture1") if check.topic == "histogram" and not check.training]
    examiners = [
        Examiner(load("lecture1"), checks, "a seed for tests", key=InstructorsKey("lecture1", names=False), show_expected=shown)
        for shown in (True, False)
    ]
    seen = 0
    for exercise, mistakes in catalogue.load("lecture1").mistakes.items():
        for mistake in mistakes if exercise.startswith("histogram.") else ():
            (check,) = [check for check in checks if check.name.split("[")[0] == mistake.killed_by][:1]
            wrong = known_submissions.with_function("lecture1", mistake.replaces, mistake.function)
            shown, hidden = (examiner.examine(check, wrong) for examiner in examiners)
            said, _, right = shown.message.rpartition(", expected ")
            assert hidden.message == (said or shown.message), mistake.name
            assert hidden.expected == ""
            assert not set(re.findall(r"-?\d+\.\d+", right)) & set(re.findall(r"-?\d+\.\d+", hidden.message)), mistake.name
            seen += bool(right)
    assert seen > 20
