"""A folder of results: one kit, one seed, whole records, one writer."""

from __future__ import annotations

import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from grader.grading.grade import submissions_in
from grader.grading.kit import SeedError, grading_seed
from grader.grading.options import GradingOptions
from grader.grading.store import UNFINISHED, Store, StoreError, read
from grader.record import KitRecord, Person, Record
from grader.submission import Submission
from tests.grading import small_checkout

OPTIONS = GradingOptions("lecture1", small_checkout.SEED)
_KIT = KitRecord(version="1", torch="2", hypothesis="3", seed="sha256:4")
_SECOND = """
import sys, pathlib
from grader.grading import store
store.LOCK_TIMEOUT_SECONDS = 0.1
try:
    store.Store(pathlib.Path(sys.argv[1])).__enter__()
except store.StoreBusy:
    print("busy")
"""


@pytest.mark.parametrize(
    ("name", "value", "called"),
    [
        ("version", "9", "kit, points or rubric"),
        ("torch", "9", "torch"),
        ("isolation", "strict", "isolation"),
        ("options", ["quick"], "options"),
    ],
)
def test_whatever_else_grades_differently_is_refused_with_what_it_is(tmp_path: Path, name: str, value: Any, called: str) -> None:
    other = msgspec.structs.replace(_KIT, **{name: value})
    with Store(tmp_path) as store:
        store.begin(OPTIONS, _KIT, None, ["s00"], regrade=False)
        store.write(_record("s00"))
        with pytest.raises(StoreError, match=f"{called}: .* there, .* now"):
            store.begin(OPTIONS, other, None, ["s00"], regrade=False)
        store.begin(OPTIONS, other, None, ["s01"], regrade=True)
        store.write(msgspec.structs.replace(_record("s01"), kit=other))
        store.finish()
        with pytest.raises(StoreError, match="assignment: lecture1 there, lecture2 now"):
            store.begin(replace(OPTIONS, lecture="lecture2"), other, None, ["s00"], regrade=True)
    assert small_checkout.notes(tmp_path) == {"s00": small_checkout.STALE, "s01": ""}


def test_a_run_that_was_refused_before_anything_was_graded_binds_nobody(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.begin(OPTIONS, msgspec.structs.replace(_KIT, isolation="strict"), None, ["s00"], regrade=False)
        store.begin(OPTIONS, _KIT, None, ["s00"], regrade=False)


def test_one_exercise_alone_is_no_first_run(tmp_path: Path) -> None:
    with Store(tmp_path) as store, pytest.raises(StoreError, match="leave out --only"):
        store.begin(replace(OPTIONS, only=("histogram.fit_histogram",)), _KIT, None, ["s00"], regrade=False)


def test_what_waits_for_a_gpu_is_graded_again_where_there_is_one(tmp_path: Path) -> None:
    waits, with_gpu = Submission("waits", {}, ()), msgspec.structs.replace(_KIT, device="a GPU")
    with Store(tmp_path) as store:
        store.begin(OPTIONS, _KIT, None, ["waits"], regrade=False)
        store.write(msgspec.structs.replace(_record("waits"), content=waits.digest, not_graded=2.0))
        assert store.find(waits, _KIT) is not None
        assert store.find(waits, with_gpu) is None
        store.write(msgspec.structs.replace(_record("waits"), content=waits.digest, not_graded=2.0, kit=with_gpu))
        assert store.find(waits, with_gpu) is not None
        assert store.find(waits, _KIT) is not None


def test_the_tables_are_of_the_whole_folder_and_say_who_is_gone(tmp_path: Path) -> None:
    sections = {"a": ["s00", "s01"], "b": ["s02"]}
    with Store(tmp_path) as store:
        for section, names in sections.items():
            store.begin(OPTIONS, _KIT, Path(section), names, regrade=False)
            for name in names:
                store.write(_record(name))
            store.finish()
        assert len((tmp_path / "records.jsonl").read_text().splitlines()) == 3
        store.begin(OPTIONS, _KIT, Path("a"), ["s00"], regrade=False)
        store.finish()
        store.write(msgspec.structs.replace(_record("s01"), student=Person("Anna", "1", late=True)))
        store.finish()
    assert small_checkout.notes(tmp_path) == {"s00": "", "s01": "late; removed: no longer among the submissions", "s02": ""}


@pytest.mark.parametrize("damage", [b"{", b"", b'{"submission": "\xff"}', None])
def test_a_damaged_record_costs_nobody_else_a_row(tmp_path: Path, damage: bytes | None) -> None:
    with Store(tmp_path) as store:
        for name in ("s00", "s01"):
            store.write(_record(name))
        (tmp_path / "s00" / "record.json").unlink()
        if damage is None:
            (tmp_path / "s00" / "record.json").mkdir()
        else:
            (tmp_path / "s00" / "record.json").write_bytes(damage)
            (tmp_path / ".dgm-made").write_bytes(damage)
        store.finish()
    with pytest.raises(StoreError, match="s00/record.json cannot be read: .* run dgm grade again"):
        read(tmp_path)
    assert [line.split(",")[0] for line in (tmp_path / "grades.csv").read_text().splitlines()] == ['"submission"', '"s01"']
    assert "delete it and grade again" in (tmp_path / "faults.log").read_text()


def test_a_folder_of_results_is_no_submission(tmp_path: Path) -> None:
    class_ = small_checkout.submissions(tmp_path / "class", 2)
    with Store(class_ / "results") as store:
        store.begin(OPTIONS, _KIT, class_, ["s00", "s01"], regrade=False)  # a run that is killed at once leaves no more
    assert [one.name for one in submissions_in(class_, "lecture1")] == ["s00", "s01"]
    assert [one.name for one in submissions_in(class_ / "results" / "..", "lecture1")] == ["s00", "s01"]


def test_two_graders_on_one_folder_do_not_mix(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.write(_record("s00"))
        second = subprocess.run([sys.executable, "-c", _SECOND, str(tmp_path)], capture_output=True, text=True, check=False)
        assert second.stdout.strip() == "busy", second.stderr
    assert (tmp_path / "s00" / "record.json").exists()


def test_a_write_that_fails_leaves_the_old_record(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.write(_record("s00"))
        before = (tmp_path / "s00" / "record.json").read_bytes()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
        try:
            with pytest.raises(StoreError, match="File too large"):
                store.write(_record("s00", problems=["a new one"]))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "s00" / "record.json").read_bytes() == before
    assert not list(tmp_path.rglob(f"{UNFINISHED}*"))


def test_what_a_killed_run_left_half_written_is_swept_up(tmp_path: Path) -> None:
    (tmp_path / "s00").mkdir()
    (tmp_path / "s00" / f"{UNFINISHED}abc").write_bytes(b'{"submission": "s0')
    with Store(tmp_path) as store:
        assert store.find(Submission("s00", {}, ()), _KIT) is None
    assert not list(tmp_path.rglob(f"{UNFINISHED}*"))


def _record(name: str, problems: list[str] | None = None) -> Record:
    return Record(
        submission=name,
        assignment="lecture1",
        score=0,
        max_score=0,
        not_graded=0,
        exercises=[],
        kit=_KIT,
        seconds=1.0,
        problems=problems or [],
    )


def test_a_seed_that_can_be_guessed_is_refused_wherever_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DGM_SEED", "short")
    with pytest.raises(SeedError, match="\\$DGM_SEED: the grading seed has 5 characters"):
        grading_seed()
    (tmp_path / "seed").write_text("short\n")
    with pytest.raises(SeedError, match="/seed: the grading seed has 5 characters"):
        grading_seed(tmp_path / "seed")


def test_a_seed_is_invented_on_the_first_run_alone_and_with_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DGM_SEED", raising=False)
    with pytest.raises(SeedError, match="neither \\$DGM_SEED nor .*/.dgm-seed.*--seed-file"):
        grading_seed(folder=tmp_path, first=False)
    assert not list(tmp_path.iterdir())
    seed = grading_seed(folder=tmp_path)
    said = capsys.readouterr().err
    assert f"{tmp_path}/.dgm-seed" in said
    assert seed not in said
    assert grading_seed(folder=tmp_path, first=False) == seed
    assert capsys.readouterr().err == ""
