"""Renderings read records and nothing else; what keeps records knows no rendering."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.assignment import REPO_ROOT

KNOWN = ("grader.record", "grader.errors", "grader.printable", "grader.spreadsheet", "grader.renderings")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ([f"{node.module}.{name.name}" for name in node.names] if node.module == "grader" else [node.module])
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


@pytest.mark.parametrize("path", sorted((REPO_ROOT / "grader/renderings").glob("*.py")), ids=lambda path: path.stem)
def test_a_rendering_reads_records(path: Path) -> None:
    assert [name for name in imported(path) if name.startswith("grader") and not name.startswith(KNOWN)] == []


def test_the_store_knows_no_rendering() -> None:
    assert not [name for name in imported(REPO_ROOT / "grader/grading/store.py") if "renderings" in name]
