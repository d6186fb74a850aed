"""`dgm build`: what authors of exercises run."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from grader.assignment import HOUSE, AssignmentError, lectures


def add_to(app: typer.Typer) -> None:
    app.command()(build)


def build(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if something would change.")] = False,
) -> None:
    """Make stubs and notebooks from the solutions."""
    from grader import build as building

    console = Console(soft_wrap=True)
    try:
        changed = [path for lecture in lectures() for path in (building.outdated if check else building.build)(lecture)]
    except (AssignmentError, building.SourceError) as error:
        console.print(f"[red]cannot build:[/red] {error}", highlight=False)
        raise typer.Exit(2) from None
    for path in changed:
        console.print(f"{'outdated' if check else 'built'}: {path.relative_to(HOUSE)}", highlight=False)
    if check and changed:
        console.print("run `dgm build` and commit what it writes", highlight=False)
        raise typer.Exit(1)
    if not changed:
        console.print("everything is what the solutions give", highlight=False)
