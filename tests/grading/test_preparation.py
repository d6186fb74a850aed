"""What is kept between runs: found by the same kit and seed alone, private, never believed when damaged."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.exam.replay import Plans, empty_plans
from grader.grading import preparation
from grader.grading.kit import hidden, prepared_here
from grader.grading.options import GradingOptions
from grader.grading.preparation import Preparation
from grader.grading.session import GradingSession
from grader.hidden import known_submissions
from grader.sandbox.layers.probes import attack
from grader.submission import Submission

LECTURE, TOPIC, EXERCISE = "lecture1", "divergences", "divergences.kl_divergence"
SEED = "a seed for tests"
WRONG = "\n\ndef kl_divergence(p, q):\n    return (p * (p / q).log()).sum(-1) + 1\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def _prepared(seed: str = SEED) -> Preparation:
    return Preparation(LECTURE, [TOPIC], seed)


def _plans() -> Plans:
    plans = empty_plans("a check", 2)
    plans[0].calls, plans[0].passed = [b"one", b"", b"three"], {b"0" * 16, b"1" * 16}
    return {"a check": plans, "without inputs": []}


def _files() -> list[Path]:
    return [path for path in prepared_here().rglob("*") if path.is_file()]


def test_what_is_kept_is_found_and_is_nobody_elses() -> None:
    _prepared().save(EXERCISE, _plans())
    assert _prepared().find(EXERCISE) == _plans()
    (file,) = _files()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == stat.S_IMODE(prepared_here().stat().st_mode) == 0o700
    assert prepared_here() in hidden()


def test_another_seed_kit_or_exercise_does_not_find_it(monkeypatch: pytest.MonkeyPatch) -> None:
    _prepared().save(EXERCISE, _plans())
    assert _prepared("another seed for tests").find(EXERCISE) is None
    (file,) = _files()
    file.rename(file.with_name("divergences.forward_kl"))
    assert _prepared().find("divergences.forward_kl") is None
    file.with_name("divergences.forward_kl").rename(file)
    assert _prepared().find(EXERCISE) is not None
    monkeypatch.setattr(preparation, "version", lambda: "another kit")
    assert _prepared().find(EXERCISE) is None


@pytest.mark.parametrize("place", [0, 40, -1])
def test_a_damaged_one_is_none(place: int) -> None:
    _prepared().save(EXERCISE, _plans())
    (file,) = _files()
    whole = bytearray(file.read_bytes())
    for damaged in (bytes(whole[:place]), bytes(whole[: len(whole) // 2]), whole):
        whole[place] ^= 1
        file.write_bytes(damaged)
        assert _prepared().find(EXERCISE) is None


def test_the_oldest_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    _prepared("an old seed for tests").save(EXERCISE, _plans())
    (old,) = _files()
    monkeypatch.setattr(preparation, "MAX_BYTES", old.stat().st_size + 1)
    _prepared().save(EXERCISE, _plans())
    assert not old.exists()
    assert _prepared().find(EXERCISE) is not None
    assert preparation.clear() > 0
    assert _files() == []


def test_where_nothing_can_be_written_nothing_is_kept(cache: Path) -> None:
    (cache / "dgm-kit").write_text("a file in the way")
    _prepared().save(EXERCISE, _plans())
    assert _prepared().find(EXERCISE) is None


def _session() -> GradingSession:
    return GradingSession(GradingOptions(LECTURE, SEED, only=(EXERCISE,)))


@pytest.fixture
def rehearsed() -> Iterator[GradingSession]:
    with _session() as session:
        session.rehearse([TOPIC])
        yield session


def test_the_next_run_decides_as_the_first_without_a_rehearsal(rehearsed: GradingSession, monkeypatch: pytest.MonkeyPatch) -> None:
    (right,) = known_submissions.solutions(LECTURE, [TOPIC])[TOPIC]
    submissions = [Submission(name, {TOPIC: [text]}, ()) for name, text in (("right", right), ("wrong", right + WRONG))]
    monkeypatch.setattr(GradingSession, "_rehearse", lambda *_: pytest.fail("it was rehearsed again"))
    with _session() as later:
        later.rehearse([TOPIC])
        for submission in submissions:
            one, other = (session.grade(submission).examined[0] for session in (rehearsed, later))
            assert [(c.check, c.outcome, c.message, c.mistake) for c in one.checks] == [
                (c.check, c.outcome, c.message, c.mistake) for c in other.checks
            ]
            assert one.failed is (submission.name == "wrong")
        assert "hidden" not in attack(later.workers.start(), [prepared_here(), *_files()])


def test_a_topic_that_nobody_handed_in_is_not_rehearsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GradingSession, "_rehearse", lambda *_: pytest.fail("it was rehearsed"))
    with _session() as session:
        session.rehearse(["histogram"])
