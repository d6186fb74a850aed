"""`dgm show`: pictures of what your functions do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from grader.cli.chosen import AssignmentName, at_work, stop
from grader.cli.student import Folder, Names
from grader.practice.names import select
from grader.renderings.terminal import SafeConsole, below

console = SafeConsole()


def add_to(app: typer.Typer) -> None:
    app.command()(show)


def show(
    names: Names = None,
    folder: Folder = None,
    assignment: AssignmentName = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the pictures go.")] = Path("pictures"),
    steps: Annotated[int, typer.Option(min=1, help="Steps of training a picture's network; 600 take up to a minute.")] = 600,
) -> None:
    """Draw what your functions do, beside what they should do where that gives nothing away."""
    try:
        from grader.practice import gallery
    except ModuleNotFoundError as error:
        stop(f'pictures need {error.name}, which is not installed: pip install -e ".[student]"')
    from grader.practice.run import load

    meant, folder = at_work(assignment, names or [], folder)
    exercises = select(meant, names or [])
    works = {topic: gallery.Work(module, steps) for topic, module in load(meant, folder).items()}
    written = 0
    for topic, picture in gallery.chosen(meant, exercises):
        if topic not in works:
            console.print(f"{topic}: there is no {topic}.py in {folder}", style="yellow")
            continue
        path = out / f"{topic}-{picture.name}.png"
        try:
            with console.status(f"drawing {path.stem} …"):
                png = picture.png(works[topic])
        except gallery.CannotDraw as why:
            console.print(f"{path.stem}: {why}", style="yellow")
        else:
            out.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png)
            written += 1
            console.print(path, soft_wrap=True)
            console.print(below(Text(picture.sentence, "dim")))
    raise typer.Exit(0 if written else 1)
