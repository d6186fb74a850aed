"""What a run says while it goes on."""

from __future__ import annotations

import io
import json

from grader.record import CheckRecord, Done, ExerciseRecord, KitRecord, Record
from grader.renderings import running
from grader.renderings.terminal import SafeConsole

KIT = KitRecord(version="1", torch="2", hypothesis="3", seed="sha256:4")


def _done(name: str, outcome: str, found: bool) -> Done:
    check = CheckRecord(check="test_it", outcome=outcome, points=0.0, max_points=1.0)  # type: ignore[arg-type]
    exercise = ExerciseRecord(exercise="t.f", score=0.0, max_score=1.0, checks=[check])
    record = Record(
        submission=name, assignment="lecture1", score=0.0, max_score=1.0, not_graded=0.0, exercises=[exercise], kit=KIT, seconds=2.5
    )  # fmt: skip
    return Done(record, found)


RUN = [_done("[bold]anna", "failed", found=False), _done("bert", "passed", found=True)]


def test_scripts_get_one_object_a_line() -> None:
    out = io.StringIO()
    records = list(running.json_lines(RUN, 2, SafeConsole(file=out)))
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["graded", "found"]
    assert lines[0]["submission"] == "[bold]anna"
    assert lines[0]["outcomes"] == {"failed": 1}
    assert (lines[1]["number"], lines[1]["of"]) == (2, 2)
    assert [record.submission for record in records] == ["[bold]anna", "bert"]


def test_logs_get_one_line_each_and_no_markup_of_a_students() -> None:
    out = io.StringIO()
    list(running.plain(RUN, 2, SafeConsole(file=out, width=40)))
    assert out.getvalue().splitlines() == [
        "1/2  [bold]anna  0 of 1  (2.5 s)",
        "2/2  bert  0 of 1  (found from an earlier run)",
    ]


def test_a_terminal_gets_totals_by_outcome() -> None:
    out = io.StringIO()
    console = SafeConsole(file=out, force_terminal=True, width=120)
    list(running.bar(RUN, 2, console))
    assert "2/2" in out.getvalue()
    assert "✓1 ✗1" in out.getvalue()
