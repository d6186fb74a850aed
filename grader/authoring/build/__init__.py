"""``dgm build``: stubs and notebooks for students, made from the solutions.

``solutions/<lecture>/<topic>.py`` is the single source (its grammar: ``grader.authoring.build.source``); ``<topic>.py`` and
``<topic>.ipynb`` in ``assignments/<lecture>/`` are made from it. Made twice, they are equal byte by byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from grader.assignment import REPO_ROOT, Assignment, load
from grader.authoring.build.source import Source, SourceError, read
from grader.authoring.build.stub import stub
from grader.authoring.build.switched_off import without
from grader.authoring.build.write_notebook import instructor_notebook, student_notebook
from grader.hidden.places import solutions

__all__ = [
    "Source", "SourceError", "build", "instructor_notebook", "outdated", "products", "read", "source_of", "student_notebook",
    "stub",
]  # fmt: skip


def build(lecture: str, root: Path = REPO_ROOT) -> list[Path]:
    """Write what the sources give and return the files that changed.

    Raises: ``SourceError`` if a source is refused; then nothing has been written.
    """
    changed = _changed(lecture, root)
    for path, content in changed:
        path.write_bytes(content)
    return [path for path, _ in changed]


def outdated(lecture: str, root: Path = REPO_ROOT) -> list[Path]:
    """The files that ``build`` would change."""
    return [path for path, _ in _changed(lecture, root)]


def _changed(lecture: str, root: Path) -> list[tuple[Path, bytes]]:
    return [(path, content) for path, content in products(lecture, root) if not path.is_file() or path.read_bytes() != content]


def products(lecture: str, root: Path = REPO_ROOT) -> list[tuple[Path, bytes]]:
    """Every generated file of a lecture and its content."""
    assignment = load(lecture, root)
    made: list[tuple[Path, bytes]] = []
    for source in _sources(assignment, root):
        target = root / "assignments" / assignment.name / source.path.stem
        made.append((target.with_suffix(".py"), stub(source).encode()))
        made.append((target.with_suffix(".ipynb"), student_notebook(source, assignment).encode()))
    return made


def source_of(topic: str, assignment: Assignment, root: Path = REPO_ROOT) -> Source:
    """The source of one topic, without what the assignment switches off.

    Raises: ``SourceError``.
    """
    off = [name.split(".", 1)[1] for name in assignment.switched_off if name.split(".")[0] == topic]
    return without(read(solutions(assignment.name, root) / f"{topic}.py"), off)


def _sources(assignment: Assignment, root: Path) -> Iterator[Source]:
    folder = solutions(assignment.name, root)
    topics = {*assignment.topics, *(name.split(".")[0] for name in assignment.switched_off)}
    unknown = {path.stem for path in folder.glob("*.py")} - {"__init__"} - topics
    for topic in sorted(unknown):
        raise SourceError(f"{folder / topic}.py:1: assignment.toml has no exercise of topic {topic}")
    for topic in assignment.topics:
        path = folder / f"{topic}.py"
        if not path.is_file():
            raise SourceError(f"{path}:1: this file is missing; assignment.toml has exercises of topic {topic}")
        source = source_of(topic, assignment, root)
        _refuse_other_exercises(source, assignment)
        yield source


def _refuse_other_exercises(source: Source, assignment: Assignment) -> None:
    """The marked functions and the exercises of assignment.toml are the same, in the same order."""
    wanted = assignment.functions(source.path.stem)
    for region in source.regions:
        if region.in_function and region.name not in wanted:
            raise SourceError(f"{source.path}:{region.first}: assignment.toml has no exercise for {region.name}")
    for name in wanted:
        if name not in source.functions:
            raise SourceError(f"{source.path}:1: exercise {name} of assignment.toml has no solution region")
    if wanted != source.functions:
        first = next(name for name, other in zip(wanted, source.functions, strict=True) if name != other)
        raise SourceError(f"{source.path}:1: exercise {first} stands in another order than in assignment.toml")
