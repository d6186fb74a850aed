"""`docs/certificate.md`: what `dgm dev check` found for every exercise, as a page that `dgm dev check` and `dgm dev update` write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dgm_ref import catalogue
from grader import assignment as assignments
from grader.assignment import REPO_ROOT
from grader.authoring.certify import Certificate, cost

PAGE = REPO_ROOT / "docs" / "certificate.md"
HEAD = """\
# Certificate of the checks

What `dgm dev check` finds; written by it, and by `dgm dev update`. A *mistake* is a registered wrong answer; it is *killed*
when the very check that claims it fails on it, and *named* when the student is told its name. A *variant* is another right
answer; it is *accepted* when it gets full marks. A mistake that only a GPU or a training run shows is not killed here. A tester's
yes or no (`accepts`) tells no mistake from another; what a device shows is not compared with the catalogue. What a mistake
*costs* is the share of its exercise, the median and the largest.
"""
COLUMNS = ("exercise", "mistakes", "killed", "named", "variants", "accepted", "costs")
Row = tuple[str, ...]


def committed() -> dict[str, Row]:
    """The rows of the page, by exercise."""
    lines = PAGE.read_text("utf-8").splitlines() if PAGE.is_file() else []
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if line.startswith("|")]
    return {row[0]: row for row in cells if "." in row[0]}


def outdated(lecture: str) -> list[str]:
    """The exercises of which the page tells other numbers of mistakes or variants than are registered."""
    registered, rows = catalogue.load(lecture), committed()

    def counts(name: str) -> tuple[str, str]:
        return str(len(registered.mistakes.get(name, []))), str(len(registered.variants.get(name, [])))

    names = [exercise.name for exercise in assignments.load(lecture).exercises]
    return [name for name in names if name not in rows or (rows[name][1], rows[name][4]) != counts(name)]


def write(certificates: Sequence[Certificate]) -> None:
    """The page with these certificates in place of those it had; rows of exercises that are no more are gone."""
    rows = committed() | {one.exercise: _row(one) for one in certificates}
    PAGE.write_text("\n".join([HEAD, *(line for name in assignments.lectures() for line in _table(name, rows)), ""]), "utf-8")


def _table(lecture: str, rows: dict[str, Row]) -> Iterator[str]:
    assignment = assignments.load(lecture)
    there = [rows[exercise.name] for exercise in assignment.exercises if exercise.name in rows]
    sums = [str(sum(int(row[column]) for row in there)) for column in range(1, 6)]
    yield from (f"## {lecture}: {assignment.title}", "", f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|")
    yield from (f"| {' | '.join(row)} |" for row in (*there, ("**all**", *sums, "")))
    silent = [mistake for of_one in catalogue.load(lecture).mistakes.values() for mistake in of_one if mistake.green_at_home]
    yield ""
    if silent:
        yield from (f"{len(silent)} of these mistakes pass every check that runs on a student's machine:", "")
        yield from (f"- `{mistake.exercise}`, `{mistake.name}`: {mistake.green_at_home}" for mistake in silent)
        yield ""


def _row(one: Certificate) -> Row:
    counts = (one.mistakes + one.elsewhere, one.killed, one.named, one.variants, one.accepted)
    return (one.exercise, *map(str, counts), cost(one.costs))
