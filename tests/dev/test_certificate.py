"""The checks are certified: what `dgm dev check` finds, for every topic, without asking what each mistake is called and costs."""

from __future__ import annotations

import pytest

from grader import assignment as assignments
from grader.authoring import certificate
from grader.authoring.certify import certify
from grader.authoring.complete import lacking
from grader.checks import families
from grader.hidden import catalogue
from grader.practice.run import PUBLIC_SEED

LECTURES = assignments.lectures()
TOPICS = [(lecture, topic) for lecture in LECTURES for topic in assignments.load(lecture).topics]
UNNAMED = {"histogram.accepts", "imagegpt.gpu"}  # verdicts tell no mistake from another; none is re-computed on a device
GREEN_AT_HOME = {"lecture1": 5, "families": 5}  # at most so many mistakes pass every check that runs on a student's machine


@pytest.mark.parametrize(("lecture", "topic"), TOPICS)
def test_every_mistake_dies_by_its_check_and_every_variant_passes(lecture: str, topic: str) -> None:
    names = [exercise.name for exercise in assignments.load(lecture).of_topic(topic)]
    certificates = list(certify(lecture, PUBLIC_SEED, names, brief=True))
    assert [f"{one.exercise}: {fault}" for one in certificates for fault in one.faults] == []


@pytest.mark.parametrize("lecture", LECTURES)
def test_nothing_is_missing_and_nothing_is_left_over(lecture: str) -> None:
    assert lacking(lecture) == []


def test_public_callables_that_no_worker_has_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "IN_THE_WORKER", families.IN_THE_WORKER[1:])
    (fault,) = lacking("families", ["vae.elbo"])
    assert fault.startswith("grader.checks.families.shared.critics makes public callables")


@pytest.mark.parametrize("lecture", GREEN_AT_HOME)
def test_few_mistakes_are_green_at_home(lecture: str) -> None:
    of_exercise = catalogue.load(lecture).mistakes
    assert sum(bool(mistake.green_at_home) for of_one in of_exercise.values() for mistake in of_one) <= GREEN_AT_HOME[lecture]


@pytest.mark.parametrize("lecture", [name for name in LECTURES if certificate.path(name).exists()])
def test_the_committed_certificate_is_of_the_present_catalogue(lecture: str) -> None:
    assert certificate.outdated(lecture) == [], "run dgm dev update"
    rows = certificate.committed(lecture)
    told = [rows[exercise.name] for exercise in assignments.load(lecture).exercises if exercise.name not in UNNAMED]
    assert all(row[4] == row[5] for row in told)  # every variant is accepted
    assert sum(int(row[3]) for row in told) >= 0.9 * sum(int(row[2]) for row in told)  # nine of ten are named
