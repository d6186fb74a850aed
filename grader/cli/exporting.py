"""`dgm export`: grades for a learning platform; `dgm report`: a page about the class."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from grader.assignment import load
from grader.cli.chosen import AssignmentName, chosen, listed, stop
from grader.cli.grading import SeedFile
from grader.grading import store
from grader.grading.policy import policy
from grader.record import Record
from grader.renderings import comparison, gradebook, platforms
from grader.renderings.gradescope import gradescope
from grader.renderings.junit import junit
from grader.renderings.terminal import SafeConsole


class Target(StrEnum):
    CANVAS = "canvas"
    MOODLE = "moodle"
    GRADESCOPE = "gradescope"
    JUNIT = "junit"
    CSV = "csv"


TABLES = {
    Target.CANVAS: ("canvas.csv", platforms.canvas),
    Target.MOODLE: ("moodle.csv", platforms.moodle),
    Target.JUNIT: ("junit.xml", junit),
}
console = SafeConsole(soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    app.command()(export)
    app.command()(report)
    app.command()(diff)
    app.command("gradescope")(gradescope_autograder)


def export(
    results: Annotated[Path, typer.Argument(help="The folder that dgm grade wrote.", show_default=False)],
    target: Annotated[Target | None, typer.Option("--to", help="Who reads it.", show_default=False)] = None,
    into: Annotated[
        Path | None,
        typer.Option(help="Canvas' exported gradebook or Moodle's grading worksheet: grades are filled in.", show_default=False),
    ] = None,
    column: Annotated[str, typer.Option(help="The assignment's column in Canvas' gradebook, where its title does not tell.")] = "",
    feedback: Annotated[
        bool, typer.Option("--feedback", help="With --to canvas or moodle: a zip of students' pages for its bulk upload.")
    ] = False,
) -> None:
    """Write the grades as Canvas, Moodle, Gradescope or a CI service reads them, grades.csv again, or fill in their own file.

    The grade is the final one where course.toml has due dates or adjustments, else the score.
    """
    records = _read(results)
    if into is not None:
        _fill(into, records, column)
    elif target is None or (feedback and target not in (Target.CANVAS, Target.MOODLE)):
        stop("say --into with the file that the platform exported, or --to with who reads it (--feedback: canvas or moodle)")
    elif feedback:
        from grader.renderings.report import student_page

        content, left_out = platforms.feedback_zip(records, target, student_page)
        packed = results / f"{target}-feedback.zip"
        packed.write_bytes(content)
        console.print(f"{len(records) - len(left_out)} pages: {packed}")
        if left_out:
            console.print(f"not from {target}'s bulk download, so not in it: {listed(left_out)}")
    elif target is Target.CSV:
        with store.Store(results) as kept:
            kept.finish()
        console.print(f"{results / 'grades.csv'} is new")
    elif target is Target.GRADESCOPE:
        for record in records:
            (results / record.submission / "results.json").write_text(gradescope(record), "utf-8")
        console.print(f"{len(records)} files: {results}/<submission>/results.json")
    else:
        _export(results, records, target)


def _export(results: Path, records: list[Record], target: Target) -> None:
    name, render = TABLES[target]
    (results / name).write_text(render(records), "utf-8", newline="")
    console.print(f"{len(records)} submissions: {results / name}")
    unknown = platforms.without_id(records, target) if target is not Target.JUNIT else []
    if unknown:
        console.print(
            f"{len(unknown)} of them have no {target} id, because they are not from its bulk download; "
            f"fill the id in by hand: {listed(unknown)}"
        )
    if target is Target.CANVAS:
        console.print(
            f"Canvas makes a new column {records[0].assignment!r} unless it has one of exactly this title: to fill one that it "
            "has, export its gradebook and say --into that file"
        )


def _fill(path: Path, records: list[Record], column: str) -> None:
    """Fill the platform's file; what it was stands beside it."""
    try:
        content = path.read_bytes()
        filled = gradebook.fill(content, records, column)
    except (OSError, gradebook.CannotFill) as error:
        stop(f"{path}: {error}")
    path.with_name(f"{path.name}.before").write_bytes(content)
    path.write_bytes(filled.content)
    console.print(f"{path}: {filled.graded} grades in the column {filled.column!r}; before: {path.name}.before")
    for said, names in (
        ("without a record here, left as they are", filled.without_record), ("not in the file", filled.unknown),
    ):  # fmt: skip
        if names:
            console.print(f"{len(names)} {said}: {listed(names)}")
    for remark in filled.remarks:
        console.print(remark)


def diff(
    old: Annotated[Path, typer.Argument(help="A folder that dgm grade wrote.", show_default=False)],
    new: Annotated[Path, typer.Argument(help="Another one.", show_default=False)],
) -> None:
    """Say whose score changed between two folders of results, by which check, and why."""
    changes = list(comparison.compare(_read(old), _read(new)))
    for line in comparison.sentences(changes):
        console.print(line)
    raise typer.Exit(1 if changes else 0)


def report(
    results: Annotated[Path, typer.Argument(help="The folder that dgm grade wrote.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page; students' own pages go beside it.")] = Path("report.html"),
) -> None:
    """Write a page about the class, and one for each student."""
    from grader.renderings.report import write

    first, *pages = write(_read(results), output)
    console.print(f"{first}, and {len(pages)} students' pages in {pages[0].parent}")


def gradescope_autograder(
    output: Annotated[Path, typer.Option("--output", "-o", help="The zip to upload.")] = Path("autograder.zip"),
    seed_file: SeedFile = None,
    assignment: AssignmentName = None,
) -> None:
    """Write the zip that Gradescope makes an autograder of. It holds the seed and the reference: it is for the staff."""
    from grader.grading import gradescope_zip
    from grader.grading.kit import grading_seed

    names = gradescope_zip.write(output, load(chosen(assignment)), grading_seed(seed_file))
    console.print(f"{output}: {len(names)} files, for Configure Autograder")


def _read(results: Path) -> list[Record]:
    """The records, or the end of the command; says which of them are not what they seem."""
    records = store.read(results)
    if not records:
        stop(f"there are no records in {results}: run dgm grade first")
    holds = store.manifest(results)
    notes: dict[str, list[str]] = {}
    for record in records:
        notes.setdefault(store.note(record, holds), []).append(record.submission)
    for said, names in sorted(notes.items()):
        if said:
            console.print(f"{said}: {listed(names)}", style="yellow")
    course = policy(holds.assignment, records)
    if course is None:
        return records
    records = [course.settle(record) for record in records]
    changed = sum(record.grade != record.score for record in records)
    unknown = [record.submission for record in records if record.final and record.final.days_late is None]
    console.print(f"final grades by {course.where}: {changed} differ from the score")
    for line in [*course.remarks, *([f"time unknown, so no penalty: {listed(unknown)}"] if unknown else [])]:
        console.print(line, style="yellow")
    return records
