"""`dgm grade`: the terminal's side of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from grader import course as courses
from grader.assignment import REPO_ROOT, load
from grader.cli.chosen import AssignmentName, chosen, listed, stop
from grader.errors import GraderError
from grader.practice.names import select
from grader.record import Record
from grader.renderings import running
from grader.renderings.terminal import SafeConsole, class_table, outcomes
from grader.submission import Layout

SeedFile = Annotated[Path | None, typer.Option(help="The grading seed ($DGM_SEED, else course.toml's, else .dgm-seed).")]
console = SafeConsole()


def add_to(app: typer.Typer) -> None:
    app.command()(grade)
    cache = typer.Typer(help="What is kept between runs, so that the next one starts at once.", no_args_is_help=True)
    cache.command()(clear)
    app.add_typer(cache, name="cache")


def grade(
    submissions: Annotated[
        Path, typer.Argument(help="A folder of submissions: folders, .py, .ipynb, .zip.", exists=True, show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", "--into", help="Where the records go.")] = Path("results"),
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Graders side by side.")] = os.cpu_count() or 1,
    isolation: Annotated[str, typer.Option(help="default: the strongest that holds here; strict; none: for code you trust.")] = "default",
    seed_file: SeedFile = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out checks that train a model.")] = False,
    hide_expected: Annotated[
        bool, typer.Option("--hide-expected", help="Tell students what they returned, not what was expected.")
    ] = False,
    scheduler: Annotated[str, typer.Option(help="Grade on the Dask cluster behind this scheduler, such as tls://10.0.0.1:8786.")] = "",
    tls: Annotated[Path | None, typer.Option(help="The folder with cert.pem and key.pem of the cluster.", show_default=False)] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Send the seed to a scheduler without encryption.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Grade these exercises again and keep the rest of each record.", show_default=False),
    ] = None,
    regrade: Annotated[bool, typer.Option("--regrade", help="Grade again what another kit, seed or other options have graded.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="One after the other, every check on every input: a breakpoint() in a check stops there.")
    ] = False,
    layout: Annotated[
        Layout, typer.Option(help="What kind of folder or download this is; auto: by the names of all its entries.")
    ] = "auto",
    assignment: AssignmentName = None,
    json: Annotated[bool, typer.Option("--json", help="A line of JSON for each submission, for scripts.")] = False,
) -> None:
    """Grade a folder of submissions."""
    from grader.grading import store
    from grader.grading.grade import grade as run
    from grader.grading.grade import submissions_in
    from grader.grading.kit import grading_seed
    from grader.grading.options import GradingOptions
    from grader.hidden.places import refuse_without_reference

    refuse_without_reference()
    course = courses.find(REPO_ROOT)
    if course and course.is_relative_to(submissions.resolve()):
        stop(f"{course} lies among what is to be graded: somebody may have handed it in. Stand in your course's folder")
    name = chosen(assignment, handed_in=submissions)
    try:
        exercises = tuple(select(load(name), only)) if only else ()
        graded_before = bool(store.manifest(output).graded_by)
        seed = grading_seed(seed_file, first=not graded_before)
        options = GradingOptions(name, seed, isolation, quick, show_expected=not hide_expected, only=exercises)
        handed_in = submissions_in(submissions, name, layout)
        if json:
            running.event(console, "submissions", said=handed_in.said)
        else:
            console.print(handed_in.said, soft_wrap=True)
            if course:
                console.print(f"course: {course}", soft_wrap=True)
        if scheduler and debug:
            stop("--debug is for this machine: leave --scheduler out")
        if scheduler:
            from grader.grading.cluster import Scheduler, grade_on

            graded = grade_on(Scheduler(scheduler, tls, insecure), handed_in, output, options, submissions, regrade)
        else:
            graded = run(handed_in, output, options, jobs, submissions, regrade, debug)
        show = running.json_lines if json else running.bar if console.is_terminal and not debug else running.plain
        seen: list[str] = []
        broken: list[str] = []
        empty: list[str] = []
        table = class_table(_noting(show(graded, len(handed_in), console), seen, broken, empty))
    except GraderError as error:
        if not json:
            raise
        running.event(console, "error", message=str(error))
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        console.print(f"\nstopped. What is finished is kept in {output}: the same command goes on with the rest.", soft_wrap=True)
        raise typer.Exit(130) from None
    left_out = [one.name for one in handed_in if one.name not in seen]
    if json:
        facts = {"faults": broken, "left_out": left_out} if broken or left_out else {}
        running.event(console, "finished", records=f"{output}/records.jsonl", grades=f"{output}/grades.csv", **facts)
    else:
        console.print(table)
        if empty:
            console.print(
                f"nothing could be graded of {len(empty)}: {listed(empty)}. What was wrong with the files stands in their records "
                "(problems) and in dgm report.", style="yellow", soft_wrap=True,
            )  # fmt: skip
        if left_out:
            console.print(f"left out, since no record here is of this very work: {listed(left_out)}", soft_wrap=True)
        if broken:
            console.print(
                f"the grader broke on {len(broken)}, who are not graded yet: {listed(broken)}. What went wrong stands in "
                f"{output}/faults.log; the same command tries them again.", style="red", soft_wrap=True,
            )  # fmt: skip
        console.print(f"records: {output}/records.jsonl   grades: {output}/grades.csv", soft_wrap=True)
    raise typer.Exit(3 if broken else 0)


def _noting(records: Iterable[Record], seen: list[str], broken: list[str], empty: list[str]) -> Iterator[Record]:
    """The records, and the names of their submissions, of those on which the grader broke, and of those with no work to read."""
    for record in records:
        seen.append(record.submission)
        if record.fault:
            broken.append(record.submission)
        elif record.problems and not set(outcomes(record)) - {"missing", "not_graded"}:
            empty.append(record.submission)
        yield record


def clear() -> None:
    """Remove what is kept between runs; the next one makes it anew."""
    from grader.grading import preparation

    console.print(f"removed: {preparation.clear() / 1e6:.1f} MB")
