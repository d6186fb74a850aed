"""What a lecture's assignment consists of: exercises in order, with points, slides and hints."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from grader import course as courses
from grader.errors import AssignmentError

__all__ = ["ENGINE", "REPO_ROOT", "Assignment", "AssignmentError", "Exercise", "lectures", "load", "offered"]

ENGINE = Path(__file__).resolve().parent
_named = Path(os.environ.get(courses.VARIABLE) or ENGINE.parent)
# Holds assignments/ and, at an instructor's, solutions/, dgm_ref/ and grader/checks/: the folder above the engine, or the
# course's own where that is named in the environment. Never where one stands: a student may have put something there.
REPO_ROOT = _named.resolve() if _named.is_absolute() and (_named / "assignments").is_dir() else ENGINE.parent


class Exercise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One function (or method) that a student writes, or one more look at several of them."""

    name: str
    points: float
    slide: int | str
    hints: tuple[str, ...]
    bonus: bool = False  # points beside those that one can lose
    enabled: bool = True  # false takes the exercise out of everything
    of: tuple[str, ...] = ()  # names of the exercises that this one examines again
    calls: tuple[str, ...] = ()  # names of the exercises that this one calls without naming them: a module that is called

    def __post_init__(self) -> None:
        parts = self.name.split(".")
        if len(parts) not in (2, 3) or not all(part.isidentifier() for part in parts):
            raise ValueError(f'name {self.name!r} is not of the form "topic.function" or "topic.Class.method"')
        if not self.points > 0:
            raise ValueError(f"points of {self.name} are {self.points:g}: an exercise is worth more than 0")
        if not self.hints or not all(hint.strip() for hint in self.hints):
            raise ValueError(f"hints of {self.name} are empty: a student who is stuck needs at least one")

    @property
    def topic(self) -> str:
        """The module in which the exercise stands."""
        return self.name.split(".")[0]

    @property
    def function(self) -> str:
        """The name within the module: ``kl_divergence``, ``Block.forward``."""
        return self.name.split(".", 1)[1]


class Assignment(msgspec.Struct, frozen=True):
    """All exercises of one lecture, in order."""

    name: str
    title: str
    exercises: tuple[Exercise, ...]
    switched_off: tuple[str, ...] = ()  # names of exercises that are there for nobody
    rubric: dict[str, float] = {}  # "topic.function.mistake": the share of the exercise that a named mistake leaves
    kit_url: str = ""  # where a notebook's kernel gets the kit's wheels from, if not from beside it
    version: str = ""  # of its kit; without one the engine's

    @property
    def topics(self) -> tuple[str, ...]:
        """The modules, in the order of their first exercise."""
        return tuple(dict.fromkeys(exercise.topic for exercise in self.exercises))

    @property
    def points(self) -> float:
        """What all exercises together are worth, bonus apart."""
        return sum(exercise.points for exercise in self.required)

    @property
    def required(self) -> tuple[Exercise, ...]:
        """The exercises that one can lose points on: all but the bonus."""
        return tuple(exercise for exercise in self.exercises if not exercise.bonus)

    def of_topic(self, topic: str) -> tuple[Exercise, ...]:
        """The exercises of one module, in order."""
        return tuple(exercise for exercise in self.exercises if exercise.topic == topic)

    def functions(self, topic: str) -> tuple[str, ...]:
        """What a student writes in one module: ``("kl_divergence", ..., "MarkovMLP.forward")``."""
        return tuple(exercise.function for exercise in self.of_topic(topic) if not exercise.of)

    def shares(self, exercise: str) -> dict[str, float]:
        """The rubric of one exercise: by the name of a mistake."""
        return {key.rpartition(".")[2]: share for key, share in self.rubric.items() if key.rpartition(".")[0] == exercise}

    def __getitem__(self, name: str) -> Exercise:
        for exercise in self.exercises:
            if exercise.name == name:
                return exercise
        raise KeyError(f"{self.name} has no exercise {name!r}")


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The keys of assignment.toml."""

    title: str
    kit_url: str = ""
    version: str = ""
    exercise: tuple[Exercise, ...] = ()
    rubric: dict[str, float] = {}


def load(name: str, root: Path = REPO_ROOT) -> Assignment:
    """Read ``assignments/<name>/assignment.toml``.

    Raises: ``AssignmentError`` that names the file, the line and the key at fault.
    """
    path = root / "assignments" / name / "assignment.toml"
    try:
        text = path.read_text("utf-8")
        content = tomllib.loads(text)
    except FileNotFoundError:
        known = ", ".join(lectures(root)) or "none"
        raise AssignmentError(f"{path}: there is no such file; lectures are: {known}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AssignmentError(f"{path}: not readable as TOML: {error}") from None
    try:
        file = msgspec.convert(content, _File)
    except msgspec.ValidationError as error:
        line = _line(text, str(error))
        raise AssignmentError(f"{path}{f', line {line}' if line else ''}: {courses.in_toml_words(error)}") from None
    file = _as_the_course_has_it(name, file, root, path)
    on = tuple(exercise for exercise in file.exercise if exercise.enabled)
    off = tuple(exercise.name for exercise in file.exercise if not exercise.enabled)
    _refuse_disorder(file.exercise, on, path)
    _refuse_rubric(file.rubric, file, path)
    return Assignment(name, file.title, on, off, file.rubric, file.kit_url, file.version)


def lectures(root: Path = REPO_ROOT) -> tuple[str, ...]:
    """The names that ``load`` knows: folders of assignments/ with an assignment.toml."""
    return tuple(sorted(path.parent.name for path in (root / "assignments").glob("*/assignment.toml")))


def offered() -> tuple[str, ...]:
    """The assignments that commands offer: those of the course, else all."""
    known = lectures()
    course = courses.active(REPO_ROOT, known)
    return (course[1].assignments if course else ()) or known


def _as_the_course_has_it(name: str, file: _File, root: Path, path: Path) -> _File:
    """The file with the course's points, exercises left out, and rubric: the only place where they are applied."""
    given_out = path.with_name(courses.FILE)
    found = courses.active(root, lectures(root)) if root == REPO_ROOT else None
    if found is None and given_out.is_file():
        found = given_out, courses.read(given_out, (name,))
    if found is None:
        return file
    where, course = found[0], found[1].of(name)
    names = {f"{name}.{exercise.name}" for exercise in file.exercise}
    for table, keys in (("points", course.points), ("disabled", course.disabled)):
        for key in keys:
            if key not in names:
                raise AssignmentError(f"{where}: {table}: {name} has no exercise {key.partition('.')[2]!r} (of {key!r})")
    for key, points in course.points.items():
        if not points > 0:
            raise AssignmentError(f"{where}: points: {key} is {points:g}: an exercise is worth more than 0; see `disabled`")
    rubric = {key.partition(".")[2]: share for key, share in course.rubric.items()}
    _refuse_rubric(rubric, file, where)
    changed = [
        msgspec.structs.replace(
            exercise,
            points=course.points.get(f"{name}.{exercise.name}", exercise.points),
            enabled=exercise.enabled and f"{name}.{exercise.name}" not in course.disabled,
        )
        for exercise in file.exercise
    ]
    return msgspec.structs.replace(file, exercise=tuple(changed), rubric={**file.rubric, **rubric})


def _line(text: str, message: str) -> int:
    """The line of which msgspec speaks: that of the key in its table, else the table's first; 0 where none can be told."""
    lines = text.splitlines()
    table = re.search(r"\$\.exercise\[(\d+)\]", message)
    key = re.search(r"\.(\w+)`$", message) or re.search(r"unknown field `(\w+)`", message)
    starts = [number for number, line in enumerate(lines, 1) if line.strip() == "[[exercise]]"]
    first = starts[int(table[1])] if table and int(table[1]) < len(starts) else 0
    for number, line in enumerate(lines[first:], first + 1):
        if table and line.startswith("[["):
            break
        if key and re.match(rf"\s*{key[1]}\s*=", line):
            return number
    return first


def _refuse_rubric(rubric: Mapping[str, float], file: _File, path: Path) -> None:
    names = {exercise.name for exercise in file.exercise}
    for key, share in rubric.items():
        if key.rpartition(".")[0] not in names:
            raise AssignmentError(f'{path}: rubric: {key!r} is not of the form "topic.function.mistake" of an exercise here')
        if not 0 < share < 1:
            raise AssignmentError(f"{path}: rubric: {key} is {share:g}: a share of the exercise lies between 0 and 1")


def _refuse_disorder(exercises: tuple[Exercise, ...], enabled: tuple[Exercise, ...], path: Path) -> None:
    names = [exercise.name for exercise in exercises]
    for name in names:
        if names.count(name) > 1:
            raise AssignmentError(f"{path}: exercise {name} stands here {names.count(name)} times")
    there = {exercise.name for exercise in enabled}
    for exercise in enabled:
        for key, others in (("of", exercise.of), ("calls", exercise.calls)):
            for other in others:
                if other not in (there if key == "of" else names):
                    raise AssignmentError(f"{path}: exercise {exercise.name}: {key}: there is no exercise {other!r}")
    topics = [exercise.topic for exercise in exercises]
    for before, topic in zip(topics, topics[1:], strict=False):
        if topic != before and topics.index(topic) < topics.index(before):
            raise AssignmentError(f"{path}: exercises of {topic} are scattered; keep the exercises of a topic together")
