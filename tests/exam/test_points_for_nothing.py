"""Answers that are right nowhere earn next to nothing, and one slip keeps at least half of its exercise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from grader.assignment import load
from grader.authoring.pins import HOLLOW, replaying
from grader.exam.collect import collect
from grader.exam.examiner import Examiner
from grader.exam.transport import LocalTransport
from grader.hidden import known_submissions
from grader.hidden.answer_key import InstructorsKey

ASSIGNMENT = load("lecture1")
TOPICS = ("histogram", "divergences")  # cheap ones
MOST = 2 / 98  # of the points


def _examiner(topic: str, seed: str) -> Examiner:
    checks = [check for check in collect("lecture1") if check.topic == topic and not check.gpu and not check.training]
    return Examiner(ASSIGNMENT, checks, seed, key=InstructorsKey("lecture1", names=False))


def _submissions(topic: str) -> Iterator[tuple[str, LocalTransport]]:
    functions = [exercise.name for exercise in ASSIGNMENT.of_topic(topic) if not exercise.of]
    for name, hollow in HOLLOW.items():
        yield name, known_submissions.with_changed("lecture1", functions, hollow)
    yield "replaying", replaying("lecture1", topic)


def _earned(examiner: Examiner, transport: LocalTransport, topic: str) -> tuple[float, float]:
    records = [examiner.exercise(exercise.name, transport) for exercise in ASSIGNMENT.of_topic(topic) if not exercise.bonus]
    return sum(record.score for record in records), sum(record.max_score for record in records)


SLIPS = {
    "histogram.sample_histogram": lambda right: lambda *args: right(*args).int(),
    "histogram.fit_histogram": lambda right: lambda x, num_bins: right(x, num_bins).double(),
    "divergences.fit_gaussian_forward_kl": lambda right: lambda x: tuple(part.double() for part in right(x)),
}


@pytest.mark.parametrize("exercise", SLIPS)
def test_one_local_slip_keeps_at_least_half(exercise):
    examiner = _examiner(exercise.split(".")[0], "a seed nobody knows")
    record = examiner.exercise(exercise, known_submissions.with_changed("lecture1", [exercise], SLIPS[exercise]))
    assert record.score >= record.max_score / 2


@pytest.mark.parametrize("topic", TOPICS)
def test_what_is_right_nowhere_earns_next_to_nothing(topic):
    torch.set_num_threads(1)
    examiner = _examiner(topic, "a seed nobody knows")
    earned = {name: _earned(examiner, transport, topic) for name, transport in _submissions(topic)}
    assert {name: score for name, (score, possible) in earned.items() if score > MOST * possible} == {}
