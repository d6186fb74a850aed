"""The suite can fail: an attack gets through once the layers that stop it are off, and each of these layers alone stops it.

Needs an ordinary user, who has no more rights than a worker without its layers. As root only the last test is there, and
runs this file as such a user.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grader.assignment import REPO_ROOT
from grader.sandbox.layers import landlock
from grader.sandbox.layers.policy import REQUIRED_LAYERS
from tests.attacks.arena import SWITCHABLE, Arena
from tests.attacks.corpus import CORPUS

HERE = [] if os.geteuid() == 0 else CORPUS

DEEDS = [
    attack for attack in HERE if attack.earns and not attack.reckless and set(attack.stopped_by) <= set(SWITCHABLE)
]
WITHOUT = sorted(
    ((tuple(layer for layer in SWITCHABLE if layer not in deed.stopped_by), deed) for deed in DEEDS),
    key=lambda pair: pair[0],
)
ALONE = sorted((((layer,), deed) for deed in DEEDS for layer in deed.stopped_by), key=lambda pair: pair[0])
AT_LEAST = [attack for attack in HERE if attack.earns and attack.stopped_by != ("namespaces",) and "timeout" not in attack.outcomes]


def _name(value: object) -> str:
    return "+".join(value) if isinstance(value, tuple) else value.name  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def arena_with() -> Iterator[Callable[[tuple[str, ...]], Arena]]:
    """An arena whose workers have these layers; the tests come sorted by layers, so one at a time is kept."""
    kept: dict[tuple[str, ...], Arena] = {}

    def with_layers(layers: tuple[str, ...]) -> Arena:
        if layers not in kept:
            for old in list(kept):
                kept.pop(old).close()
            kept[layers] = Arena(layers)
        if set(kept[layers].workers.isolation.layers) != set(layers):
            pytest.skip("this machine has no user namespaces")
        return kept[layers]

    yield with_layers
    for arena in kept.values():
        arena.close()


@pytest.mark.parametrize(("layers", "deed"), WITHOUT, ids=_name)
def test_an_attack_gets_through_when_what_stops_it_is_off(arena_with, layers, deed):
    assert arena_with(layers).run(deed)[1] != []


@pytest.mark.parametrize(("layers", "deed"), ALONE, ids=_name)
def test_each_of_its_layers_alone_stops_an_attack(arena_with, layers, deed):
    if layers == ("landlock",) and landlock.abi() < deed.landlock_abi:
        pytest.skip("this kernel's Landlock is too old for that; other layers stop it")
    assert arena_with(layers).run(deed)[1] == []


@pytest.mark.parametrize("attack", AT_LEAST, ids=_name)
def test_the_least_that_is_graded_with_stops_what_all_layers_stop(arena_with, attack):
    exercise, damage = arena_with(REQUIRED_LAYERS).run(attack)
    assert damage == []
    assert exercise.score == exercise.max_score, exercise


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")
def test_as_root_the_same_as_an_ordinary_user():
    script, here = REPO_ROOT / "tests" / "as_ordinary_user.sh", Path(__file__).relative_to(REPO_ROOT)
    command = [str(script), sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(here)]
    run = subprocess.run(command, cwd=REPO_ROOT, capture_output=True, text=True, timeout=500)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]
    assert "passed" in run.stdout or "[100%]" in run.stdout
