"""course.toml: what is wrong in it is a sentence with the key, points are applied in one place, final grades follow by hand."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grader import course as courses
from grader.assignment import REPO_ROOT, lectures, load, offered
from grader.cli import app
from grader.exam.collect import collect
from grader.grading.kit import version
from grader.grading.policy import Policy
from grader.record import KitRecord, Person, Record
from grader.submission.layout import CREATED

KL = "lecture1.divergences.kl_divergence"
DUE = datetime.fromisoformat("2026-10-12T23:59:00+02:00")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(courses.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


FAULTS = {
    "points = 3": "points",
    "[points": "not readable as TOML",
    'piont = {"a" = 1}': "`piont`",
    f'[points]\n"{KL}e" = 3': "points: lecture1 has no exercise 'divergences.kl_divergencee'",
    f'[points]\n"{KL}" = 0': "points: lecture1.divergences.kl_divergence is 0",
    '[points]\n"lecture0.a.b" = 1': "there is no assignment 'lecture0'",
    'disabled = ["lecture1.divergences"]': "disabled: lecture1 has no exercise 'divergences'",
    'assignments = ["lecture7"]': "assignments: there is no assignment 'lecture7'",
    f'[rubric]\n"{KL}.kl_of_q_and_p" = 2': "a share of the exercise lies between 0 and 1",
    "[due]\nlecture1 = 2026-10-12T23:59:00": "due.lecture1 is 2026-10-12 23:59:00: say the moment with its offset",
    "[due]\nlecture1 = 2026-10-12": "say the moment with its offset",
    '[due]\nlecture1 = "tomorrow"': "due",
    "[late]\nper_day = 10": "per_day is 10",
    "[extensions.lecture1]\nada = 2026-10-12": "extensions.lecture1.ada",
    '[[adjustment]]\nsubmission = "a"\nassignment = "lecture1"\npoints = 1\nreason = " "': "reason is empty",
}


@pytest.mark.parametrize("text", FAULTS)
def test_what_is_wrong_is_said_by_every_command_with_file_and_key(folder: Path, text: str) -> None:
    (folder / "course.toml").write_text(text)
    for command in (["list"], ["export", "results"], ["hint", "kl_divergence"]):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 2
        assert str(folder / "course.toml") in done.output
        assert FAULTS[text] in done.output


def test_points_and_exercises_left_out_reach_list_checks_and_version(folder: Path) -> None:
    before = version()
    (folder / "course.toml").write_text(
        f'assignments = ["lecture1"]\ndisabled = ["lecture1.histogram.accepts"]\n[points]\n"{KL}" = 7\n[rubric]\n"{KL}.kl_of_q_and_p" = 0.5'
    )
    assert load("lecture1")["divergences.kl_divergence"].points == 7
    assert load("lecture1").shares("divergences.kl_divergence") == {"kl_of_q_and_p": 0.5}
    checks = collect("lecture1")
    assert sum(check.points for check in checks if check.exercise == "divergences.kl_divergence") == pytest.approx(7)
    assert not [check for check in checks if check.exercise == "histogram.accepts"]
    assert offered() == ("lecture1",)
    assert version() != before
    (folder / "course.toml").write_text("[due]\nlecture1 = 2026-10-12T23:59:00+02:00")
    assert version() == before, "dates need no regrading"


def test_where_a_course_is_looked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert courses.find(folder / "house") is None
    inside = folder / "submissions" / "ada"
    inside.mkdir(parents=True)
    (folder / "course.toml").touch()
    monkeypatch.chdir(inside)
    assert courses.find(REPO_ROOT) is None, "never in a folder above"
    monkeypatch.setenv(courses.VARIABLE, str(folder))
    assert courses.find(REPO_ROOT) == folder / "course.toml"
    monkeypatch.delenv(courses.VARIABLE)
    (inside / "course.toml").write_text("[late]\nper_day = 0")
    done = CliRunner().invoke(app, ["grade", "."])
    assert done.exit_code == 2
    assert "lies among what is to be graded" in done.output


def test_what_is_given_out_is_points_alone_and_read_again(folder: Path) -> None:
    text = f'seed_file = "s"\ndisabled = ["lecture1.histogram.accepts"]\n[points]\n"{KL}" = 2.5\n[due]\nlecture1 = {DUE.isoformat()}\n'
    (folder / "course.toml").write_text(f'{text}[submitted.lecture1]\n"Ada" = {DUE.isoformat()}\n')
    given = courses.text_of(courses.read(folder / "course.toml", lectures()).of("lecture1"))
    assert "Ada" not in given
    assert "seed" not in given
    (folder / "course.toml").write_text(given)
    again = courses.read(folder / "course.toml", lectures())
    assert (again.points, again.disabled) == ({KL: 2.5}, ("lecture1.histogram.accepts",))
    assert courses.text_of(courses.read(folder / "course.toml", lectures()).of("families")) == ""


def record(name: str, student: Person | None = None) -> Record:
    kit = KitRecord(version="1", torch="2", hypothesis="3", seed="s")
    return Record(
        submission=name, assignment="lecture1", score=8.0, max_score=10.0, not_graded=0.0, exercises=[], kit=kit, seconds=0.0,
        student=student,
    )  # fmt: skip


def came(moment: str, name: str = "ada") -> Record:
    return record(name, Person(name, "1", platform="gradescope", submitted=moment))


@pytest.mark.parametrize(
    ("moment", "days", "points"),
    [
        ("2026-10-12T21:59:00+00:00", 0, 8.0),  # to the second
        ("2026-10-12T22:09:00+00:00", 0, 8.0),  # within the grace
        ("2026-10-12T22:09:01+00:00", 1, 7.2),
        ("2026-10-13T21:59:00+00:00", 1, 7.2),
        ("2026-10-13T21:59:01+00:00", 2, 6.4),
        ("2026-12-24T00:00:00+00:00", 73, 4.0),  # at most half
    ],
)
def test_each_day_begun_costs_its_share(moment: str, days: int, points: float) -> None:
    course = courses.Course(due={"lecture1": DUE}, late=courses.Late(per_day=0.1, at_most=0.5, grace=10))
    final = Policy(course, Path("course.toml"), "lecture1", [came(moment)]).settle(came(moment)).final
    assert final
    assert (final.days_late, final.points) == (days, points)
    assert ("late" in "".join(final.why)) == (days > 0)


def test_students_are_found_by_any_of_their_names_and_never_two_by_one() -> None:
    late = datetime.fromisoformat("2026-10-13T12:00:00+02:00")
    group = record("team_7", Person("Ada", "1", "ada@x.org", "canvas", members=(Person("Bo", "2"),), late=True))
    twins = [record("kim_1", Person("Kim", "11", platform="moodle")), record("kim_2", Person("Kim", "12", platform="moodle"))]
    told = {"BO": late, "Kim": late, "kim_2": late, "nobody": late}
    adjustments = tuple(courses.Adjustment(name, "lecture1", -9, "copied") for name in ("ada@x.org", "12"))
    course = courses.Course(due={"lecture1": DUE}, late=courses.Late(per_day=0.5), submitted={"lecture1": told}, adjustment=adjustments)
    policy = Policy(course, Path("course.toml"), "lecture1", [group, *twins])
    settled = [policy.settle(one).final for one in (group, *twins)]
    assert [(one.days_late, one.points, one.adjustment) for one in settled if one] == [(1, 0.0, -9), (None, 8.0, 0), (1, 0.0, -9)]
    assert policy.remarks == [
        "course.toml: submitted.lecture1: 'Kim' may be kim_1 or kim_2: name one of these",
        "course.toml: submitted.lecture1: 'nobody' is nobody here",
    ]


@pytest.mark.parametrize("text", ["2026-03-01 10:00:00.123456000 Z", "'2026-03-01 10:00:00 UTC'", "2026-03-01 11:00:00 +01:00"])
def test_gradescopes_moments_are_read(text: str) -> None:
    found = CREATED.search(f"submission_1:\n  :created_at: {text}\n")
    assert found
    assert found[1] == "2026-03-01"
