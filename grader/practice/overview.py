"""What a student has done and what comes next, for a terminal."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from grader.assignment import Assignment
from grader.practice.progress import Progress
from grader.renderings.terminal import SIGNS, STYLES

BAR = 30  # characters of the progress bar
KEYS = Text("h hint · l list · q quit", "dim")


def exercise_list(assignment: Assignment, progress: Progress) -> Group:
    """Every exercise with its points and its state."""
    table = Table("", "exercise", "points", "slide", box=None, pad_edge=False)
    for exercise in assignment.exercises:
        state = progress.states.get(exercise.name, "missing")
        points = f"{exercise.points:g}{' bonus' if exercise.bonus else ''}"
        table.add_row(Text(SIGNS[state], STYLES[state]), exercise.name, points, str(exercise.slide))
    return Group(table, progress_line(assignment, progress))


def progress_line(assignment: Assignment, progress: Progress) -> Text:
    """How far the student is, as far as the public checks can tell."""
    passed, total = progress.passed(assignment), len(assignment.required)
    done = round(BAR * passed / total)
    current = progress.current(assignment)
    follows = f"next: {current.function}" if passed < total else "all done: dgm pack"
    if passed == total and current.bonus:
        follows += f"   bonus: {current.function}"
    return Text.assemble(("█" * done, "green"), ("░" * (BAR - done), "dim"), f" {passed}/{total}   {follows}")
