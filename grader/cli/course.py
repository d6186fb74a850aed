"""`dgm course`: the kit in an nbgrader course."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grader.cli.chosen import AssignmentName, chosen, load
from grader.renderings.terminal import SafeConsole

course = typer.Typer(help="An nbgrader course with the kit's exam.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(course, name="course")


@course.callback()
def group() -> None:
    """An nbgrader course with the kit's exam."""


@course.command()
def init(
    folder: Annotated[Path, typer.Argument(help="A new folder.", show_default=False)],
    assignment: AssignmentName = None,
) -> None:
    """Lay out an nbgrader course: configuration and source notebooks."""
    from grader.nbgrader.layout import CourseExists, gradable_here
    from grader.nbgrader.layout import init as lay_out

    console = SafeConsole()
    name = chosen(assignment)
    try:
        written = lay_out(folder, name)
    except CourseExists as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(2) from None
    for path in written:
        console.print(f"wrote {path}")
    left_out = [exercise.name for exercise in load(name).exercises if exercise not in gradable_here(load(name)).exercises]
    for exercise in left_out:
        console.print(f"{exercise} is left out: it needs a GPU, and this machine has none", highlight=False)
    console.print(f"next: cd {folder} && nbgrader generate_assignment {name}")
