"""The bonus is graded beside the points, and one word in assignment.toml takes it out of everything."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from grader import assignment as assignments
from grader.assignment import REPO_ROOT, load
from grader.exam.collect import collect
from grader.exam.examiner import Examiner
from grader.exam.timeouts import Timeouts
from grader.grading import store
from grader.grading.examination import examine
from grader.hidden.answer_key import InstructorsKey
from grader.record import KitRecord, Record
from grader.sandbox.unlocked_fork import UnlockedFork
from grader.submission import Submission
from tests.grading import small_checkout

BONUS, ORDINARY = "histogram.accepts", "histogram.num_parameters"
SOLUTION = (REPO_ROOT / "solutions/lecture1/histogram.py").read_text("utf-8")
KIT = KitRecord(version="", torch="", hypothesis="", seed="")


def answering(body: str) -> str:
    """The solution with another `accepts`."""
    before, rest = SOLUTION.split("    # BEGIN SOLUTION accepts\n")
    return f"{before}    {body}\n{rest.split('    # END SOLUTION accepts')[1]}"


@pytest.fixture(scope="module")
def examiner() -> Examiner:
    checks = [check for check in collect("lecture1") if check.exercise in (BONUS, ORDINARY)]
    return Examiner(load("lecture1"), checks, "a seed for the bonus", key=InstructorsKey("lecture1", names=False))


@pytest.fixture(scope="module")
def workers() -> Iterator[UnlockedFork]:
    source = UnlockedFork([])
    yield source
    source.close()


def graded(source: str, examiner: Examiner, workers: UnlockedFork) -> Record:
    return examine(Submission("s", {"histogram": [source]}, ()), assignments.load("lecture1"), examiner, workers, KIT, Timeouts())


def test_right_work_earns_the_bonus_beside_the_score(examiner: Examiner, workers: UnlockedFork) -> None:
    record = graded(SOLUTION, examiner, workers)
    assert [exercise.exercise for exercise in record.exercises] == [ORDINARY]
    assert [exercise.exercise for exercise in record.bonus] == [BONUS]
    assert (record.score, record.max_score, record.not_graded) == (2, 2, 0)
    assert (record.bonus_score, record.bonus_max_score) == (5, 5)


@pytest.mark.parametrize("body", ["return True", "return False", "return K > 1", "return bool(sample(1)[0] % 2)", "return None"])
def test_a_verdict_without_a_look_earns_nothing(examiner: Examiner, workers: UnlockedFork, body: str) -> None:
    record = graded(answering(body), examiner, workers)
    assert (record.score, record.max_score) == (2, 2)
    assert (record.bonus_score, record.bonus_max_score) == (0, 5)


def test_work_without_the_bonus_lacks_nothing(examiner: Examiner, workers: UnlockedFork) -> None:
    record = graded(answering('raise NotImplementedError("accepts")'), examiner, workers)
    assert (record.score, record.max_score) == (2, 2)
    assert {check.outcome for check in record.bonus[0].checks} == {"missing"}


def test_asking_for_more_than_the_budget_is_an_error_with_the_sentence(examiner: Examiner, workers: UnlockedFork) -> None:
    record = graded(answering("return len(sample(60_000)) + len(sample(60_000)) > 0"), examiner, workers)
    first = record.bonus[0].checks[0]
    assert first.outcome == "error"
    assert "sample makes 100,000 draws in all, and you have asked for 120,000" in first.message


def test_a_record_with_a_bonus_is_read_back(examiner: Examiner, workers: UnlockedFork) -> None:
    record = graded(answering("return True"), examiner, workers)
    assert msgspec.json.decode(msgspec.json.encode(record), type=Record) == record


def test_switched_off_it_is_nowhere(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    small_checkout.build(checkout)
    toml = checkout / "assignments/lecture1/assignment.toml"
    toml.write_text(toml.read_text("utf-8").replace("bonus = true\n", "bonus = true\nenabled = false\n"), "utf-8")
    submitted = small_checkout.submissions(tmp_path / "submitted", 1)
    done = small_checkout.run(checkout, submitted, tmp_path / "results")
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = store.read(tmp_path / "results")
    assert (record.score, record.max_score, record.bonus, record.bonus_score) == (10, 10, [], 0)
    assert "accepts" not in (tmp_path / "results/grades.csv").read_text()
    assert "accepts" not in _dgm(checkout, "list")
    assert "there is no exercise 'accepts'" in _dgm(checkout, "check", "accepts", "--folder", str(submitted / "s00"))
    assert "accepts" not in _dgm(checkout, "check", "--folder", str(submitted / "s00"))
    assert "histogram.py" in _dgm(checkout, "build")
    for made in ("histogram.py", "histogram.ipynb"):
        text = (checkout / "assignments/lecture1" / made).read_text("utf-8")
        assert "accepts" not in text
        assert "test yourself" not in text
        assert "num_parameters" in text


def _dgm(checkout: Path, *arguments: str) -> str:
    command = [sys.executable, "-c", "from grader.cli import app; app()", *arguments]
    environment = small_checkout.environment(checkout)
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=300, check=False)
    return done.stdout + done.stderr
