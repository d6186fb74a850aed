"""A term with real commands: two assignments, two sections, late work, points that change, and the way back to the platforms.

The tables at its end are those that the instructor works out by hand.
"""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.assignment import REPO_ROOT, load
from tests.grading import small_checkout

COURSE = """
[points]
{points}
[due]
lecture1 = 2026-10-12T23:59:00+02:00
families = 2026-11-02T12:00:00+01:00

[late]
per_day = 0.1
at_most = 0.25
grace = 15

[extensions.lecture1]
"cohencarla" = 2026-10-15T23:59:00+02:00

[submitted.lecture1]
"Anna Müller" = 2026-10-14T01:00:00+02:00  # an hour into the second day
"cohencarla" = 2026-10-14T01:00:00+02:00

[[adjustment]]
submission = "cohencarla"
assignment = "lecture1"
points = 1.5
reason = "found a mistake in the sheet"
"""
GRADESCOPE = """submission_1:
  :submitters:
  - :name: Anna Müller
    :sid: '0042'
  :created_at: 2026-11-05 10:59:00.000000000 Z
submission_2:
  :submitters:
  - :name: Dan
    :sid: '0043'
  :created_at: 2026-11-02 11:14:00.000000000 Z
"""
MOODLE = """ID,Vollständiger Name,E-Mail-Adresse,Status,Bewertung,Bestwertung,Bewertung kann geändert werden,\
Zuletzt geändert (Abgabe),Zuletzt geändert (Bewertung),Feedback als Kommentar
Teilnehmer/in 340934,Anna Müller,a@x.org,Zur Bewertung abgegeben,,"12,00",Ja,"Dienstag, 13. Oktober 2026, 15:04",-,
Teilnehmer/in 340935,Bert Schmidt,b@x.org,Zur Bewertung abgegeben,,"12,00",Ja,"Montag, 12. Oktober 2026, 15:04",-,
"""
CANVAS = """Student,ID,SIS Login ID,Section,Lecture 1 (77),Families (78)
    Points Possible,,,,12.00,30.00
"Cohen, Carla",31,carla,B,,
"Young, Dan",41,dan,B,,
"""


@pytest.fixture
def checkout() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dgm-term-") as folder:
        small_checkout.build(Path(folder))
        small_checkout.add(Path(folder), "families", "gan")
        yield Path(folder)


def test_a_term(checkout: Path, tmp_path: Path) -> None:
    def dgm(*arguments: str, code: int = 0) -> str:
        command = [sys.executable, "-c", "from grader.cli import app; app()", *arguments]
        environment = {**small_checkout.environment(checkout), "COLUMNS": "200"}
        del environment["DGM_SEED"]
        done = subprocess.run(command, cwd=tmp_path / "course", env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def grades(results: str) -> dict[str, dict[str, str]]:
        with open(tmp_path / "course" / results / "grades.csv", encoding="utf-8") as file:
            return {row["submission"]: row for row in csv.DictReader(file)}

    (tmp_path / "course").mkdir()
    dgm("course", "init", ".")
    settings = tmp_path / "course/course.toml"
    made = settings.read_text("utf-8")
    assert 'assignments = ["families", "lecture1"]' in made
    top = 'assignments = ["families", "lecture1"]\nseed_file = ".dgm-seed"\ndisabled = ["lecture1.histogram.accepts"]\n'
    settings.write_text(top + COURSE.format(points=""), "utf-8")

    right = (REPO_ROOT / "solutions/lecture1/histogram.py").read_text("utf-8")
    partly = f"{right}\n\ndef num_parameters(m, K, order):\n    return -1\n"  # costs 2 of 10 points
    section_a, section_b, other = (tmp_path / "course" / name for name in ("a", "b", "gradescope"))
    for name, text in {"Anna Müller_340934": right, "Bert Schmidt_340935": partly}.items():
        folder = section_a / f"{name}_assignsubmission_file_"
        folder.mkdir(parents=True)
        (folder / "histogram.py").write_text(text, "utf-8")
    section_b.mkdir()
    (section_b / "cohencarla_LATE_31_501_histogram.py").write_text(partly, "utf-8")
    (section_b / "youngdan_41_502_histogram.py").write_text(right, "utf-8")
    game = (REPO_ROOT / "solutions/families/gan.py").read_text("utf-8")
    for number in (1, 2):
        (other / f"submission_{number}").mkdir(parents=True)
        (other / f"submission_{number}" / "gan.py").write_text(game, "utf-8")
    (other / "submission_metadata.yml").write_text(GRADESCOPE, "utf-8")

    assert "Moodle download, 2 students" in dgm("grade", "a", "-o", "lecture1", "-j", "1")
    assert "Canvas download, 2 students" in dgm("grade", "b", "-o", "lecture1", "-j", "1")
    assert "Gradescope download, 2 students" in dgm("grade", "gradescope", "-o", "families", "-j", "1")
    anna, bert, carla, dan = "Anna Müller_340934", "Bert Schmidt_340935", "cohencarla_31", "youngdan_41"
    table = grades("lecture1")
    assert {name: (float(row["score"]), float(row["final"]), row["late_days"]) for name, row in table.items()} == {
        anna: (10, 8, "2"), bert: (8, 8, "unknown"), carla: (8, 9.5, "0"), dan: (10, 10, "0"),
    }  # fmt: skip
    assert "histogram.accepts" not in table[dan]
    assert "2 days late, 20% of 10 points off" in table[anna]["why"]
    assert "time unknown: no penalty" in table[bert]["why"]
    assert table[carla]["why"] == "an extension until 2026-10-15 23:59; points added: 1.5, found a mistake in the sheet"
    whole = sum(one.points for one in load("families").of_topic("gan"))
    table = grades("families")
    late = next(row for name, row in table.items() if name.startswith("Anna"))
    assert (float(late["score"]), float(late["final"]), late["late_days"]) == (whole, whole * 0.75, "3")  # at most a quarter
    on_time = next(row for name, row in table.items() if name.startswith("Dan"))
    assert (float(on_time["final"]), on_time["late_days"]) == (whole, "0")  # within the grace

    settings.write_text(top + COURSE.format(points='"lecture1.histogram.fit_histogram" = 4'), "utf-8")
    assert "does not exist" in dgm("grade", "nowhere", code=2)
    assert "graded differently (kit, points or rubric: " in dgm("grade", "a", "-o", "lecture1", code=2)
    for section in ("a", "b"):
        dgm("grade", section, "-o", "lecture1", "--only", "histogram.fit_histogram", "-j", "1")
    expected = {anna: (12, 9.6), bert: (10, 10), carla: (10, 11.5), dan: (12, 12)}
    assert {name: (float(row["score"]), float(row["final"])) for name, row in grades("lecture1").items()} == expected

    (tmp_path / "course/moodle.csv").write_text(MOODLE, "utf-8")
    (tmp_path / "course/canvas.csv").write_text(CANVAS, "utf-8")
    said = dgm("export", "lecture1", "--into", "moodle.csv")
    assert "final grades by" in said
    assert f"time unknown, so no penalty: {bert}" in said
    dgm("export", "lecture1", "--into", "canvas.csv", "--column", "Lecture 1 (77)")
    moodle = list(csv.reader(io.StringIO((tmp_path / "course/moodle.csv").read_text("utf-8"))))
    assert [row[4] for row in moodle] == ["Bewertung", "9,6", "10"]
    assert [row[7] for row in moodle[1:]] == ["Dienstag, 13. Oktober 2026, 15:04", "Montag, 12. Oktober 2026, 15:04"]
    assert "2 days late" in moodle[1][9]
    canvas = list(csv.reader(io.StringIO((tmp_path / "course/canvas.csv").read_text("utf-8"))))
    assert [row[4] for row in canvas] == ["Lecture 1 (77)", "12.00", "11.5", "12"]
    dgm("export", "lecture1", "--to", "moodle", "--feedback")
    with zipfile.ZipFile(tmp_path / "course/lecture1/moodle-feedback.zip") as pages:
        assert {name.split("_")[1] for name in pages.namelist()} == {"340934", "340935"}
        page = pages.read(next(name for name in pages.namelist() if "340934" in name)).decode()
    assert "Final grade: <b>9.6</b>" in page

    settings.write_text(settings.read_text("utf-8").replace("per_day = 0.1", "per_day = 0"), "utf-8")  # regrades nothing
    before = (tmp_path / "course/lecture1" / anna / "record.json").read_bytes()
    dgm("export", "lecture1", "--to", "csv")
    assert float(grades("lecture1")[anna]["final"]) == 12
    assert (tmp_path / "course/lecture1" / anna / "record.json").read_bytes() == before
    assert json.loads(before)["score"] == 12
    os.remove(tmp_path / "course/.dgm-seed")
    assert "Put the seed there" in dgm("grade", "a", "-o", "lecture1", code=2)
    assert not (tmp_path / "course/.dgm-seed").exists()
