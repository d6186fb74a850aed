"""The three rules of the layout (docs/architecture.md), read off the syntax trees, and shown to fail on planted violations."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.assignment import REPO_ROOT

NEVER_SHIPPED = ("hidden", "grading", "nbgrader", "authoring")
COMMANDS = "cli"  # ships whole; registers the instructor's commands only where their packages are installed


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, at its top or in a function."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def strings(path: Path) -> Iterator[str]:
    """Every string in a file's code, docstrings apart."""
    tree = ast.parse(path.read_text("utf-8"))
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


def violations(root: Path) -> list[str]:
    """What breaks the rules below `root`, a folder that holds grader/, assignments/ and dgm_ref/."""
    grader = root / "grader"
    assignments = {path.parent.name for path in (root / "assignments").glob("*/assignment.toml")}
    found = []
    for path in sorted(grader.rglob("*.py")):
        where = path.relative_to(grader)
        part = where.parts[0]
        for name in imports(path):
            ships = part not in (*NEVER_SHIPPED, COMMANDS)
            if ships and any(name.startswith(f"grader.{hidden}") for hidden in NEVER_SHIPPED):
                found.append(f"(a) grader/{where} ships, and imports {name}, which does not")
            if part != "hidden" and name.startswith(("dgm_ref", "solutions")):
                found.append(f"(b) grader/{where} imports {name}")
        if part != "hidden":
            found += [f"(b) grader/{where} opens {text!r}" for text in strings(path) if text.split("/")[0] in ("dgm_ref", "solutions")]
        if not (part == "checks" and len(where.parts) > 2):
            found += [f"(c) grader/{where} names {text!r}" for text in strings(path) if text in assignments]
    for name in sorted(assignments):
        checks, reference = grader / "checks" / name, root / "dgm_ref" / name
        topics = {path.stem for path in (root / "assignments" / name).glob("*.py")} - {"__init__"}
        for side in (checks, reference):
            found += [
                f"(c) {path.relative_to(root)} is no topic of {name}"
                for path in sorted(side.iterdir())
                if (path.is_dir() or path.suffix == ".py") and path.name not in {*topics, "shared", "__init__.py", "__pycache__"}
            ]
        for topic in sorted(topics):
            ours = {path.stem.removeprefix("test_") for path in (checks / topic).glob("test_*.py")}
            theirs = {path.stem.removeprefix("mistakes_") for path in (reference / topic).glob("mistakes_*.py")}
            found += [f"(c) {name}/{topic}: test_{one}.py or mistakes_{one}.py has no counterpart" for one in sorted(ours ^ theirs)]
    return found


def test_the_layout_keeps_its_rules():
    assert violations(REPO_ROOT) == []


PLANTED = {
    "grader/exam/examiner.py": ("import grader.hidden.reference\n", "(a) grader/exam/examiner.py ships"),
    "grader/grading/pool.py": ("from dgm_ref import catalogue\n", "(b) grader/grading/pool.py imports"),
    "grader/practice/reset.py": ("path = root / 'solutions' / 'x.py'\n", "(b) grader/practice/reset.py opens"),
    "grader/cli/student.py": ("NAME = 'lecture9'\n", "(c) grader/cli/student.py names"),
    "grader/checks/lecture9/extra/test_x.py": ("", "(c) grader/checks/lecture9/extra is no topic"),
    "grader/checks/lecture9/topic/test_lonely.py": ("", "test_lonely.py or mistakes_lonely.py"),
}


@pytest.mark.parametrize("path", PLANTED)
def test_a_planted_violation_is_found(tmp_path, path):
    for folder in ("assignments/lecture9", "grader/checks/lecture9/topic", "dgm_ref/lecture9/topic"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("assignments/lecture9/assignment.toml", "assignments/lecture9/topic.py"):
        (tmp_path / file).touch()
    assert violations(tmp_path) == []
    text, words = PLANTED[path]
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(text, "utf-8")
    assert any(words in found for found in violations(tmp_path))
