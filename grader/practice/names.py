"""What a student means by a name: an exercise, or a topic."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Sequence

from grader.assignment import Assignment, Exercise, lectures, load
from grader.errors import GraderError


class UnknownName(GraderError):
    """There is no exercise of that name, or several may be meant; the message suggests what to say."""


def select(assignment: Assignment, names: Sequence[str], topic: str = "") -> list[str]:
    """The exercises meant by names of topics, functions, classes and methods, or full ones; all of them for no name.

    With a `topic`, only its exercises are meant. Raises: `UnknownName`.
    """
    known = [exercise.name for exercise in assignment.exercises if topic in ("", exercise.topic)]
    chosen: list[str] = []
    for name in names:
        found = [one for one in known if _means(name, one)] or [one for one in known if _means(name.lower(), one.lower())]
        if not found:
            alike = difflib.get_close_matches(name, [*known, *(one.split(".", 1)[1] for one in known)], n=1, cutoff=0.5)
            where, suggestion = f" in {topic}" if topic else "", f" Did you mean {alike[0]!r}?" if alike else ""
            raise UnknownName(f"there is no exercise {name!r}{where}.{suggestion} `dgm list` shows all.")
        chosen += found
    return list(dict.fromkeys(chosen or known))


def exactly_one(assignment: Assignment, name: str, topic: str = "") -> Exercise:
    """The only exercise (of a `topic`) that a name means. Raises: `UnknownName`."""
    found = select(assignment, [name], topic)
    if len(found) > 1:
        raise UnknownName(f"{name!r} may be {' or '.join(found)}: say which")
    return assignment[found[0]]


def _means(name: str, exercise: str) -> bool:
    """Whether a name is the exercise's, its topic's, its function's, or of a method, that of its class or its own."""
    return f".{name}." in f".{exercise}."


@functools.cache
def short_name(exercise: str) -> str:
    """The name of the function alone, where no other exercise has it too."""
    function = exercise.split(".", 1)[1]
    everywhere = [other.function for lecture in lectures() for other in load(lecture).exercises]
    return exercise if everywhere.count(function) > 1 else function
