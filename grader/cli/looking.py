"""`dgm show`: pictures of your own models; `dgm gpu-exam`: the checks that need a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from grader.cli.student import HERE, Folder

console = Console()


def add_to(app: typer.Typer) -> None:
    app.command()(show)
    app.command()(gpu_exam)


def show(
    topic: Annotated[str, typer.Argument(help="The topic to draw: imagegpt.")] = "imagegpt",
    folder: Folder = HERE,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the pictures go.")] = Path("pictures"),
    steps: Annotated[int, typer.Option(help="Training steps; 600 take about a minute.")] = 600,
) -> None:
    """Train the model that you wrote on 8 x 8 digits, and draw what it does."""
    module = folder / f"{topic}.py"
    if topic != "imagegpt" or not module.is_file():
        console.print(f"[red]there are no pictures of {topic} in {folder}[/red]: `dgm show imagegpt` needs {module}")
        raise typer.Exit(2)
    from grader.pictures import imagegpt

    try:
        written = imagegpt.show(imagegpt.load(module), out, steps, console.print)
    except NotImplementedError as error:
        console.print(f"[yellow]not implemented yet[/yellow]: {error}")
        raise typer.Exit(1) from None
    for path in written:
        console.print(f"wrote {path}")


def gpu_exam(
    module: Annotated[Path, typer.Argument(help="An imagegpt.py that you trust: it runs unprotected.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the report goes.")] = Path("results/gpu"),
) -> None:
    """Put the checks that need a GPU to one module, and write what they measured."""
    from grader import gpu_exam as exam

    report = exam.gpu_exam(module)
    for path in exam.write(report, out):
        console.print(f"wrote {path}")
    for finding in report.findings:
        console.print(f"{finding.outcome}  {finding.sentence} {finding.message}", highlight=False, markup=False)
    raise typer.Exit(0 if report.passed else 1)
