"""The example submissions, made from the solutions, are graded as their names say."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from grader.assignment import REPO_ROOT, load
from grader.exam.timeouts import Timeouts
from grader.grading.grade import grade, submissions_in
from grader.grading.options import GradingOptions
from grader.record import ExerciseRecord, Record

EXAMPLES = REPO_ROOT / "examples"
EXPECTED = tomllib.loads((EXAMPLES / "submissions.toml").read_text("utf-8"))
SCRIPT = EXAMPLES / "make_submissions.py"
TIMEOUTS = Timeouts(call=3.0, call_again=0.3)  # of a worker's processor time; the endless ones use all of it
Records = dict[str, dict[str, Record]]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Record]]:
    """By assignment and submission."""
    made = tmp_path_factory.mktemp("made")
    _script().write(made)
    return {name: _graded(made / name, tmp_path_factory.mktemp("results")) for name in EXPECTED}


def _graded(folder: Path, results: Path) -> dict[str, Record]:
    options = GradingOptions(folder.name, seed="the examples", timeouts=TIMEOUTS)
    return {done.record.submission: done.record for done in grade(submissions_in(folder, folder.name), results, options, jobs=2)}


def test_every_submission_has_its_expectation(records: Records) -> None:
    assert {name: set(graded) for name, graded in records.items()} == {name: set(of) for name, of in EXPECTED.items()}


@pytest.mark.parametrize(("assignment", "name"), [(assignment, name) for assignment, of in EXPECTED.items() for name in of])
def test_a_submission_gets_what_its_name_says(records: Records, assignment: str, name: str) -> None:
    expected, record = EXPECTED[assignment][name], records[assignment][name]
    wrong = expected.get("wrong", {})
    for exercise in record.examined:
        outcomes = {check.outcome for check in exercise.checks} - {"not_graded"}
        if exercise.exercise in wrong:
            assert exercise.score < exercise.max_score, exercise.exercise
            assert wrong[exercise.exercise] in outcomes, exercise.exercise
        elif exercise.exercise.split(".")[0] in expected.get("right", []):
            assert exercise.score == exercise.max_score, _lost(exercise)
        else:
            assert (exercise.score, outcomes - {"missing"}) == (0, set()), exercise.exercise
    assert set(wrong) <= {exercise.exercise for exercise in record.examined}
    named = {check.mistake for exercise in record.examined for check in exercise.checks}
    assert set(expected.get("mistake", [])) <= named
    assert expected.get("problem", "") in "\n".join(record.problems)


@pytest.mark.parametrize(("assignment", "bonus"), [("lecture1", 5), ("families", 8)])
def test_right_ones_get_all_points_that_are_graded_here(records: Records, assignment: str, bonus: int) -> None:
    record = records[assignment]["01_all_right"]
    assert record.score == record.max_score
    assert record.score + record.not_graded == load(assignment).points == 100
    assert record.bonus_score == record.bonus_max_score == bonus


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_submissions", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def _lost(exercise: ExerciseRecord) -> list[str]:
    failed = [check for check in exercise.checks if check.outcome != "passed"]
    return [f"{check.check}: {check.outcome}: {check.message}" for check in failed]
