"""The commands of `dgm`."""

from __future__ import annotations

import typer

from grader.cli import authoring, course, dev, exporting, grading, student
from grader.cli import show as looking

app = typer.Typer(
    help="Exercises and an autograder for deep generative models.", no_args_is_help=True, pretty_exceptions_enable=False
)
student.add_to(app)
grading.add_to(app)
course.add_to(app)
exporting.add_to(app)
authoring.add_to(app)
dev.add_to(app)
looking.add_to(app)
