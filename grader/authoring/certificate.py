"""`docs/certificate-<assignment>.md`: what `dgm dev check` found for every exercise; it and `dgm dev update` write the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grader import assignment as assignments
from grader.assignment import REPO_ROOT
from grader.authoring.certify import Certificate, cost
from grader.hidden import catalogue

HEAD = """\
# Certificate of {lecture}: {title}

What `dgm dev check` finds; written by it, and by `dgm dev update`. A *mistake* is a registered wrong answer; it is *killed*
when the very check that claims it fails on it, and *named* when the student is told its name. A *variant* is another right
answer; it is *accepted* when it gets full marks. A mistake that only a GPU or a training run shows is not killed here. A tester's
yes or no (`accepts`) tells no mistake from another; what a device shows is not compared with the catalogue. What a mistake
*costs* is the share of its exercise, the median and the largest.
"""
COLUMNS = ("exercise", "mistakes", "killed", "named", "variants", "accepted", "costs")
Row = tuple[str, ...]


def path(lecture: str) -> Path:
    """Where the page of an assignment lies."""
    return REPO_ROOT / "docs" / f"certificate-{lecture}.md"


def committed(lecture: str) -> dict[str, Row]:
    """The rows of the page, by exercise."""
    lines = path(lecture).read_text("utf-8").splitlines() if path(lecture).is_file() else []
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if line.startswith("|")]
    return {row[0]: row for row in cells if "." in row[0] and len(row) == len(COLUMNS)}


def outdated(lecture: str) -> list[str]:
    """The exercises of which the page tells other numbers of mistakes or variants than are registered."""
    registered, rows = catalogue.load(lecture), committed(lecture)

    def counts(name: str) -> tuple[str, str]:
        return str(len(registered.mistakes.get(name, []))), str(len(registered.variants.get(name, [])))

    names = [exercise.name for exercise in assignments.load(lecture).exercises]
    return [name for name in names if name not in rows or (rows[name][1], rows[name][4]) != counts(name)]


def write(lecture: str, certificates: Sequence[Certificate]) -> None:
    """The page with these certificates in place of those it had; rows of exercises that are no more are gone."""
    assignment = assignments.load(lecture)
    rows = committed(lecture) | {one.exercise: _row(one) for one in certificates}
    there = [rows[exercise.name] for exercise in assignment.exercises if exercise.name in rows]
    sums = [str(sum(int(row[column]) for row in there)) for column in range(1, 6)]
    lines = [HEAD.format(lecture=lecture, title=assignment.title), _line(COLUMNS), "|---" * len(COLUMNS) + "|"]
    lines += [_line(row) for row in (*there, ("**all**", *sums, ""))]
    green = [mistake for of_one in catalogue.load(lecture).mistakes.values() for mistake in of_one if mistake.green_at_home]
    if green:
        lines += ["", f"{len(green)} of these mistakes pass every check that runs on a student's machine:", ""]
        lines += [f"- `{mistake.exercise}`, `{mistake.name}`: {mistake.green_at_home}" for mistake in green]
    path(lecture).write_text("\n".join([*lines, ""]), "utf-8")


def _line(cells: Row) -> str:
    return f"| {' | '.join(cells)} |"


def _row(one: Certificate) -> Row:
    counts = (one.mistakes + one.elsewhere, one.killed, one.named, one.variants, one.accepted)
    return (one.exercise, *map(str, counts), cost(one.costs))
