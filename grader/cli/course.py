"""`dgm course`: the folder of a course, which is nbgrader's too."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grader import assignment as assignments
from grader.cli.chosen import chosen
from grader.renderings.terminal import SafeConsole

console = SafeConsole(soft_wrap=True)

course = typer.Typer(help="The folder of a course.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(course, name="course")


@course.command()
def init(
    folder: Annotated[Path, typer.Argument(help="A new folder.", show_default=False)],
    assignment: Annotated[
        list[str] | None, typer.Option("--assignment", "-a", help="May be said several times; all without.", show_default=False)
    ] = None,
) -> None:
    """Lay out a course: course.toml, a seed, and what nbgrader needs, configuration and source notebooks."""
    from grader.nbgrader import layout

    names = [chosen(name) for name in assignment or assignments.offered()]
    for path in layout.init(folder, names):
        console.print(f"wrote {path}")
    for one in map(assignments.load, names):
        here = layout.gradable_here(one).exercises
        for exercise in one.exercises:
            if exercise not in here:
                console.print(f"{exercise.name} is left out: it needs a GPU, and this machine has none")
    console.print(f"next: cd {folder}, read course.toml, and nbgrader generate_assignment {names[0]}")
