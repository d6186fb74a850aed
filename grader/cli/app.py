"""The commands of `dgm`: those of students everywhere, those of instructors where their packages are installed."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
from typing import Annotated, Any

import typer
import typer.core

from grader import course as courses
from grader.assignment import REPO_ROOT, lectures, load
from grader.cli import show, student
from grader.cli.chosen import stop
from grader.errors import GraderError


class Commands(typer.core.TyperGroup):
    """The commands, each of which ends with a sentence where the reader can do something about what is wrong."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except GraderError as error:
            stop(error)
        except OSError as error:
            if error.filename is None:
                raise
            stop(f"{error.filename}: {error.strerror}")  # a place that the command was told to read or to write
        except ModuleNotFoundError as error:
            if importlib.util.find_spec("grader.hidden") is not None:
                from grader.hidden import places

                try:
                    places.refuse_without_reference(error.name)
                except GraderError as refusal:
                    stop(refusal)
            raise


app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False)
student.add_to(app)
show.add_to(app)
if importlib.util.find_spec("grader.grading") is not None:  # never shipped to students
    from grader.cli import authoring, course, dev, exporting, grading

    for commands in (grading, course, exporting, authoring, dev):
        commands.add_to(app)


def _version(wanted: bool) -> None:
    if wanted:
        for name in ("dgm-kit", *(f"dgm-kit-{one}" for one in lectures())):  # a student's zip or wheel is of one assignment
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                typer.echo(f"{name} {importlib.metadata.version(name)}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="The kit's version.")] = False,
) -> None:
    """Exercises and an autograder for deep generative models."""
    if courses.active(REPO_ROOT, lectures()):  # what is wrong in it is said by every command
        for name in lectures():
            load(name)
