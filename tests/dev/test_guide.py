"""The author's guide, carried out from its own text in a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from grader.assignment import REPO_ROOT
from grader.authoring.new import REMINDER, pieces

EXERCISE = "divergences.entropy"
LECTURE, TOPIC, FUNCTION = "lecture1", *EXERCISE.split(".")
BLOCKS = dict(re.findall(r'```\w+ title="([^"]+)"\n(.*?)```', (REPO_ROOT / "docs" / "authoring.md").read_text("utf-8"), re.DOTALL))
MISTAKES = f"dgm_ref/{LECTURE}/{TOPIC}/mistakes_{FUNCTION}.py"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    for folder in ("assignments", "dgm_ref", "docs", "grader", "solutions"):
        shutil.copytree(REPO_ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__", ".dgm*"))
    return root


def dgm(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from grader.cli import app; app()", *arguments], cwd=root, capture_output=True, text=True,
        timeout=900, env={**os.environ, "PYTHONPATH": str(root), "COLUMNS": "300", "NO_COLOR": "1"}, check=False,
    )  # fmt: skip


def test_an_exercise_by_the_guide(copy: Path) -> None:
    made = dgm(copy, "dev", "new", EXERCISE)
    assert made.returncode == 0, made.stdout + made.stderr
    places = pieces(LECTURE, TOPIC, FUNCTION, copy)
    assert {str(path.relative_to(copy)) for path in places} == set(BLOCKS)

    begun = dgm(copy, "dev", "check", EXERCISE, "--jobs", "1")
    assert begun.returncode == 1
    for path in places:  # a reminder of each place is a fault
        assert str(path.relative_to(copy)) in begun.stdout, begun.stdout + begun.stderr

    for path, piece in places.items():
        written = piece.head + piece.body if piece.own else piece.body
        text = path.read_text("utf-8")
        assert text.count(written) == 1
        path.write_text(text.replace(written, BLOCKS[str(path.relative_to(copy))]), "utf-8")
        assert REMINDER not in path.read_text("utf-8")
    updated = dgm(copy, "dev", "update", EXERCISE)
    assert updated.returncode == 0, updated.stdout + updated.stderr
    checked = dgm(copy, "dev", "check", EXERCISE, "--jobs", "1")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "0 faults" in checked.stdout
    assert f"| {EXERCISE} | 4 | 4 | 4 | 2 | 2 |" in (copy / "docs" / f"certificate-{LECTURE}.md").read_text("utf-8")
    assert "entropy" in (copy / "assignments" / LECTURE / f"{TOPIC}.ipynb").read_text("utf-8")

    mistakes = copy / MISTAKES
    text = mistakes.read_text("utf-8")
    first = re.search(r"@mistake.*?(?=@)", text, re.DOTALL)
    assert first is not None
    mistakes.write_text(text.replace(first[0], ""), "utf-8")
    lacking = dgm(copy, "dev", "check", EXERCISE, "--jobs", "1")
    assert (lacking.returncode, f"{EXERCISE} has fewer than 4 registered mistakes" in lacking.stdout) == (1, True)


def test_an_assignment_by_the_guide(copy: Path) -> None:
    assert dgm(copy, "dev", "new-assignment", "lecture2").returncode == 0
    assert "which assignment?" in dgm(copy, "dev", "new", "energies.log_partition").stdout  # the topic is not there yet
    made = dgm(copy, "dev", "new", "energies.log_partition", "--assignment", "lecture2")
    assert made.returncode == 0, made.stdout + made.stderr
    for path in pieces("lecture2", "energies", "log_partition", copy):
        assert path.is_file()
    built = dgm(copy, "build")
    assert built.returncode == 0, built.stdout + built.stderr
    assert "log_partition" in (copy / "assignments" / "lecture2" / "energies.py").read_text("utf-8")
