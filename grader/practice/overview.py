"""What a student has done and what comes next, for a terminal."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Sequence

from rich.console import Group
from rich.table import Column, Table
from rich.text import Text

from grader.assignment import REPO_ROOT, Assignment, Exercise
from grader.practice.progress import Progress
from grader.record import ExerciseRecord
from grader.renderings.terminal import SIGNS, STYLES
from grader.submission.syntax import found

BAR = 30  # characters of the progress bar
KEYS = Text("h hint · l list · q quit", "dim")


def exercise_list(assignment: Assignment, progress: Progress) -> Group:
    """Every exercise with its points and its state."""
    table = Table("", Column("exercise", overflow="fold"), "points", "slide", box=None, pad_edge=False)
    for exercise in assignment.exercises:
        state = progress.states.get(exercise.name, "missing")
        points = f"{exercise.points:g}{' bonus' if exercise.bonus else ''}"
        table.add_row(Text(SIGNS[state], STYLES[state]), exercise.name, points, str(exercise.slide))
    return Group(table, progress_line(assignment, progress))


def progress_line(assignment: Assignment, progress: Progress) -> Text:
    """How far the student is, as far as the public checks can tell."""
    states = Counter(progress.states.get(exercise.name) for exercise in assignment.required)
    passed, later, total = states["passed"], states["not_graded"], len(assignment.required)
    done = round(BAR * passed / total)
    current = progress.current(assignment)
    follows = f"next: {current.function}" if passed + later < total else "all done: dgm pack"
    if passed + later == total and current.bonus:
        follows += f"   bonus: {current.function}"
    waiting = f", {later} graded after submission" if later else ""
    return Text.assemble(("█" * done, "green"), ("░" * (BAR - done), "dim"), f" {passed}/{total}{waiting}   {follows}")


def points_line(records: Sequence[ExerciseRecord]) -> str:
    """What the exercises just checked are worth so far."""
    score, possible = sum(record.score for record in records), sum(record.max_score for record in records)
    later = sum(record.not_graded for record in records)
    done = sum(record.score == record.max_score > 0 for record in records)
    after = f"; {later:g} more are graded after submission" if later else ""
    share = f" ({score / possible:.0%})" if possible else ""
    return f"{done} of {len(records)} exercises, {score:g} of {possible:g} points{share}{after}"


def meaning(assignment: Assignment, exercise: Exercise) -> str:
    """The first sentence of the exercise's docstring: what was just got right."""
    stub = REPO_ROOT / "assignments" / assignment.name / f"{exercise.topic}.py"
    node = found(ast.parse(stub.read_text("utf-8")).body, exercise.function) if stub.exists() else None
    said = ast.get_docstring(node) if isinstance(node, ast.FunctionDef) else None
    return " ".join((said or "").split("\n\n")[0].split())
