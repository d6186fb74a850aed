"""What is work in a folder, for every command of a student."""

from __future__ import annotations

from pathlib import Path

from grader.assignment import Assignment
from grader.errors import GraderError
from grader.submission import Submission, lone, read
from grader.submission.syntax import parsed

MOST_SKIPPED = 3  # statements that are named


class NoWorkFound(GraderError):
    """The folder holds no work; the message says where to look."""


def read_work(assignment: Assignment, folder: Path) -> Submission:
    """What is work in a folder: what is checked here is what is packed, and what is graded.

    Raises: `NoWorkFound`.
    """
    submission = read(lone(folder), assignment, archives=False) if folder.exists() else None
    if submission is None or all("/" in submission.taken.get(topic, "/")[0] for topic in assignment.topics):
        said = f"{folder}: no modules or notebooks of {assignment.name} here; name the right folder with --folder"
        why = [problem for problem in (submission.problems if submission else ()) if not problem.startswith("nothing to grade")]
        raise NoWorkFound("\n".join([said, *why[:3]]))
    return submission


def unreadable(submission: Submission) -> set[str]:
    """The topics that stand in a module which is no Python: nothing in it is known to be right or wrong."""
    return {topic for topic, cells in submission.topics.items() if len(cells) == 1 and parsed(cells[0]) is None}


def remarks_on(submission: Submission, topics: set[str], assignment: Assignment) -> list[str]:
    """What there is to say about some topics: the files they are taken from, and every remark that is not about another."""
    files = dict.fromkeys(name for topic in topics for name in submission.taken.get(topic, []))
    others = tuple({*assignment.topics} - topics)
    about = [problem for problem in submission.problems if not problem.startswith(others)]
    return [f"checked: {', '.join(sorted(files))}", *about] if files else about


def skipped_in(problems: list[str], topics: set[str]) -> list[str]:
    """The first statements of some topics that could not be executed: often why a name is not defined further down."""
    places = tuple(f"{topic}{after}" for topic in topics for after in (".py", ", cell "))
    return [problem for problem in problems if problem.startswith(places)][:MOST_SKIPPED]
