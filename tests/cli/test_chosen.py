"""Which assignment a command means where a kit has several."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
import typer

from grader import assignment as assignments
from grader.assignment import Assignment, Exercise
from grader.cli.chosen import at_work, chosen


@pytest.fixture(autouse=True)
def two_assignments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def load(name: str) -> Assignment:
        return Assignment(name, name, tuple(Exercise(f"{topic}.{f}", 1, 1, ("a hint",)) for topic, f in EXERCISES[name]))

    monkeypatch.setattr(assignments, "lectures", lambda: tuple(EXERCISES))
    monkeypatch.setattr(assignments, "load", load)
    monkeypatch.chdir(tmp_path)


EXERCISES = {"first": [("histogram", "fit"), ("both", "shared")], "second": [("vae", "elbo"), ("shared_too", "shared")]}


def test_a_name_is_taken_and_an_unknown_one_is_answered_with_the_choices(capsys):
    assert chosen("second") == "second"
    with pytest.raises(typer.Exit):
        chosen("third")
    assert "say --assignment with one of first, second" in capsys.readouterr().out


def test_the_folder_in_which_one_stands_decides(tmp_path, monkeypatch):
    (tmp_path / "assignments" / "second" / "deep").mkdir(parents=True)
    assert chosen(None, folder=tmp_path / "assignments" / "second") == "second"
    monkeypatch.chdir(tmp_path / "assignments" / "second" / "deep")
    assert chosen(None) == "second"


def test_an_exercise_that_one_assignment_has_decides(capsys):
    assert chosen(None, ["elbo"]) == "second"
    with pytest.raises(typer.Exit):
        chosen(None, ["shared"])
    assert "which assignment?" in capsys.readouterr().out


def test_hand_ins_are_recognised_by_the_names_of_their_files(tmp_path):
    (tmp_path / "class" / "s1").mkdir(parents=True)
    (tmp_path / "class" / "s1" / "vae (2).py").touch()
    with zipfile.ZipFile(tmp_path / "class" / "s2.zip", "w") as archive:
        archive.writestr("work/vae.ipynb", "")
    (tmp_path / "class" / "histogram.py").touch()
    (tmp_path / "class" / "broken.zip").write_bytes(b"PK")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "class" / "pipe.zip")  # to open it waits for whoever writes into it
    assert chosen(None, handed_in=tmp_path / "class") == "second"
    (tmp_path / "class" / "more").mkdir()
    (tmp_path / "class" / "more" / "histogram.py").touch()
    with pytest.raises(typer.Exit):
        chosen(None, handed_in=tmp_path / "class")  # as many for the one as for the other


def test_a_folder_with_one_for_each_assignment_is_not_graded_as_one_of_them(tmp_path, capsys):
    for file in ("first/s1/histogram.py", "second/s1/vae.py", "second/s2/vae.py"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    with pytest.raises(typer.Exit):
        chosen(None, handed_in=tmp_path)
    assert "There is a folder for each" in capsys.readouterr().out
    assert chosen(None, handed_in=tmp_path / "second") == "second"


def test_an_assignment_without_exercises_says_so(monkeypatch, capsys):
    monkeypatch.setattr(assignments, "load", lambda name: Assignment(name, name, ()))
    with pytest.raises(typer.Exit):
        at_work("first", [], None)
    assert "first has no exercises yet" in capsys.readouterr().out


def test_a_checkout_without_assignments_says_so(monkeypatch, capsys):
    monkeypatch.setattr(assignments, "lectures", lambda: ())
    with pytest.raises(typer.Exit):
        chosen(None)
    assert "which assignment? the folder assignments/ is empty" in capsys.readouterr().out
