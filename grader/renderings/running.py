"""A run of `dgm grade` as it goes: a bar in a terminal, plain lines elsewhere, JSON lines for scripts."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from grader.record import Done, Record
from grader.renderings.terminal import in_signs, outcomes


def bar(graded: Iterable[Done], total: int, console: Console) -> Iterator[Record]:
    """Rate, time left, and how the checks came out so far."""
    totals: Counter[str] = Counter()
    fresh, started = 0, time.monotonic()
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[totals]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total, rate="", totals="rehearsing")
        for done in graded:
            totals += outcomes(done.record)
            fresh += not done.found
            rate = f"{60 * fresh / (time.monotonic() - started):.1f}/min"
            progress.update(task, advance=1, rate=rate, totals=in_signs(totals))
            yield done.record


def plain(graded: Iterable[Done], total: int, console: Console) -> Iterator[Record]:
    """A line for each submission: for logs."""
    for number, done in enumerate(graded, start=1):
        record = done.record
        how = "found from an earlier run" if done.found else f"{record.seconds:.1f} s"
        bonus = f", bonus {record.bonus_score:g}" if record.bonus_score else ""
        line = f"{number}/{total}  {record.submission}  {record.score:g} of {record.max_score:g}{bonus}  ({how})"
        console.print(line, soft_wrap=True)
        yield record


def json_lines(graded: Iterable[Done], total: int, console: Console) -> Iterator[Record]:
    """A JSON object for each submission: for scripts."""
    for number, done in enumerate(graded, start=1):
        record = done.record
        event(
            console, "found" if done.found else "graded", number=number, of=total, submission=record.submission, score=record.score,
            max_score=record.max_score, not_graded=record.not_graded, bonus_score=record.bonus_score, outcomes=outcomes(record),
            seconds=record.seconds,
        )  # fmt: skip
        yield record


def event(console: Console, name: str, **facts: Any) -> None:
    """One line of JSON, out at once."""
    console.file.write(json.dumps({"event": name, **facts}) + "\n")
    console.file.flush()
