"""`dgm dev` and `dgm doctor`: for those who write checks, and those who run strangers' code."""

from __future__ import annotations

import os
import time
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from grader.assignment import lectures, load
from grader.cli.chosen import AssignmentName, chosen
from grader.cli.student import Names
from grader.practice.names import select
from grader.renderings.terminal import SafeConsole

dev = typer.Typer(help="Judge the judge: certify the checks.", no_args_is_help=True)
console = SafeConsole()


def add_to(app: typer.Typer) -> None:
    app.add_typer(dev, name="dev")
    app.command()(doctor)


@dev.command()
def check(
    names: Names = None,
    seed: Annotated[str, typer.Option(help="Another seed draws other inputs.")] = "certify",
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1)] = os.cpu_count() or 1,
    device: Annotated[str, typer.Option(help="cuda: put the checks that need a GPU on it; cpu: run them small.")] = "cpu",
    assignment: AssignmentName = None,
) -> None:
    """Solutions pass, stubs are missing, every mistake dies by the check that claims it, every variant passes."""
    from grader.authoring import certificate
    from grader.authoring.certify import certify, table
    from grader.authoring.complete import lacking

    started = time.perf_counter()
    lecture = chosen(assignment, names or [])
    exercises = select(load(lecture), names or [])
    certificates = sorted(certify(lecture, seed, exercises, jobs, device), key=lambda one: exercises.index(one.exercise))
    console.print(table(certificates))
    for one in certificates:
        for name, figure in one.figures.items():
            console.print(f"{one.exercise}: {name}: {figure}")
    faults = [f"{one.exercise}: {fault}" for one in certificates for fault in one.faults]
    faults += lacking(lecture, exercises if names else ())
    for fault in faults:
        console.print(fault, style="red")
    console.print(f"{len(faults)} faults, {time.perf_counter() - started:.0f} s")
    if not names and not faults and device == "cpu":
        certificate.write(lecture, certificates)
    raise typer.Exit(1 if faults else 0)


@dev.command()
def update(names: Names = None, assignment: AssignmentName = None) -> None:
    """Write anew what is made from the sources, the checks and the catalogue: stubs and notebooks, pins, pages of docs/."""
    from grader.authoring import build, certificate, pins, reference
    from grader.authoring.certify import certify

    lecture = chosen(assignment, names or [])
    exercises = select(load(lecture), names or [])
    build.build(lecture)
    pins.write(lecture, exercises if names else ())
    stale = [name for name in certificate.outdated(lecture) if name in exercises]
    certificate.write(lecture, list(certify(lecture, "certify", stale)) if stale else [])
    reference.write()
    console.print("stubs, notebooks, pins, certificate and reference are of now: read `git diff`")


@dev.command()
def mutate(names: Names = None, assignment: AssignmentName = None) -> None:
    """Change every solution a little, everywhere: which change does no check notice?"""
    from grader.authoring.mutation import report

    raise typer.Exit(report(chosen(assignment, names or []), names or []))


@dev.command()
def new(name: Annotated[str, typer.Argument(help="TOPIC.FUNCTION", show_default=False)], assignment: AssignmentName = None) -> None:
    """Start an exercise: all its places, each with a reminder of what to write there."""
    from grader.authoring.new import new_exercise

    topic = name.split(".")[0]
    known = any(topic in load(lecture).topics for lecture in lectures())
    for path in new_exercise(load(chosen(assignment, [topic] if known else [])), name):
        console.print(path, soft_wrap=True)
    console.print(f"replace every REPLACE ME, then: dgm dev update {name} && dgm dev check {name}")


@dev.command("new-assignment")
def new_assignment(name: Annotated[str, typer.Argument(show_default=False)]) -> None:
    """Start an assignment: its folders, without exercises."""
    from grader.authoring.new import new_assignment as make

    for path in make(name):
        console.print(path, soft_wrap=True)
    console.print(f"next: dgm dev new TOPIC.FUNCTION --assignment {name}")


def doctor() -> None:
    """Attack a throw-away worker: which layers of isolation hold on this machine?"""
    from grader.exam.collect import worker_modules
    from grader.grading.kit import hidden
    from grader.sandbox.layers.doctor import diagnose

    table = Table("layer", "holds here", "what it gives, or what to do")
    rows = diagnose([module for name in lectures() for module in worker_modules(name)], hidden())
    for row in rows:
        table.add_row(
            row.layer,
            Text("yes", "green") if row.holds else Text("no", "red" if row.needed else "yellow"),
            Text(row.note or row.gives),
        )
    console.print(table)
    raise typer.Exit(0 if all(row.holds for row in rows if row.needed) else 1)
