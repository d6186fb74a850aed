"""The record in a terminal of 80 columns, with or without colour."""

from __future__ import annotations

import functools
import io
from collections import Counter
from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from grader.assignment import Assignment, lectures, load
from grader.practice.progress import Progress
from grader.record import CheckRecord, ExerciseRecord, Record

SIGNS = {"passed": "✓", "failed": "✗", "error": "!", "timeout": "∞", "crashed": "☠", "missing": "○", "not_graded": "–"}
STYLES = {
    "passed": "green",
    "failed": "red",
    "error": "red",
    "timeout": "yellow",
    "crashed": "red",
    "missing": "dim",
    "not_graded": "dim",
}
BAR = 30  # characters of the progress bar


def class_table(records: Iterable[Record]) -> Table:
    """One line a submission: score, and how the checks came out. Of each record that comes only its line is kept."""
    lines: list[tuple[str, list[str], str, Text, str]] = []
    bonus = False
    for record in records:
        bonus = bonus or bool(record.bonus)
        outcomes: Counter[str] = Counter(check.outcome for exercise in record.exercises for check in exercise.checks)
        summary = Text(" ".join(f"{SIGNS[outcome]}{outcomes[outcome]}" for outcome in SIGNS if outcomes[outcome]))
        points = [f"{record.score:g}", f"{record.max_score:g}", f"{record.not_graded:g}"]
        lines.append((record.submission, points, f"{record.bonus_score:g}", summary, f"{record.seconds:.1f}"))
    numbers = ["score", "of", *(["bonus"] if bonus else []), "not graded"]
    columns = [Column(name, justify="right", max_width=6) for name in numbers]
    seconds = Column("s", justify="right", no_wrap=True)
    table = Table(Column("submission", overflow="fold"), *columns, "checks", seconds, box=SIMPLE_HEAD, pad_edge=False)
    for submission, (score, of, not_graded), beside, summary, took in sorted(lines, key=lambda line: line[0]):
        table.add_row(Text(submission), score, of, *([beside] if bonus else []), not_graded, summary, took)
    table.caption = "  ".join(f"{sign} {outcome.replace('_', ' ')}" for outcome, sign in SIGNS.items())
    return table


def print_practice(console: Console, exercises: Iterable[ExerciseRecord]) -> bool:
    """Each exercise as it is done; true when nothing failed."""
    good = True
    for exercise in exercises:
        console.print(exercise_view(exercise))
        fine = ("passed", "not_graded", *(["missing"] if exercise.bonus else []))
        good = good and all(check.outcome in fine for check in exercise.checks)
    return good


def as_text(exercises: Iterable[ExerciseRecord]) -> str:
    """The same without colour, for a plain display."""
    console = Console(width=80, color_system=None, force_terminal=False, force_jupyter=False, file=io.StringIO())
    print_practice(console, exercises)
    return console.file.getvalue().rstrip()  # type: ignore[attr-defined]


def exercise_view(exercise: ExerciseRecord) -> Group:
    """One exercise: a line when it is fine, the first failure in full when it is not."""
    topic, name = exercise.exercise.split(".")[0], _short(exercise.exercise)
    graded = [check for check in exercise.checks if check.outcome != "not_graded"]
    failures = [check for check in graded if check.outcome != "passed"]
    later = len(exercise.checks) - len(graded)
    bonus = ["bonus"] if exercise.bonus else []
    if not graded:
        return Group(_head(name, "not_graded", f"{later} checks, all graded after submission", *bonus))
    if not failures:
        more = f", {later} more graded after submission" if later else ""
        return Group(_head(name, "passed", f"{len(graded)} checks{more}", *bonus))
    first = failures[0]
    aside = [*bonus, *([f"slide {exercise.slide}"] if exercise.slide else [])]
    if first.outcome == "missing":
        return Group(_head(name, "missing", f"{first.message}, in {topic}.py", *aside))
    lines: list[RenderableType] = [_head(name, first.outcome, first.sentence or first.check, *aside), *_details(first)]
    if len(failures) > 1:
        lines.append(below(Text(f"and {len(failures) - 1} more of {len(graded)} checks fail", "dim")))
    again = _fit([f"again: dgm check {name}", f"hint: dgm hint {name}"])
    return Group(*lines, below(Text(again, "dim")))


@functools.cache
def _short(exercise: str) -> str:
    """The name of the function alone, where no other exercise has it too."""
    function = exercise.split(".", 1)[1]
    everywhere = [other.function for lecture in lectures() for other in load(lecture).exercises]
    return exercise if everywhere.count(function) > 1 else function


def _head(name: str, outcome: str, sentence: str, *aside: str) -> Table:
    """Name and sign, the property in words, the slide at the right edge."""
    head = Table.grid(
        Column(no_wrap=True),
        Column(ratio=1),
        Column(no_wrap=True, style="dim", justify="right"),
        expand=True,
        padding=(0, 2, 0, 0),
    )
    head.add_row(Text(f"{name}  {SIGNS[outcome]}", STYLES[outcome]), Text(sentence), ", ".join(aside))
    return head


def _details(check: CheckRecord) -> list[Padding]:
    lines = [below(Text(line)) for line in check.counterexample.splitlines()]
    lines.append(below(Text(check.message, "bold")))
    if check.mistake_says:
        lines.append(below(Text(check.mistake_says, "cyan")))
    return lines


def _fit(parts: list[str]) -> str:
    """In one line where that is no longer than a terminal is wide, else in as many as there are parts."""
    one = "      ".join(parts)
    return one if len(one) <= 78 else "\n".join(parts)


def below(line: Text) -> Padding:
    """A line under the head; what is too long goes on at the same depth."""
    return Padding(line, (0, 0, 0, 2), expand=False)


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


KEYS = Text("h hint · l list · q quit", "dim")
