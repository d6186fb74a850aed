"""Grades as Canvas, Moodle, Gradescope and CI services read them."""

import csv
import io
import json
import xml.etree.ElementTree as ET

import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner

from grader import record as records
from grader.cli import app
from grader.grading.store import Store
from grader.record import CheckRecord, KitRecord, Person, Record, exercise_record
from grader.renderings import platforms
from grader.renderings.gradescope import gradescope
from grader.renderings.junit import junit
from grader.renderings.terminal import class_table

KIT = KitRecord(version="0", torch="2", hypothesis="6", seed="sha256:0")
HOSTILE = '<script>alert("&")</script>\x00\x1b[31m\ud7ff\ufffe'


def check(name, outcome, points=1.0, **more):
    return CheckRecord(check=name, outcome=outcome, points=points if outcome == "passed" else 0.0, max_points=points, **more)


def made(submission, student=None, problems=()):
    told = {"sentence": "f is f", "message": HOSTILE, "counterexample": "x", "mistake_says": "You did g."}
    wrong = check("test_c", "failed", 0.25, **told)
    broken = [check(f"test_{outcome}", outcome) for outcome in ("timeout", "crashed", "error", "missing")]
    right = [check("test_a", "passed", seconds=0.25), check("test_b", "not_graded", message="no GPU")]
    return Record(
        submission=submission,
        assignment="lecture9",
        score=1.0,
        max_score=5.25,
        not_graded=1.0,
        exercises=[exercise_record("flows.planar", "3", right), exercise_record("flows.radial", "4", [wrong, *broken])],
        kit=KIT,
        seconds=2.5,
        student=student,
        problems=list(problems),
    )


def with_bonus(record, outcome="passed"):
    """The same with a bonus exercise of 3 points."""
    bonus = exercise_record("flows.judge", "5", [check("test_judge", outcome, 3.0)], bonus=True)
    return msgspec.structs.replace(record, bonus=[bonus], bonus_score=bonus.score)


def rows(text):
    return list(csv.reader(io.StringIO(text, newline="")))


def test_canvas_finds_students_by_its_id_and_the_assignment_by_its_title():
    anna, bert = made("muelleranna_340934", Person("muelleranna", "340934", "", "canvas")), made("=bert")
    assert rows(platforms.canvas([anna, bert])) == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "lecture9"],
        ["    Points Possible", "", "", "", "", "5.25"],
        ["muelleranna", "340934", "", "", "", "1"],
        ["'=bert", "", "", "", "", "1"],
    ]
    assert platforms.without_id([anna, bert], "canvas") == ["=bert"]


def test_moodle_finds_participants_by_their_identifier():
    anna = made("Anna Müller_340934", Person("Anna Müller", "340934", "", "moodle"), ["x.py was not read"])
    other = made("Carla_1", Person("Carla", "1", "c@x.org", "gradescope"))
    header, *lines = rows(platforms.moodle([anna, other]))
    assert header == [
        "Identifier", "Full name", "Email address", "Status", "Grade", "Maximum Grade", "Grade can be changed",
        "Last modified (submission)", "Last modified (grade)", "Feedback comments",
    ]  # fmt: skip
    assert lines[0] == ["Participant 340934", "Anna Müller", "", "", "1", "5.25", "Yes", "", "",
                        "<p>1 of 5.25 points</p><ul><li>flows.radial: 0 of 4.25</li><li>x.py was not read</li></ul>"]  # fmt: skip
    assert lines[1][:3] == ["", "Carla", "c@x.org"]


def test_gradescope_gets_a_test_for_each_check_and_leaves_out_what_was_not_graded():
    results = json.loads(gradescope(made("s01", problems=["a problem"])))
    assert (results["score"], results["output"], results["output_format"]) == (1.0, "a problem", "text")
    tests = {test["number"]: test for test in results["tests"]}
    assert list(tests) == ["1.1", "1.2", "2.1", "2.2", "2.3", "2.4", "2.5"]
    assert tests["1.1"] | {"tags": []} == {
        "name": "flows.planar: test_a", "number": "1.1", "output": "", "output_format": "text", "tags": [],
        "score": 1.0, "max_score": 1.0, "status": "passed",
    }  # fmt: skip
    assert "max_score" not in tests["1.2"]
    assert (tests["2.1"]["name"], tests["2.1"]["status"]) == ("flows.radial: f is f", "failed")
    assert tests["2.1"]["output"] == f"{HOSTILE}\nx\nYou did g."
    graded = [test for test in results["tests"] if "max_score" in test]
    assert sum(test["max_score"] for test in graded) == 5.25
    assert sum(test["score"] for test in graded) == results["score"]


def test_a_bonus_stands_beside_every_grade_and_in_none():
    anna = with_bonus(made("anna", Person("anna", "1", "", "canvas")))
    bert = with_bonus(made("bert", Person("bert", "2", "", "moodle")), "missing")
    assert [row[5:] for row in rows(platforms.canvas([anna, bert]))] == [
        ["lecture9", "lecture9 bonus"], ["5.25", "0"], ["1", "3"], ["1", "0"],
    ]  # fmt: skip
    _, *lines = rows(platforms.moodle([anna, bert]))
    assert [line[4:6] for line in lines] == [["1", "5.25"]] * 2
    assert "bonus, beside the grade: 3 of 3" in lines[0][-1]
    assert "bonus" not in lines[1][-1]  # without it nothing is missing
    results = json.loads(gradescope(anna))
    assert (results["score"], results["extra_data"]) == (1.0, {"bonus_score": 3.0})
    assert results["output"] == "Bonus, beside the score: 3 of 3 points."
    assert [test["name"] for test in results["tests"] if "judge" in test["name"]] == ["bonus: flows.judge: test_judge"]
    suites = ET.fromstring(junit([anna, bert]).split("\n", 1)[1])
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures"), suite.get("skipped")) for suite in suites] == [
        ("anna", "7", "2", "1"), ("anna bonus", "1", "0", "0"), ("bert", "7", "2", "1"), ("bert bonus", "1", "0", "1"),
    ]  # fmt: skip


def test_the_tables_of_grades_keep_the_bonus_apart(tmp_path):
    plain, anna = made("plain"), with_bonus(made("anna"))
    with Store(tmp_path) as store:
        store.write(plain)
        store.finish()
        assert "bonus" not in (tmp_path / "grades.csv").read_text()
        store.write(anna)
        store.finish()
    assert rows((tmp_path / "grades.csv").read_text()) == [
        ["submission", "score", "max_score", "not_graded", "flows.planar", "flows.radial", "bonus", "flows.judge"],
        ["anna", "1", "5.25", "1", "1", "0", "3", "3"],
        ["plain", "1", "5.25", "1", "1", "0", "0", ""],
    ]
    shown = io.StringIO()
    Console(file=shown, width=120).print(class_table([plain, anna]))
    assert "bonus" in shown.getvalue()


def test_junit_is_xml_whatever_students_write():
    text = junit([made("s01"), made(HOSTILE, problems=[HOSTILE])])
    first, second = ET.fromstring(text.split("\n", 1)[1])
    counts = {key: first.get(key) for key in ("name", "tests", "failures", "errors", "skipped", "time")}
    assert counts == {
        "name": "s01",
        "tests": "7",
        "failures": "2",
        "errors": "3",
        "skipped": "1",
        "time": "2.500",
    }
    outcomes = [(case.get("name"), [child.tag for child in case]) for case in first.iter("testcase")]
    assert outcomes == [
        ("test_a", []), ("test_b", ["skipped"]), ("test_c", ["failure"]),
        ("test_timeout", ["error"]), ("test_crashed", ["error"]),
        ("test_error", ["error"]), ("test_missing", ["failure"]),
    ]  # fmt: skip
    assert second.get("name", "").startswith("<script>")
    assert "\x1b" not in text


@pytest.fixture
def results(tmp_path):
    for made_record in (made("s01"), made("Anna_12", Person("Anna", "12", "", "moodle"))):
        folder = tmp_path / made_record.submission
        folder.mkdir()
        (folder / "record.json").write_bytes(records.encode(made_record))
    return tmp_path


@pytest.mark.parametrize("target", ["canvas", "moodle", "gradescope", "junit"])
def test_the_command_writes_into_the_results(results, target):
    outcome = CliRunner().invoke(app, ["export", str(results), "--to", target])
    assert outcome.exit_code == 0, outcome.output
    files = {
        "canvas": "canvas.csv",
        "moodle": "moodle.csv",
        "gradescope": "s01/results.json",
        "junit": "junit.xml",
    }
    assert (results / files[target]).read_text("utf-8").strip()
    assert ("without a moodle id" in outcome.output) == (target == "moodle")


def test_nothing_to_export_is_an_error(tmp_path):
    assert CliRunner().invoke(app, ["export", str(tmp_path), "--to", "canvas"]).exit_code == 2
    (tmp_path / "s01").mkdir()
    (tmp_path / "s01" / "record.json").write_text("{")
    outcome = CliRunner().invoke(app, ["export", str(tmp_path), "--to", "canvas"])
    assert (outcome.exit_code, "s01/record.json cannot be read" in outcome.output) == (2, True)


def test_a_place_where_nothing_can_be_written_is_said(results, tmp_path):
    (tmp_path / "file").touch()
    outcome = CliRunner().invoke(app, ["report", str(results), "-o", str(tmp_path / "file" / "report.html")])
    assert (outcome.exit_code, "file/report_students: Not a directory" in outcome.output) == (2, True), outcome.exception


def test_a_record_keeps_its_student():
    record = made("s01", Person("Anna", "12", "", "moodle"))
    assert records.decode(records.encode(record)) == msgspec.structs.replace(record, student=Person("Anna", "12", "", "moodle"))
