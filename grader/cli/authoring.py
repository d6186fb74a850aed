"""`dgm build` and `dgm release`: what authors of exercises run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grader.assignment import REPO_ROOT, lectures
from grader.cli.chosen import AssignmentName, chosen
from grader.renderings.terminal import SafeConsole

console = SafeConsole(soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    app.command()(build)
    app.command()(release)


def build(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if something would change.")] = False,
) -> None:
    """Make stubs and notebooks from the solutions."""
    from grader.authoring import build as building

    changed = [path for lecture in lectures() for path in (building.outdated if check else building.build)(lecture)]
    for path in changed:
        console.print(f"{'outdated' if check else 'built'}: {path.relative_to(REPO_ROOT)}")
    if check and changed:
        console.print("run `dgm build` and commit what it writes")
        raise typer.Exit(1)
    if not changed:
        console.print("everything is what the solutions give")


def release(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the kit goes.")] = Path("dist"),
    assignment: AssignmentName = None,
) -> None:
    """Make the student kit, a zip and two wheels (engine and assignment), without anything that is hidden."""
    from grader.authoring import student_kit

    for path in student_kit.release(chosen(assignment), output):
        console.print(f"{path}  {path.stat().st_size // 1024} kB")
