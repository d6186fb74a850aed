"""The example submissions, made from the solutions, are graded as their names say."""

from __future__ import annotations

import importlib.util
import tomllib
from types import ModuleType

import pytest

from grader.assignment import REPO_ROOT, load
from grader.grading.grade import grade, submissions_in
from grader.grading.options import GradingOptions
from grader.record import ExerciseRecord, Record

EXAMPLES = REPO_ROOT / "examples"
EXPECTED = tomllib.loads((EXAMPLES / "submissions.toml").read_text("utf-8"))
SCRIPT = EXAMPLES / "make_submissions.py"


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Record]:
    results, made = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("made")
    _script().write(made)
    order = GradingOptions("lecture1", seed="the examples", isolation="default")
    graded = grade(submissions_in(made, "lecture1"), results, order, jobs=2)
    return {done.record.submission: done.record for done in graded}


def test_every_submission_has_its_expectation(records: dict[str, Record]) -> None:
    assert set(records) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_submission_gets_what_its_name_says(records: dict[str, Record], name: str) -> None:
    expected, record = EXPECTED[name], records[name]
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


def test_right_ones_get_all_points_that_are_graded_here(records: dict[str, Record]) -> None:
    record = records["01_all_right"]
    assert record.score == record.max_score
    assert record.score + record.not_graded == load("lecture1").points
    assert record.bonus_score == record.bonus_max_score == 5


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
