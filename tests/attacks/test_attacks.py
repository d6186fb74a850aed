"""Every attack of the corpus against every layer that this machine has, and against too few of them."""

from __future__ import annotations

import pytest

from tests.attacks import escape, forge, serialise, starve, steal
from tests.attacks.arena import HONEST, Arena, Attack

from grader.sandbox.policy import MINIMUM, strongest

CORPUS = [*steal.ATTACKS, *forge.ATTACKS, *starve.ATTACKS, *escape.ATTACKS, *serialise.ATTACKS]


def test_the_corpus_is_large_and_names_are_unique():
    assert len(CORPUS) >= 80
    assert len({attack.name for attack in CORPUS}) == len(CORPUS)


@pytest.fixture(scope="module")
def arena():
    workers, _ = strongest("default", [])
    workers.close()
    arena = Arena(tuple(layer for layer in workers.isolation.layers if layer != "wall"))
    yield arena
    arena.close()


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
