"""Grades go back into the files that the platforms exported, whatever their language, and nothing else in them changes."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grader import record as records
from grader.cli import app
from grader.record import CheckRecord, KitRecord, Person, Record, exercise_record, summed
from grader.renderings import comparison, gradebook, platforms

KIT = KitRecord(version="1", torch="2", hypothesis="3", seed="sha256:0")


def made(name: str, score: float, student: Person | None, outcome: str = "passed", kit: KitRecord = KIT) -> Record:
    check = CheckRecord(check="test_a", outcome=outcome, points=score, max_points=98.0, message="<b>& too small")  # type: ignore[arg-type]
    exercises = [exercise_record("flows.planar", "3", [check])]
    return Record(submission=name, assignment="lecture1", kit=kit, seconds=1.0, student=student, **summed(exercises))


CLASS = [
    made("mueller", 83.5, Person("muelleranna", "340934", platform="canvas", attempt="208490284", late=True), "failed"),
    made("other", 98.0, Person("Bert", "777", "b@x.org", "gradescope", members=(Person("Carla", "778", "C@x.org"),))),
    made("s07", 10.0, None),
]
CANVAS = '''\ufeffStudierende,ID,SIS-Benutzer-ID,SIS-Anmelde-ID,Abschnitt,Quiz (11),Lecture 1: tricks (12),Lecture 2 (13),Endergebnis
,,,,,Manuelle Veröffentlichung,,,
    Erreichbare Punkte,,,,,5.00,98.00,10.00,(schreibgeschützt)
"Müller, Anna",340934,u1,anna,A,4,,,91
"Schmidt, Bert",2,u2,b@x.org,B,340934,1,7,80
"Cohen, Carla",3,u3,c@X.org,B,3,,7,80
"Young, ""Dan""",4,u4,dan,B,,,,=1+1
"Adler, Eve",5,340934,eve,B,,,,
'''
MOODLE = """ID,Vollständiger Name,E-Mail-Adresse,Status,Bewertung,Bestwertung,Bewertung kann geändert werden,\
Zuletzt geändert (Abgabe),Zuletzt geändert (Bewertung),Feedback als Kommentar
Teilnehmer/in 340934,Anna Müller,a@x.org,Zur Bewertung abgegeben,,"98,00",Ja,"Dienstag, 12. November 2024, 15:04",-,
Teilnehmer/in 12,Bert Schmidt,b@x.org,Keine Abgabe,"50,00","98,00",Ja,-,"Mittwoch, 13. November 2024, 10:00",alt
Teilnehmer/in 13,Dan Young,d@x.org,Keine Abgabe,,"98,00",Ja,-,-,
"""


def rows(content: bytes, encoding: str = "utf-8-sig") -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(encoding), newline="")))


def test_canvas_column_is_filled_and_all_else_is_kept() -> None:
    before = CANVAS.encode()
    filled = gradebook.fill(before, CLASS, "Lecture 1: tricks (12)")
    old, new = rows(before), rows(filled.content)
    assert [row[6] for row in new] == ["Lecture 1: tricks (12)", "", "98.00", "83.5", "98", "98", "", ""]
    assert [[*row[:6], *row[7:]] for row in new] == [[*row[:6], *row[7:]] for row in old]
    assert filled.content.startswith(b"\xef\xbb\xbf")
    assert (filled.graded, filled.without_record, filled.unknown) == (3, ['Young, "Dan"', "Adler, Eve"], ["s07"])
    assert rows(gradebook.fill(before, CLASS).content) == new  # "Lecture 1…" is lecture1
    with pytest.raises(gradebook.CannotFill, match="Say --column with one of 'Quiz \\(11\\)', 'Lecture 1: tricks \\(12\\)'"):
        gradebook.fill(before, CLASS, "Lecture")


def test_a_german_worksheet_keeps_dates_and_decimal_comma() -> None:
    filled = gradebook.fill(MOODLE.encode(), CLASS)
    old, new = rows(MOODLE.encode()), rows(filled.content)
    assert [row[4] for row in new] == ["Bewertung", "83,5", "98", ""]
    assert [row[7:9] for row in new] == [row[7:9] for row in old]
    assert "<li>flows.planar: 83.5 of 98</li>" in new[1][9]
    assert new[3] == old[3]
    assert (filled.graded, filled.without_record, filled.unknown) == (2, ["Teilnehmer/in 13 Dan Young"], ["s07"])
    assert filled.remarks == []
    half = gradebook.fill(MOODLE.replace("98,00", "100,00").encode(), CLASS)
    assert "maximum is 100" in half.remarks[0]


@pytest.mark.parametrize("content", [b"", b"a,b\n", b"name,points\nanna,3\n", b"\xff\xfe\x00", b"\x80abc", b"PK\x03\x04"])
def test_another_file_is_refused_with_a_sentence(content: bytes) -> None:
    with pytest.raises(gradebook.CannotFill):
        gradebook.fill(content, CLASS)


def results(folder: Path, class_: list[Record]) -> Path:
    for record in class_:
        (folder / record.submission).mkdir(parents=True)
        (folder / record.submission / "record.json").write_bytes(records.encode(record))
    return folder


def test_the_command_fills_the_file_and_keeps_what_it_was(tmp_path: Path) -> None:
    theirs = tmp_path / "grades export.csv"
    theirs.write_bytes(CANVAS.encode())
    done = CliRunner().invoke(app, ["export", str(results(tmp_path / "r", CLASS)), "--into", str(theirs)])
    assert done.exit_code == 0, done.output
    assert "3 grades in the column 'Lecture 1: tricks (12)'" in done.output
    assert "1 not in the file: s07" in done.output
    assert theirs.with_name("grades export.csv.before").read_bytes() == CANVAS.encode()
    plain = CliRunner().invoke(app, ["export", str(tmp_path / "r"), "--to", "canvas"])
    assert "makes a new column 'lecture1'" in plain.output


def test_pages_go_back_under_the_names_that_the_platforms_look_for(tmp_path: Path) -> None:
    anna = made("anna", 1.0, Person("Anna_Müller / x", "12", platform="moodle"))
    content, left_out = platforms.feedback_zip([*CLASS, anna], "moodle", lambda record: f"page of {record.submission}")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["AnnaMüller  x_12_assignsubmission_file_feedback.html"]
        assert archive.read(archive.namelist()[0]) == b"page of anna"
    assert left_out == ["mueller", "other", "s07"]
    done = CliRunner().invoke(app, ["export", str(results(tmp_path / "r", CLASS)), "--to", "canvas", "--feedback"])
    assert "not in it: other, s07" in done.output
    with zipfile.ZipFile(tmp_path / "r/canvas-feedback.zip") as archive:
        (name,) = archive.namelist()
        assert name == "muelleranna_LATE_340934_208490284_feedback.html"
        assert b"lecture1" in archive.read(name)
    user, attachment = [part for part in name.split("_") if part.isdigit()][:2]  # as Canvas reads it
    assert (user, attachment) == ("340934", "208490284")


def test_what_changed_between_two_gradings_is_said(tmp_path: Path) -> None:
    newer = KitRecord(version="2", torch="2", hypothesis="3", seed="sha256:0")
    old = [*CLASS, made("gone", 1.0, None)]
    new = [made("mueller", 98.0, CLASS[0].student, kit=newer), CLASS[1], made("s07", 4.0, None, "failed"), made("fresh", 2.0, None)]
    lines = list(comparison.sentences(list(comparison.compare(old, new))))
    assert lines[0] == "mueller  83.5 of 98 -> 98 of 98  (another version)"
    assert lines[1] == "  flows.planar test_a: failed 83.5/98 -> passed 98/98: <b>& too small"
    assert "s07  10 of 98 -> 4 of 98  (the same work, kit and seed)" in lines
    assert "fresh  only in the new one: 2 of 98" in lines
    assert not [line for line in lines if line.startswith("other")]
    done = CliRunner().invoke(app, ["diff", str(results(tmp_path / "a", CLASS)), str(tmp_path / "a")])
    assert (done.exit_code, done.output.strip().splitlines()[-1]) == (0, "no score and no check differs")
