"""`dgm course init`: a folder with course.toml, in which every nbgrader command works."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch

from grader import assignment as assignments
from grader import course as courses
from grader.assignment import Assignment
from grader.authoring import build
from grader.errors import GraderError
from grader.exam.collect import collect
from grader.grading.kit import SEED_FILE, make_seed

CONFIG = '''"""Configuration of this nbgrader course. Made by `dgm course init`; yours to change."""

from grader.nbgrader import configure

c = get_config()  # noqa: F821  nbgrader provides it
c.CourseDirectory.course_id = "{course}"
c.CourseDirectory.root = {root!r}
# c.Exchange.root = "/srv/nbgrader/exchange"
# c.CourseDirectory.db_url = "postgresql+psycopg2://user@host/gradebook"

configure(c)  # grades come from the isolated exam; settings of yours may follow
'''


COURSE = """\
# The course: what counts in it, for every command that runs in this folder (or with DGM_COURSE naming it).
assignments = {names}
seed_file = {seed}  # beside this file: the same seed gives the same grades; keep it, and keep it to yourself

# disabled = ["{exercise}"]  # nobody gets these exercises

[points]  # in the place of those in assignment.toml; after a change: dgm build or dgm release, and dgm grade --regrade
# "{exercise}" = 5

[rubric]  # the share of its points that a named mistake leaves
# "{exercise}.name_of_a_mistake" = 0.5

# All below is about final grades alone, and needs no regrading: dgm export --to csv makes grades.csv anew.
[due]  # a moment has an offset
# {first} = 2026-10-12T23:59:00+02:00

[late]
per_day = 0.0  # share of the score that each day begun costs
at_most = 1.0  # share
grace = 0      # minutes

# [extensions.{first}]    # by submission, name, id or e-mail address of the student
# "Ada Lovelace" = 2026-10-15T23:59:00+02:00

# [submitted.{first}]     # when somebody handed in, where the platform does not tell (Gradescope does)
# "Ada Lovelace" = 2026-10-13T08:00:00+02:00

# [[adjustment]]
# submission = "Ada Lovelace"
# assignment = "{first}"
# points = 1
# reason = "found a mistake in the sheet"
"""


class CourseExists(GraderError):
    """The folder already holds a course; nothing was changed."""


def gradable_here(assignment: Assignment) -> Assignment:
    """Without the exercises that need a GPU where there is none: nbgrader would have a person grade them for everybody."""
    if torch.cuda.is_available():
        return assignment
    here = {check.exercise for check in collect(assignment.name) if not check.gpu}
    return msgspec.structs.replace(assignment, exercises=tuple(one for one in assignment.exercises if one.name in here))


def init(folder: Path, names: Sequence[str]) -> list[Path]:
    """Lay out a course for some assignments: course.toml with a seed, nbgrader's configuration, source notebooks.

    Returns the files written; a course.toml or a seed that is there already stays. All notebooks are made before the first
    file is written. Raises: `CourseExists`; `HiddenFolderMissing`; `SourceError`.
    """
    folder = folder.resolve()
    config, course, seed = folder / "nbgrader_config.py", folder / courses.FILE, folder / SEED_FILE
    if config.exists():
        raise CourseExists(f"{config} is already there. Take another folder, or add the kit's line to it: see `pydoc grader.nbgrader`.")
    with courses.used(folder):  # a course.toml that is there already counts
        loaded = [gradable_here(assignments.load(name)) for name in names]
        files = {
            folder / "source" / one.name / f"{topic}.ipynb": build.instructor_notebook(build.source_of(topic, one), one)
            for one in loaded
            for topic in one.topics
        }
    files[config] = CONFIG.format(course=folder.name, root=str(folder))
    if not course.exists():
        example = f"{names[0]}.{loaded[0].required[0].name}"
        files[course] = COURSE.format(names=json.dumps(list(names)), seed=json.dumps(SEED_FILE), first=names[0], exercise=example)
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if seed.exists() or course not in files:
        return [*files]
    make_seed(seed)
    return [*files, seed]
