"""`dgm export`: grades for a learning platform; `dgm report`: a page about the class."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from grader.grading import store
from grader.record import Record
from grader.renderings import platforms
from grader.renderings.gradescope import gradescope
from grader.renderings.junit import junit
from grader.renderings.terminal import SafeConsole


class Target(StrEnum):
    CANVAS = "canvas"
    MOODLE = "moodle"
    GRADESCOPE = "gradescope"
    JUNIT = "junit"


FILES = {Target.CANVAS: "canvas.csv", Target.MOODLE: "moodle.csv", Target.JUNIT: "junit.xml"}


def add_to(app: typer.Typer) -> None:
    app.command()(export)
    app.command()(report)


def export(
    results: Annotated[Path, typer.Argument(help="The folder that dgm grade wrote.", show_default=False)],
    target: Annotated[Target, typer.Option("--to", help="Who reads it.", show_default=False)],
) -> None:
    """Write the grades as Canvas, Moodle, Gradescope or a CI service reads them, into the folder of results."""
    console = SafeConsole(soft_wrap=True, highlight=False)
    records = _read(results, console)
    if target is Target.GRADESCOPE:
        for record in records:
            (results / record.submission / "results.json").write_text(gradescope(record), "utf-8")
        console.print(f"{len(records)} files: {results}/<submission>/results.json", markup=False)
        return
    render = {Target.CANVAS: platforms.canvas, Target.MOODLE: platforms.moodle, Target.JUNIT: junit}[target]
    (results / FILES[target]).write_text(render(records), "utf-8", newline="")
    console.print(f"{len(records)} submissions: {results / FILES[target]}", markup=False)
    unknown = platforms.without_id(records, target) if target is not Target.JUNIT else []
    if unknown:
        console.print(
            f"{len(unknown)} of them have no {target} id, because they are not from its bulk download; "
            f"fill the id in by hand: {', '.join(unknown[:10])}{' …' if len(unknown) > 10 else ''}",
            markup=False,
        )


def report(
    results: Annotated[Path, typer.Argument(help="The folder that dgm grade wrote.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page; students' own pages go beside it.")] = Path(
        "report.html"
    ),
) -> None:
    """Write a page about the class, and one for each student."""
    from grader.renderings.report import write

    console = SafeConsole(soft_wrap=True, highlight=False)
    first, *pages = write(_read(results, console), output)
    console.print(f"{first}, and {len(pages)} students' pages in {pages[0].parent}", markup=False)


def _read(results: Path, console: Console) -> list[Record]:
    """The records, or the end of the command."""
    try:
        records = store.read(results)
    except (OSError, msgspec.DecodeError) as error:
        console.print(f"{results} holds a record that cannot be read: {error}", markup=False)
        raise typer.Exit(2) from None
    if not records:
        console.print(f"there are no records in {results}: run dgm grade first", markup=False)
        raise typer.Exit(2)
    return records
