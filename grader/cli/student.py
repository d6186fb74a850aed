"""The student's commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

LECTURE = "lecture1"


def add_to(app: typer.Typer) -> None:
    app.command()(check)


def check(
    names: Annotated[list[str] | None, typer.Argument(help="Exercises or topics; everything without.", show_default=False)] = None,
    folder: Annotated[Path, typer.Option(help="Where your modules or notebooks are.")] = Path("assignments") / LECTURE,
) -> None:
    """Check your work: every public check, with the smallest counterexample for what fails."""
    from grader.practice import UnknownName, practise
    from grader.renderings.terminal import print_practice

    console = Console()
    try:
        passed = print_practice(console, practise(LECTURE, folder, names or []))
    except UnknownName as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(2) from None
    raise typer.Exit(0 if passed else 1)
