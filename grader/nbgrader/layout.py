"""`dgm course init`: a folder in which every nbgrader command works."""

from __future__ import annotations

from pathlib import Path

import msgspec
import torch

from grader import assignment as assignments
from grader.assignment import Assignment
from grader.authoring import build
from grader.exam.collect import collect

CONFIG = '''"""Configuration of this nbgrader course. Made by `dgm course init`; yours to change."""

from grader.nbgrader import configure

c = get_config()  # noqa: F821  nbgrader provides it
c.CourseDirectory.course_id = "{course}"
c.CourseDirectory.root = {root!r}
# c.Exchange.root = "/srv/nbgrader/exchange"
# c.CourseDirectory.db_url = "postgresql+psycopg2://user@host/gradebook"

configure(c)  # grades come from the isolated exam; settings of yours may follow
'''


class CourseExists(Exception):
    """The folder already holds a course; nothing was changed."""


def gradable_here(assignment: Assignment) -> Assignment:
    """Without the exercises that need a GPU where there is none: nbgrader would have a person grade them for everybody."""
    if torch.cuda.is_available():
        return assignment
    here = {check.exercise for check in collect(assignment.name) if not check.gpu}
    return msgspec.structs.replace(assignment, exercises=tuple(one for one in assignment.exercises if one.name in here))


def init(folder: Path, lecture: str, course: str | None = None) -> list[Path]:
    """Lay out a course for one lecture: configuration and source notebooks. Returns the files written."""
    folder = folder.resolve()
    config = folder / "nbgrader_config.py"
    if config.exists():
        raise CourseExists(
            f"{config} is already there. Take another folder, or add the kit's line to it: see `pydoc grader.nbgrader`."
        )
    source = folder / "source" / lecture
    source.mkdir(parents=True, exist_ok=True)
    written = [config]
    config.write_text(CONFIG.format(course=course or folder.name, root=str(folder)), encoding="utf-8")
    assignment = gradable_here(assignments.load(lecture))
    for topic in assignment.topics:
        notebook = source / f"{topic}.ipynb"
        notebook.write_text(
            build.instructor_notebook(build.source_of(topic, assignment), assignment), encoding="utf-8"
        )
        written.append(notebook)
    return written
