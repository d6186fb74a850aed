"""What a course decides for itself, in one `course.toml`: points, exercises left out, rubric, dates, extensions, adjustments.

It is found where `$DGM_COURSE` says, else in the folder where one stands, else beside `assignments/`. A student's kit has
the part about points in `assignments/<assignment>/course.toml`.
"""

from __future__ import annotations

import contextlib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import msgspec

from grader.errors import AssignmentError

FILE = "course.toml"
VARIABLE = "DGM_COURSE"

_used: list[Path] = []  # folders named by a caller, the last one counts


class Late(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What lateness costs."""

    per_day: float = 0.0  # share of the score for each day begun
    at_most: float = 1.0  # share
    grace: float = 0.0  # minutes that do not count as late

    def __post_init__(self) -> None:
        for key, value, most in (("per_day", self.per_day, 1.0), ("at_most", self.at_most, 1.0), ("grace", self.grace, float("inf"))):
            if not 0 <= value <= most:
                raise ValueError(f"{key} is {value:g}: " + ("a share between 0 and 1" if most == 1 else "minutes, 0 or more"))


class Adjustment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Points that the staff gives or takes by hand."""

    submission: str  # or the student's name, id or e-mail address
    assignment: str
    points: float
    reason: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ValueError("reason is empty: whoever reads the grade wants to know")


class Course(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of course.toml. Exercises are called `<assignment>.<topic>.<function>`."""

    assignments: tuple[str, ...] = ()  # those that commands offer; all without
    seed_file: str = ""  # relative to the file
    points: dict[str, float] = {}
    disabled: tuple[str, ...] = ()
    rubric: dict[str, float] = {}  # "<exercise>.<mistake>": the share that the mistake leaves
    due: dict[str, datetime] = {}
    late: Late = Late()
    extensions: dict[str, dict[str, datetime]] = {}  # by assignment: a student's own due date
    submitted: dict[str, dict[str, datetime]] = {}  # by assignment: when a student handed in, where no platform tells
    adjustment: tuple[Adjustment, ...] = ()

    def of(self, assignment: str) -> Course:
        """What is given out with an assignment: its points, exercises left out, and rubric."""
        mine = f"{assignment}."
        return Course(
            points={key: value for key, value in self.points.items() if key.startswith(mine)},
            disabled=tuple(name for name in self.disabled if name.startswith(mine)),
            rubric={key: value for key, value in self.rubric.items() if key.startswith(mine)},
        )


def find(root: Path) -> Path | None:
    """The course.toml that counts. Raises: `AssignmentError` where `$DGM_COURSE` names no folder."""
    named = os.environ.get(VARIABLE)
    if named and not (os.path.isabs(named) and os.path.isdir(named)):
        raise AssignmentError(f"${VARIABLE} is {named!r}: name the folder of your course, from the root on, or unset it")
    first = _used[-1] if _used else Path(named or "")
    return next((folder.resolve() / FILE for folder in (first, root) if (folder / FILE).is_file()), None)


@contextlib.contextmanager
def used(folder: Path) -> Iterator[None]:
    """Take the course from a folder, wherever one stands."""
    _used.append(folder)
    try:
        yield
    finally:
        _used.pop()


def read(path: Path, known: tuple[str, ...]) -> Course:
    """The course in a file; `known`: the assignments that there are.

    Raises: `AssignmentError` that names the file and the key at fault.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise AssignmentError(f"{path}: not readable as TOML: {error}") from None
    for table in ("due", "extensions", "submitted"):
        _refuse_vague_times(content.get(table), table, path)
    try:
        course = msgspec.convert(content, Course)
    except msgspec.ValidationError as error:
        raise AssignmentError(f"{path}: {in_toml_words(error)}") from None
    for key, assignment in _named_assignments(course):
        if assignment not in known:
            raise AssignmentError(f"{path}: {key}: there is no assignment {assignment!r}; there are {', '.join(known) or 'none'}")
    return course


def in_toml_words(error: msgspec.ValidationError) -> str:
    """msgspec's ``$.exercise[3].points`` as a reader of the file would say it: ``exercise[3].points``."""
    return str(error).replace("`$.", "`").replace(" - at `$`", "")


def active(root: Path, known: tuple[str, ...]) -> tuple[Path, Course] | None:
    """The course that counts and where it stands."""
    path = find(root)
    return (path, read(path, known)) if path else None


def text_of(course: Course) -> str:
    """The part of a course that is given out, as TOML; nothing where there is none."""
    lines = [f"disabled = {json.dumps(list(course.disabled))}"] if course.disabled else []
    for name, table in (("points", course.points), ("rubric", course.rubric)):
        lines += [f"[{name}]", *(f"{json.dumps(key)} = {value!r}" for key, value in sorted(table.items()))] if table else []
    return "".join(f"{line}\n" for line in lines)


def _named_assignments(course: Course) -> Iterator[tuple[str, str]]:
    """Every key that speaks of an assignment, and which."""
    yield from (("assignments", name) for name in course.assignments)
    for table in ("points", "disabled", "rubric"):
        yield from ((f"{table}: {key!r}", key.partition(".")[0]) for key in getattr(course, table))
    for table in ("due", "extensions", "submitted"):
        yield from ((table, name) for name in getattr(course, table))
    yield from ((f"adjustment of {one.submission!r}", one.assignment) for one in course.adjustment)


def _refuse_vague_times(value: Any, key: str, path: Path) -> None:
    """A moment without its offset is another one in every time zone."""
    if isinstance(value, Mapping):
        for name, inside in value.items():
            _refuse_vague_times(inside, f"{key}.{name}", path)
    elif isinstance(value, date | time) and (not isinstance(value, datetime) or value.tzinfo is None):
        raise AssignmentError(f"{path}: {key} is {value}: say the moment with its offset, such as 2026-10-12T23:59:00+02:00")
