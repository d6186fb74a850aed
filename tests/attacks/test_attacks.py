"""Every attack of the corpus sits the exam behind every layer that this machine has: it gains nothing, harms nobody."""

from __future__ import annotations

import shutil
import stat
import zipfile

import pytest

from grader.sandbox.layers.policy import begin_strongest
from grader.submission import find, read
from tests.attacks.arena import HONEST, SWITCHABLE, Arena, Attack
from tests.attacks.corpus import CORPUS
from tests.attacks.table import PAGE, written


@pytest.fixture(scope="module")
def arena():
    workers, _ = begin_strongest("default", [])()
    workers.close()
    layers = workers.isolation.layers
    arena = Arena(
        [layer for layer in layers if layer != "wall"], wall=shutil.which("bwrap") if "wall" in layers else None
    )
    yield arena
    arena.close()


def test_the_corpus_is_large_and_every_attack_has_a_name_and_something_that_stops_it():
    assert len(CORPUS) >= 80
    assert len({attack.name for attack in CORPUS}) == len(CORPUS)
    known = {*SWITCHABLE, "process", "wire", "comparison", "deadline"}
    assert all(attack.stopped_by and set(attack.stopped_by) <= known for attack in CORPUS)


def test_the_documented_table_is_that_of_the_corpus():
    assert PAGE.read_text() == written(), "python -m tests.attacks.table"


def test_an_honest_submission_earns_everything(arena):
    exercise, damage = arena.run(Attack("honest", "", HONEST, (), True, ("passed",)))
    assert {check.outcome for check in exercise.checks} == {"passed"}, exercise
    assert exercise.score == exercise.max_score == 1
    assert damage == []


@pytest.mark.parametrize("attack", CORPUS, ids=lambda attack: f"{attack.group}: {attack.name}")
def test_an_attack_gains_nothing_and_harms_nobody(arena, attack):
    exercise, damage = arena.run(attack)
    assert damage == []
    assert exercise.score == (exercise.max_score if attack.earns else 0), exercise
    outcomes = {
        check.outcome for check in exercise.checks if check.points or check.outcome != "passed"
    }  # a check of form earns nothing
    assert outcomes <= set(attack.outcomes), exercise
    assert any(attack.words in check.message for check in exercise.checks)


# Files that other graders import, collect, execute or obey.
PLANTED = ("conftest.py", "sitecustomize.py", "usercustomize.py", "torch.py", "numpy.py", "grader.py", "pytest.py", "json.py",
           "__init__.py", "setup.py", "evil.pth", "pytest.ini", "pyproject.toml", "Makefile", "grader/__init__.py",
           "dgm_ref/__init__.py", "__pycache__/histogram.cpython-311.pyc")  # fmt: skip


def test_files_beside_the_submission_run_nowhere(arena, tmp_path):
    folder = tmp_path / "submissions" / "mallory"
    evil = arena.constants() + "\nopen(f'{DROP}/planted', 'w').write('1')\nprint('GOT' + ' THROUGH')\n"
    for name in PLANTED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"import os; {evil!r}\n" if name.endswith(".pth") else evil)
    (folder / "histogram.py").write_text(HONEST)
    (folder / "link.py").symlink_to(arena.canary)
    (folder / "link").symlink_to(arena.folder)
    (handed_in,) = find(folder.parent, arena.assignment)
    exercise, damage = arena.grade(read(handed_in, arena.assignment))
    assert damage == []
    assert exercise.score == exercise.max_score


def test_an_archive_cannot_write_or_read_elsewhere(arena, tmp_path):
    path = tmp_path / "submissions" / "mallory.zip"
    path.parent.mkdir()
    drop = arena.folder / "drop"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("histogram.py", HONEST)
        archive.writestr("../" * 20 + str(drop).lstrip("/") + "/climbed.py", "x")
        archive.writestr(f"{drop}/absolute.py", "x")
        link = zipfile.ZipInfo("link.py")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, str(arena.canary))
        archive.writestr("bomb.py", bytes(200 << 20), zipfile.ZIP_DEFLATED)
    (handed_in,) = find(path.parent, arena.assignment)
    exercise, damage = arena.grade(read(handed_in, arena.assignment))
    assert damage == []
    assert exercise.score in (0, exercise.max_score)  # whether the rest of such an archive counts is not our affair
