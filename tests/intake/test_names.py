"""Names of results are made: short, safe on any file system, unique; the name that was given stays in the record."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.submission import find
from grader.submission.names import DEVICES, MAX_BYTES, made_from
from tests.intake.making import LECTURE, flows, lay, of_class, zipped

KEPT = ["s01", "anna müller", "Anna Müller_340934", "muelleranna_340934", "王小明_1009", "a.b-c (2)", "x" * 80]


@pytest.mark.parametrize("name", KEPT)
def test_a_usual_name_is_kept(name: str) -> None:
    assert made_from([name]) == [name]


MADE = {
    "records.jsonl": "records_jsonl", "grades.csv": "grades_csv", "junit.xml": "junit_xml", "Grades.CSV": "Grades_CSV",
    "report_students": "_report_students", "CON": "_CON", "con.txt": "con_txt", "nul.tar": "_nul.tar", "COM1": "_COM1", "aux ": "_aux",
    "anna.": "anna", "anna ": "anna", ".anna": "anna", "-rf": "rf", "a/b\\c": "a_b_c", "a\nb": "a_b", "<b>": "_b_", "a:b|c*": "a_b_c_",
    "\u202egnp.exe": "_gnp.exe", "a\u009bb": "a_b", "a\udcf6b": "a_b", "\U0001d160" * 62: "submission", "": "submission", "...": "submission",
    "😀": "submission", "Mu\u0308ller": "Müller", "ｆｕｌｌ": "full", "a\u200bb": "a_b", "x;=1+1;y": "x__1_1_y", "王" * 95: "王" * 26, "=cmd()": "_cmd()",
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_an_unusual_name_is_made(name: str) -> None:
    assert made_from([name]) == [MADE[name]]


def test_what_a_file_system_takes_for_one_gets_numbers() -> None:
    alike = ["anna", "Anna", "ANNA", "Ｍüller", "Mu\u0308ller", "müller", "straße", "STRASSE", "x" * 90, "x" * 91]
    made = made_from(alike)
    assert made == ["anna", "Anna (2)", "ANNA (3)", "Müller", "Müller (2)", "müller (3)", "straße", "STRASSE (2)", "x" * 80, "x" * 80 + " (2)"]


@given(st.lists(st.text(max_size=120) | st.sampled_from([*MADE, *KEPT]), max_size=12))
def test_any_names_become_folders_side_by_side(given_names: list[str]) -> None:
    made = made_from(given_names)
    keys = {unicodedata.normalize("NFKD", name).casefold() for name in made}
    assert len(keys) == len(given_names)
    for name in made:
        assert name.isprintable()
        assert len(name.encode()) <= MAX_BYTES + 8
        assert not set(name) & set('/\\:*?"<>|')
        assert name == name.strip(" ").rstrip(".")
        assert name.split(".")[0].lower() not in DEVICES
        assert not name.startswith((".", "-"))


def test_the_given_name_is_kept_in_the_record(tmp_path: Path) -> None:
    lay(tmp_path, {"grades.csv.py": flows(), "s01.py": flows(), "<i>.zip": zipped({"flows.py": flows()})})
    assert {name: one.handed_in_as for name, one in of_class(tmp_path).items()} == {"grades_csv": "grades.csv", "s01": "", "_i_": "<i>"}


@pytest.mark.parametrize("before", [None, "", "./", "COURSE/"])
def test_names_that_look_alike_are_two_submissions(tmp_path: Path, before: str | None) -> None:
    names = ("Jos\u00e9", "Jose\u0301", "anna\x01", "anna\x02")
    files: dict[str, str | bytes] = {f"{name}/flows.py": flows(str(number)) for number, name in enumerate(names)}
    path = lay(tmp_path / "class", files)
    if before is not None:
        path = tmp_path / "class.zip"
        path.write_bytes(zipped({before + name: data for name, data in files.items()}))
    found = of_class(path, "class")
    assert sorted(one.topics["flows"] for one in found.values()) == [[flows(str(number))] for number in range(4)]


def test_a_name_that_is_not_utf8_is_shown_as_far_as_it_is_text(tmp_path: Path) -> None:
    lay(tmp_path / "class/anna", {"flows.py": flows()})
    for name in (b"L\xf6sung.zip", b"\xff.py", b"fl\xf6ws.rar"):
        Path(os.fsdecode(os.fsencode(tmp_path / "class/anna") + b"/" + name)).write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(tmp_path / "class") + b"/B\xf6b.py")).write_text(flows())
    found = of_class(tmp_path / "class")
    assert set(found) == {"anna", "B_b"}
    for submission in found.values():
        for text in (submission.name, submission.handed_in_as, *submission.problems):
            assert text.encode().decode() == text


def test_sentences_hold_no_control_characters_and_are_short(tmp_path: Path) -> None:
    entries = {f"{'x' * 400}\u202e\u009b{n}.rar": b"" for n in range(100)}
    lay(tmp_path, {"anna.zip": zipped(entries), "bert.py": flows()})
    problems = of_class(tmp_path)["anna"].problems
    assert len(problems) <= 41
    assert all(len(problem) <= 500 and problem.isprintable() for problem in problems)
    assert sum(map(len, problems)) < 20_000


def test_names_are_found_in_one_order_whatever_the_file_system_says(tmp_path: Path) -> None:
    for name in ("b.py", "a.py", "c.py"):
        lay(tmp_path, {name: flows()})
    assert [one.name for one in find(tmp_path, LECTURE)] == ["a", "b", "c"]
