"""Every attack of the corpus sits the exam behind every layer that this machine has: it gains nothing, harms nobody."""

from __future__ import annotations

import shutil

import pytest

from grader.sandbox.policy import strongest
from tests.attacks.arena import HONEST, SWITCHABLE, Arena, Attack
from tests.attacks.corpus import CORPUS


@pytest.fixture(scope="module")
def arena():
    workers, _ = strongest("default", [])
    workers.close()
    layers = workers.isolation.layers
    arena = Arena([layer for layer in layers if layer != "wall"], wall=shutil.which("bwrap") if "wall" in layers else None)
    yield arena
    arena.close()


def test_the_corpus_is_large_and_every_attack_has_a_name_and_something_that_stops_it():
    assert len(CORPUS) >= 80
    assert len({attack.name for attack in CORPUS}) == len(CORPUS)
    known = {*SWITCHABLE, "process", "wire", "comparison", "deadline"}
    assert all(attack.stopped_by and set(attack.stopped_by) <= known for attack in CORPUS)


def test_an_honest_submission_earns_everything(arena):
    exercise, damage = arena.run(Attack("honest", "", HONEST, (), True, ("passed",)))
    assert [check.outcome for check in exercise.checks] == ["passed"] * 4, exercise
    assert exercise.score == exercise.max_score == 1
    assert damage == []


@pytest.mark.parametrize("attack", CORPUS, ids=lambda attack: f"{attack.group}: {attack.name}")
def test_an_attack_gains_nothing_and_harms_nobody(arena, attack):
    exercise, damage = arena.run(attack)
    assert damage == []
    assert exercise.score == (exercise.max_score if attack.earns else 0), exercise
    assert {check.outcome for check in exercise.checks} <= set(attack.outcomes), exercise
    assert attack.words in exercise.checks[0].message
