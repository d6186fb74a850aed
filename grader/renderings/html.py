"""Exercises as a piece of HTML: for a notebook's output, for nbgrader's feedback page and for a student's report."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

import jinja2
from markupsafe import Markup, escape

from grader.record import ExerciseRecord
from grader.renderings.terminal import LONG_CALL, SIGNS


def exercises(records: Sequence[ExerciseRecord], fold: bool = False) -> str:
    """One block an exercise; every word from a submission is escaped. `fold`: only the first failure of each is open."""
    return environment().get_template("exercises.html").render(exercises=records, fold=fold)


@functools.cache
def environment() -> jinja2.Environment:
    """The templates of this package, with escaping on."""
    loader = jinja2.PackageLoader("grader.renderings")
    result = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    result.globals |= {"signs": SIGNS, "long_call": LONG_CALL}
    result.filters["points"] = "{:g}".format
    result.filters["breakable"] = _breakable
    result.filters["words"] = lambda name: name.removeprefix("test_").replace("_", " ")
    return result


def _breakable(name: str) -> Markup:
    """A long name that may go on in a new line between its words."""
    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[._])", name))
