"""The checks are certified: what `dgm dev check` finds, for every topic."""

from __future__ import annotations

import pytest

from dgm_ref import catalogue
from grader import assignment as assignments
from grader.authoring.certificate import path
from grader.authoring.certify import catalogue_faults, certify

LECTURE = "lecture1"
ASSIGNMENT = assignments.load(LECTURE)
UNNAMED = {"histogram.accepts", "imagegpt.gpu"}  # verdicts tell no mistake from another; none is re-computed on a device


@pytest.mark.parametrize("topic", ASSIGNMENT.topics)
def test_every_mistake_dies_by_its_check_and_every_variant_passes(topic):
    certificates = list(
        certify(LECTURE, "a seed for tests", [exercise.name for exercise in ASSIGNMENT.of_topic(topic)])
    )
    assert [f"{one.exercise}: {fault}" for one in certificates for fault in one.faults] == []
    told = [one for one in certificates if one.exercise not in UNNAMED]
    assert sum(one.named for one in told) >= 0.9 * sum(one.mistakes for one in told)


def test_nothing_is_missing_from_the_catalogue_and_nothing_is_left_over():
    assert catalogue_faults(LECTURE) == []
    assert ASSIGNMENT.points == 100


def test_the_committed_certificate_is_of_the_present_catalogue():
    registered_there = catalogue.load(LECTURE)
    rows = [line.strip("| ").split(" | ") for line in path(LECTURE).read_text("utf-8").splitlines() if line.startswith("| ")]
    counts = {name: tuple(map(int, numbers[:5])) for name, *numbers in rows if "." in name}
    assert list(counts) == [exercise.name for exercise in ASSIGNMENT.exercises]
    for name, (registered, killed, named, variants, accepted) in counts.items():
        shown_elsewhere = len(registered_there.mistakes.get(name, [])) - registered  # by a GPU, or by training
        assert shown_elsewhere == 0 or name in ("imagegpt.gpu", "imagegpt.train_step"), name
        assert named <= killed == registered, name
        assert accepted == variants == len(registered_there.variants.get(name, [])), name
