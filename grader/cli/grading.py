"""`dgm grade`: the terminal's side of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from grader.cli.chosen import AssignmentName, chosen
from grader.renderings import running
from grader.renderings.terminal import class_table
from grader.submission import Layout


def add_to(app: typer.Typer) -> None:
    app.command()(grade)


def grade(
    submissions: Annotated[
        Path, typer.Argument(help="A folder of submissions: folders, .py, .ipynb, .zip.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the records go.")] = Path("results"),
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Graders side by side.")] = os.cpu_count() or 1,
    isolation: Annotated[
        str, typer.Option(help="default: the strongest that holds here; strict; none: for code you trust.")
    ] = "default",
    seed_file: Annotated[
        Path | None, typer.Option(help="The grading seed ($DGM_SEED, else .dgm-seed, made on first use).")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out checks that train a model.")] = False,
    hide_expected: Annotated[
        bool, typer.Option("--hide-expected", help="Tell students what they returned, not what was expected.")
    ] = False,
    scheduler: Annotated[
        str, typer.Option(help="Grade on the Dask cluster behind this scheduler, such as tcp://10.0.0.1:8786.")
    ] = "",
    layout: Annotated[
        Layout, typer.Option(help="What kind of folder or download this is; auto: by the names of all its entries.")
    ] = "auto",
    assignment: AssignmentName = None,
    json: Annotated[bool, typer.Option("--json", help="A line of JSON for each submission, for scripts.")] = False,
) -> None:
    """Grade a folder of submissions."""
    from grader.grading.grade import CannotGrade, submissions_in
    from grader.grading.grade import grade as run
    from grader.grading.kit import SeedError, grading_seed
    from grader.grading.options import GradingOptions
    from grader.grading.store import StoreError
    from grader.sandbox.layers.policy import Refused

    console = Console()
    name = chosen(assignment, handed_in=submissions)
    try:
        order = GradingOptions(name, grading_seed(seed_file), isolation, quick, show_expected=not hide_expected)
        handed_in = submissions_in(submissions, name, layout)
        if not json:
            console.print(handed_in.said, markup=False, highlight=False, soft_wrap=True)
        if scheduler:
            from grader.grading.cluster import grade_on

            graded = grade_on(scheduler, handed_in, output, order)
        else:
            graded = run(handed_in, output, order, jobs)
        show = running.json_lines if json else running.bar if console.is_terminal else running.plain
        table = class_table(show(graded, len(handed_in), console))
    except (CannotGrade, SeedError, StoreError, Refused) as error:
        if json:
            running.event(console, "error", message=str(error))
        else:
            console.print("cannot grade:", style="red", end=" ")
            console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    if json:
        running.event(console, "finished", submissions=handed_in.said, records=f"{output}/records.jsonl", grades=f"{output}/grades.csv")
        return
    console.print(table)
    console.print(f"records: {output}/records.jsonl   grades: {output}/grades.csv", soft_wrap=True)
