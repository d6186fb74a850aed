"""Whatever ends a run of `dgm grade`, the next one finishes it and the records are those of an unbroken run."""

from __future__ import annotations

import csv
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from grader import record as records
from grader.grading.grade import submissions_in
from grader.grading.kit import SeedError, grading_seed
from grader.grading.options import GradingOptions
from grader.grading.pool import GraderPool, GradersKilled
from grader.grading.store import UNFINISHED, Store, StoreError
from grader.grading.store import read as store_read
from grader.record import KitRecord, Person, Record
from grader.submission import Submission
from tests.grading import small_checkout

NUMBER = 4
OPTIONS = GradingOptions("lecture1", small_checkout.SEED)
STALE = "stale: graded by another kit, seed or options"


@pytest.fixture(scope="module")
def checkout() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dgm-checkout-") as folder:  # pytest's own folders are closed to workers
        small_checkout.build(Path(folder))
        yield Path(folder)


@pytest.fixture(scope="module")
def submitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_checkout.submissions(tmp_path_factory.mktemp("class") / "submissions", NUMBER)


@pytest.fixture(scope="module")
def unbroken(checkout: Path, submitted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("unbroken")
    done = small_checkout.run(checkout, submitted, results)
    assert done.returncode == 0, done.stdout + done.stderr
    return results


def test_a_run_killed_at_any_moment_is_finished_by_the_next(checkout: Path, submitted: Path, unbroken: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    chance = random.Random(time.time_ns())
    for _ in range(2):
        stop_after = chance.randrange(1, 3)  # records of this run, and then a moment more
        with _started(checkout, submitted, results) as run:
            graded = 0
            while graded < stop_after and (line := run.stdout.readline()):  # type: ignore[union-attr]
                graded += json.loads(line)["event"] == "graded"
            time.sleep(chance.random() * 0.3)
            os.kill(run.pid, signal.SIGKILL)
    last = small_checkout.run(checkout, submitted, results)
    assert last.returncode == 0, last.stdout + last.stderr
    events = [json.loads(line)["event"] for line in last.stdout.splitlines()]
    assert events.count("found") >= 2
    assert small_checkout.without_timings(results) == small_checkout.without_timings(unbroken)


def test_what_changed_is_graded_again_and_nothing_else(checkout: Path, submitted: Path, unbroken: Path, tmp_path: Path) -> None:
    results, changed = tmp_path / "results", tmp_path / "submissions"
    shutil.copytree(unbroken, results)
    shutil.copytree(submitted, changed)
    with (changed / "s01" / "histogram.py").open("a") as file:
        file.write("# a new version\n")
    done = small_checkout.run(checkout, changed, results)
    events = {line["submission"]: line["event"] for line in map(json.loads, done.stdout.splitlines()) if "submission" in line}
    assert events == {f"s{index:02d}": "graded" if index == 1 else "found" for index in range(NUMBER)}


def test_where_everything_is_graded_not_even_torch_is_loaded(checkout: Path, submitted: Path, unbroken: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(unbroken, results)
    python, flag, program, *words = small_checkout.command(submitted, results)
    loaded = "import atexit, sys; atexit.register(lambda: print('loaded:', 'torch' in sys.modules, file=sys.stderr))"
    run = [python, flag, f"{loaded}; {program}", *words]
    done = subprocess.run(
        run, cwd=checkout, env=small_checkout.environment(checkout), capture_output=True, text=True, timeout=300, check=False
    )
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert events == ["submissions"] + ["found"] * NUMBER + ["finished"], done.stderr
    assert done.stderr == "loaded: False\n"
    assert small_checkout.without_timings(results) == small_checkout.without_timings(unbroken)


def test_records_of_another_seed_never_mix(checkout: Path, submitted: Path, unbroken: Path, tmp_path: Path) -> None:
    results, two = tmp_path / "results", tmp_path / "submissions"
    shutil.copytree(unbroken, results)
    for name in ("s00", "s01"):
        shutil.copytree(submitted / name, two / name)
    refused = small_checkout.run(checkout, two, results, seed=f"{small_checkout.SEED}!")
    assert refused.returncode == 2
    assert small_checkout.without_timings(results) == small_checkout.without_timings(unbroken)
    said = json.loads(refused.stdout.splitlines()[-1])["message"]
    assert "seed: sha256:" in said
    assert "--into" in said
    assert "--regrade" in said
    done = small_checkout.run(checkout, two, results, "--regrade", seed=f"{small_checkout.SEED}!")
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert events == ["submissions", "graded", "graded", "finished"]
    assert _notes(results) == {f"s{index:02d}": "" if index < 2 else STALE for index in range(NUMBER)}


@pytest.mark.parametrize(("name", "value"), [("version", "9"), ("torch", "9"), ("isolation", "strict"), ("options", ["quick"])])
def test_whatever_else_grades_differently_is_refused_with_what_it_is(tmp_path: Path, name: str, value: Any) -> None:
    other = msgspec.structs.replace(_KIT, **{name: value})
    with Store(tmp_path) as store:
        store.begin(OPTIONS, _KIT, None, ["s00"], regrade=False)
        store.write(_record("s00"))
        with pytest.raises(StoreError, match=f"{name}: .* there, .* now"):
            store.begin(OPTIONS, other, None, ["s00"], regrade=False)
        store.begin(OPTIONS, other, None, ["s01"], regrade=True)
        store.write(msgspec.structs.replace(_record("s01"), kit=other))
        store.finish()
        with pytest.raises(StoreError, match="assignment: lecture1 there, lecture2 now"):
            store.begin(replace(OPTIONS, lecture="lecture2"), other, None, ["s00"], regrade=True)
    assert _notes(tmp_path) == {"s00": STALE, "s01": ""}


def test_a_run_that_was_refused_before_anything_was_graded_binds_nobody(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.begin(OPTIONS, msgspec.structs.replace(_KIT, isolation="strict"), None, ["s00"], regrade=False)
        store.begin(OPTIONS, _KIT, None, ["s00"], regrade=False)


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
    assert _notes(tmp_path) == {"s00": "", "s01": "late; removed: no longer among the submissions", "s02": ""}


def _notes(results: Path) -> dict[str, str]:
    return {row["submission"]: row["note"] for row in csv.DictReader((results / "grades.csv").open(newline=""))}


def test_one_exercise_is_graded_again_and_the_rest_stays(checkout: Path, submitted: Path, unbroken: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(unbroken, results)
    for path in results.glob("*/record.json"):  # as if an older kit had thought otherwise
        record = records.decode(path.read_bytes())
        zeros = [msgspec.structs.replace(one, score=0.0) for one in record.exercises]
        path.write_bytes(records.encode(msgspec.structs.replace(record, **records.summed(zeros))))
    done = small_checkout.run(checkout, submitted, results, "--only", "fit_histogram")
    assert done.returncode == 0, done.stdout + done.stderr
    for index, record in enumerate(store_read(results)):
        scores = {one.exercise: one.score for one in record.exercises}
        assert scores.pop("histogram.fit_histogram") == (0 if index % 3 == 2 else 2) or index % 3 == 2
        assert set(scores.values()) == {0.0}
    with Store(tmp_path / "new") as store, pytest.raises(StoreError, match="leave out --only"):
        store.begin(replace(OPTIONS, only=("histogram.fit_histogram",)), _KIT, None, ["s00"], regrade=False)


BREAKS = """
import grader.grading.session as it
right = it.examine
def examine(submission, *others, **options):
    {first}
    return right(submission, *others, **options)
it.examine = examine
"""


def patched(checkout: Path, submitted: Path, results: Path, first: str) -> subprocess.CompletedProcess[str]:
    """A run in which something happens first whenever a submission is examined."""
    python, flag, program, *words = small_checkout.command(submitted, results)
    run = [python, flag, BREAKS.format(first=first) + program, *words]
    return subprocess.run(
        run, cwd=checkout, env=small_checkout.environment(checkout), capture_output=True, text=True, timeout=300, check=False
    )


def test_where_the_grader_breaks_one_submission_is_not_graded_and_everybody_else_is(
    checkout: Path, submitted: Path, unbroken: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    done = patched(checkout, submitted, results, "if submission.name == 's01': raise LookupError('of ours')")
    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, last["event"], last["faults"]) == (3, "finished", ["s01"]), done.stderr
    log = (results / "faults.log").read_text()
    assert log.startswith("s01\n")
    assert "LookupError: of ours" in log
    assert "examine" in log
    broken = store_read(results)[1]
    assert (broken.score, broken.max_score, broken.not_graded) == (0, 0, 10)
    assert "no fault of yours" in broken.problems[0]
    again = small_checkout.run(checkout, submitted, results)
    events = {line.get("submission"): line["event"] for line in map(json.loads, again.stdout.splitlines())}
    assert events == {f"s{index:02d}": "graded" if index == 1 else "found" for index in range(NUMBER)} | {None: "finished"}
    assert again.returncode == 0
    (results / "faults.log").unlink()
    assert small_checkout.without_timings(results) == small_checkout.without_timings(unbroken)


def test_when_all_workers_die_at_once_nobody_loses_a_point(checkout: Path, submitted: Path, unbroken: Path, tmp_path: Path) -> None:
    once = tmp_path / "once"
    kill = f"import os, pathlib; once = pathlib.Path({str(once)!r})"
    kill += "; submission.name == 's02' and not once.exists() and (once.touch(), os.kill(others[2]._zygote.pid, 9))"
    done = patched(checkout, submitted, tmp_path / "results", kill)
    assert done.returncode == 0, done.stdout + done.stderr
    assert once.exists()
    assert small_checkout.without_timings(tmp_path / "results") == small_checkout.without_timings(unbroken)


def test_a_run_that_is_stopped_says_how_to_go_on(checkout: Path, submitted: Path, unbroken: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    with _started(checkout, submitted, results) as run:
        events = [json.loads(run.stdout.readline())["event"] for _ in range(2)]  # type: ignore[union-attr]
        assert events == ["submissions", "graded"]
        run.send_signal(signal.SIGINT)
        said = run.stdout.read()  # type: ignore[union-attr]
    assert run.returncode == 130
    assert "the same command goes on" in said
    assert (results / "grades.csv").exists()
    assert small_checkout.run(checkout, submitted, results).returncode == 0
    assert small_checkout.without_timings(results) == small_checkout.without_timings(unbroken)


def test_a_full_disk_is_a_sentence_and_leaves_no_half_record(checkout: Path, submitted: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(disk)], capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        done = small_checkout.run(checkout, submitted, disk / "results")
        said = json.loads(done.stdout.splitlines()[-1])
        assert (done.returncode, said["event"]) == (2, "error"), done.stdout + done.stderr
        assert "No space left on device" in said["message"]
        assert "start again" in said["message"]
        assert "Traceback" not in done.stderr
        whole = [json.loads(path.read_bytes()) for path in disk.rglob("record.json")]
        assert 0 < len(whole) < NUMBER
        assert not list(disk.rglob(f"{UNFINISHED}*"))
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def test_a_damaged_record_costs_nobody_else_a_row(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for name in ("s00", "s01"):
            store.write(_record(name))
        (tmp_path / "s00" / "record.json").write_text("{")
        store.finish()
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


def test_a_killed_grader_costs_nothing_but_its_time(tmp_path: Path) -> None:
    def work(job: int) -> int:
        once = tmp_path / f"killed-{job}"
        if job % 3 == 0 and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return job * job

    assert dict(GraderPool(2, work).run(range(10))) == {job: job * job for job in range(10)}


def test_a_job_that_kills_its_grader_each_time_is_given_up_and_the_others_are_done() -> None:
    def work(job: int) -> int:
        if job == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return job * job

    assert dict(GraderPool(2, work).run(range(6))) == {job: None if job == 3 else job * job for job in range(6)}


def test_graders_that_are_always_killed_end_the_run_with_a_sentence() -> None:
    pool: GraderPool[int, None] = GraderPool(1, lambda job: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(GradersKilled, match="too little memory"):
        list(pool.run(range(10)))


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


def _started(checkout: Path, submitted: Path, results: Path) -> subprocess.Popen[str]:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in its background with it ignored
    return subprocess.Popen(
        small_checkout.command(submitted, results),
        cwd=checkout,
        env=small_checkout.environment(checkout),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_a_seed_is_invented_on_the_first_run_alone_and_with_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DGM_SEED", raising=False)
    said: list[str] = []
    with pytest.raises(SeedError, match="neither \\$DGM_SEED nor .*/.dgm-seed.*--seed-file"):
        grading_seed(folder=tmp_path, first=False)
    assert not list(tmp_path.iterdir())
    seed = grading_seed(folder=tmp_path, say=said.append)
    assert f"{tmp_path}/.dgm-seed" in said[0]
    assert seed not in said[0]
    assert grading_seed(folder=tmp_path, first=False, say=said.append) == seed
    assert len(said) == 1
