"""One source of points: assignment.toml says what an exercise is worth, and its checks share that by their weights."""

from __future__ import annotations

import ast
import inspect
import random
import re
import textwrap
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from grader.assignment import AssignmentError, lectures, load
from grader.cli import app, student
from grader.exam import collect as collecting
from grader.exam.collect import Check, collect, with_points

DEMO_ROOT = Path(__file__).parent / "demo_root"
DEMO = load("demo", DEMO_ROOT)


def _worth(checks: list[Check], exercise: str) -> list[float]:
    return [check.points for check in checks if check.exercise == exercise]


def test_points_are_those_of_the_assignment_whatever_the_weights():
    assert _worth(list(collect("demo", DEMO_ROOT)), "sums.total") == [3, 1.5, 1.5]
    numbers = random.Random(0)
    for _ in range(200):
        checks = [replace(check, weight=numbers.uniform(0.01, 3)) for check in collect("demo", DEMO_ROOT)]
        points = _worth(list(with_points(checks, DEMO)), "sums.total")
        assert round(sum(points), 9) == 6
        assert all(abs(one * 100 - round(one * 100)) < 1e-9 for one in points)  # in hundredths


def test_a_third_of_a_point_is_shared_out_to_the_last_hundredth():
    assert collecting._parts(1, [1, 1, 1]) == [0.34, 0.33, 0.33]
    assert sum(collecting._parts(0.125, [1, 2])) == 0.125


FORM = {"assert_dtype", "assert_unchanged", "assert_form", "refuses"}


@pytest.mark.parametrize("assignment", lectures())
def test_at_least_97_points_are_for_values_laws_and_gradients(assignment):
    required = {exercise.name for exercise in load(assignment).required}
    form = sum(check.points for check in collect(assignment) if check.exercise in required and _asks_for_form_alone(check))
    assert 0 < form <= 3


def _asks_for_form_alone(check: Check) -> bool:
    tree = ast.parse(textwrap.dedent(inspect.getsource(check.body)))
    called = {getattr(node.func, "id", getattr(node.func, "attr", "")) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    asserts = {name for name in called if "assert_" in name or name == "refuses"}
    return bool(asserts - {"assert_form"}) and asserts <= FORM


def _demo(path: Path, text: str) -> Path:
    """A folder whose demonstration has this text for its assignment.toml."""
    folder = path / "assignments" / "demo"
    folder.mkdir(parents=True)
    (folder / "assignment.toml").write_text(text, "utf-8")
    return path


TOML = (DEMO_ROOT / "assignments/demo/assignment.toml").read_text("utf-8")


def test_one_number_changes_what_a_perfect_answer_gets(tmp_path):
    changed = collect("demo", _demo(tmp_path, TOML.replace("points = 6", "points = 2.5")))
    assert sum(_worth(list(changed), "sums.total")) == 2.5


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (TOML.replace("sums.total", "sums.totals"), r"test_sums.py, line \d+: .* check of 'sums.total', which is no exercise of demo"),
        (TOML + TOML[TOML.index("[[") :].replace("sums.", "other."), r"assignment.toml: exercise other.total has no checks"),
        (TOML.replace("points = 6", "point = 6"), r"assignment.toml, line 5: .*`point`"),
        (TOML + '[rubric]\n"sums.nothing.x" = 0.5\n', "rubric: 'sums.nothing.x' is not of the form"),
        (TOML + '[rubric]\n"sums.total.x" = 5\n', "rubric: sums.total.x is 5: a share"),
    ],
)
def test_what_does_not_fit_is_said_with_file_and_line(tmp_path, text, complaint):
    with pytest.raises(AssignmentError, match=complaint):
        collect("demo", _demo(tmp_path, text))


class _Item:
    """As much of a collected test as reading its marks takes."""

    name, path, location = "test_x", Path("/kit/test_sums.py"), ("test_sums.py", 6, "test_x")

    def __init__(self, *marks: tuple[str, Any]) -> None:
        self._marks = {name: SimpleNamespace(name=name, args=(value,)) for name, value in marks}

    def iter_markers(self):
        return iter(self._marks.values())

    def get_closest_marker(self, name):
        return self._marks.get(name)


@pytest.mark.parametrize(
    ("marks", "complaint"),
    [
        ([("exercise", "a.b")], "test_x has no mark `pytest.mark.weight(...)`"),
        ([("weight", 0)], "the weight of test_x is 0: a number above 0"),
        ([("wieght", 1)], "test_x has a mark `wieght`, which says nothing here"),
    ],
)
def test_marks_that_make_no_sense_are_said_with_file_and_line(marks, complaint, monkeypatch):
    monkeypatch.setattr(_Item, "obj", lambda student: None, raising=False)
    with pytest.raises(AssignmentError, match=re.escape(complaint)) as refusal:
        collecting.check_of(_Item(*marks))
    assert str(refusal.value).startswith("/kit/test_sums.py, line 7: ")


def test_every_command_ends_with_the_sentence(monkeypatch):
    def refuses(*args, **kwargs):
        raise AssignmentError("assignment.toml, line 5: something is misspelt")

    monkeypatch.setattr(student.assignments if hasattr(student, "assignments") else collecting.assignments, "load", refuses)
    result = CliRunner().invoke(app, ["list", "--assignment", "lecture1"])
    assert result.exit_code == 2
    assert result.output.strip() == "assignment.toml, line 5: something is misspelt"
