"""What strangers wrote is shown and never obeyed: by a terminal, a spreadsheet, a browser."""

from __future__ import annotations

import csv
import io

import msgspec
import pytest
from rich.console import Group
from rich.table import Table
from rich.text import Text

from grader import spreadsheet
from grader.record import LONGEST, CheckRecord, KitRecord, Record, bounded, exercise_record, summed
from grader.renderings import running
from grader.renderings.terminal import SafeConsole, class_table, exercise_view

UNSAFE = "\x1b\x9b\x07\x00\r\u202e\u2066\u200b\ufeff\u2028\x85\udc80"
NAME = f"anna{UNSAFE}[31mred :warning: [bold]"


def record(name: str) -> Record:
    said = {"message": NAME, "counterexample": NAME, "sentence": NAME, "mistake_says": NAME}
    check = CheckRecord(check="test_c", outcome="failed", points=0.0, max_points=1.0, **said)
    kit = KitRecord(version="0", torch="2", hypothesis="6", seed="sha256:0")
    exercises = [exercise_record("flows.radial", NAME, [check])]
    return Record(submission=name, assignment="a", kit=kit, seconds=1.0, problems=[name], **summed(exercises))


def shown(*what: object, terminal: bool = True) -> str:
    out = io.StringIO()
    SafeConsole(file=out, width=200, force_terminal=terminal, color_system=None).print(*what)
    return out.getvalue()


@pytest.mark.parametrize(
    "what",
    [
        Text(NAME), class_table([record(NAME)]), exercise_view(record(NAME).exercises[0]), Group(Text(NAME), Text("x")),
        Table(NAME.replace("[bold]", "")), NAME.replace("[bold]", ""),
    ],
    ids=["text", "class", "exercise", "group", "table", "string"],
)  # fmt: skip
def test_no_terminal_obeys_a_student(what: object) -> None:
    text = shown(what)
    assert "anna" in text
    assert not set(text) & (set(UNSAFE) - {"\r"}), ascii(text)
    assert "\r" not in text
    assert "⚠" not in text


def test_brackets_are_shown_as_they_are() -> None:
    assert shown("work [bold] [/x] [1]", terminal=False) == "work [bold] [/x] [1]\n"


def test_a_run_obeys_no_name() -> None:
    from grader.record import Done

    out = io.StringIO()
    console = SafeConsole(file=out, width=200, color_system=None)
    list(running.plain([Done(record(NAME), found=True)], 1, console))
    list(running.json_lines([Done(record(NAME), found=True)], 1, console))
    assert not set(out.getvalue()) & set(UNSAFE)


@pytest.mark.parametrize(
    "cell", ["=1+1", "x;=1+1;y", "x\t+1", 'x";"=1+1', "x\n@SUM(A1)", "x\r-1", "  =1", "\uff1d1+1", "\x00=1", "'=1;  -2"]
)
def test_no_spreadsheet_runs_a_cell(cell: str) -> None:
    text = spreadsheet.csv_text([["name", "points"], [cell, 1.5], ["b", 2.0]])
    for delimiter in ",;\t":
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            assert not [one for one in row if one.strip().strip('"').strip()[:1] in tuple("=@\uff1d")]
    assert list(csv.reader(io.StringIO(text, newline="")))[2] == ["b", "2"]
    assert text.startswith('"name","points"\r\n"')  # in quotes, whatever separates


def test_ordinary_names_stay_as_they_are() -> None:
    assert spreadsheet.harmless("Müller-Lüdenscheidt, Anna; née O'Neil") == "Müller-Lüdenscheidt, Anna; née O'Neil"


def test_a_record_has_a_largest_size() -> None:
    long = "x" * 10_000_000
    one = msgspec.structs.replace(record("s").exercises[0].checks[0], message=long, counterexample=long)
    large = msgspec.structs.replace(record("s"), exercises=[exercise_record("flows.radial", "", [one])])
    small = bounded(large)
    check = small.exercises[0].checks[0]
    assert len(check.message) == LONGEST["message"]
    assert len(check.counterexample) == LONGEST["counterexample"]
    assert check.message.endswith(" …")
    many = bounded(msgspec.structs.replace(small, problems=["p"] * 1000))
    assert len(many.problems) == 50
    assert bounded(small) == small
