"""Solved notebooks run from top to bottom, and each says which pictures to show."""

import __future__

import json
import sys
import types

import pytest

from grader.assignment import REPO_ROOT, lectures, load
from grader.authoring import build
from grader.submission.cells import as_python
from grader.submission.read_notebook import parse_notebook

TOPICS = [(lecture, topic) for lecture in lectures() for topic in load(lecture).topics]


@pytest.mark.parametrize(("lecture", "topic"), TOPICS)
def test_a_solved_notebook_runs_and_shows(lecture, topic, monkeypatch):
    source = build.read(REPO_ROOT / "solutions" / lecture / f"{topic}.py")
    notebook = build.instructor_notebook(source, load(lecture))
    module = types.ModuleType(topic)
    monkeypatch.setitem(sys.modules, topic, module)  # dataclasses look their own module up
    cells = map(as_python, parse_notebook(topic, notebook.encode()).cells)  # without our own: check(...), show(...)
    for number, cell in enumerate(cells, 1):
        flags = __future__.annotations.compiler_flag  # a kernel keeps what the first cell imported from __future__
        exec(compile(cell.text, f"{topic}, cell {number}", "exec", flags), module.__dict__)
    pictures = [cell for cell in json.loads(notebook)["cells"] if "active-ipynb" in cell["metadata"].get("tags", [])]
    assert pictures
    assert all("".join(cell["source"]).startswith("show(") for cell in pictures)
