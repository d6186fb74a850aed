"""Whatever ends a run of `dgm grade`, the next one finishes it and the records are those of an unbroken run."""

from __future__ import annotations

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
from pathlib import Path

import pytest

from grader.grading.pool import GraderPool, GradersKilled
from grader.grading.store import UNFINISHED, Store, StoreError
from grader.record import KitRecord, Record
from tests.grading import small_house

NUMBER = 6


@pytest.fixture(scope="module")
def house() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dgm-house-") as folder:  # pytest's own folders are closed to workers
        small_house.build(Path(folder))
        yield Path(folder)


@pytest.fixture(scope="module")
def submitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_house.submissions(tmp_path_factory.mktemp("class") / "submissions", NUMBER)


@pytest.fixture(scope="module")
def unbroken(house: Path, submitted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("unbroken")
    done = small_house.run(house, submitted, results)
    assert done.returncode == 0, done.stdout + done.stderr
    return results


def test_a_run_killed_at_any_moment_is_finished_by_the_next(
    house: Path, submitted: Path, unbroken: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    chance = random.Random(time.time_ns())
    for _ in range(2):
        stop_after = chance.randrange(1, 3)  # records of this run, and then a moment more
        with _started(house, submitted, results) as run:
            graded = 0
            while graded < stop_after and (line := run.stdout.readline()):  # type: ignore[union-attr]
                graded += json.loads(line)["event"] == "graded"
            time.sleep(chance.random() * 0.3)
            os.kill(run.pid, signal.SIGKILL)
    last = small_house.run(house, submitted, results)
    assert last.returncode == 0, last.stdout + last.stderr
    events = [json.loads(line)["event"] for line in last.stdout.splitlines()]
    assert events.count("found") >= 2
    assert small_house.without_timings(results) == small_house.without_timings(unbroken)


def test_what_changed_is_graded_again_and_nothing_else(
    house: Path, submitted: Path, unbroken: Path, tmp_path: Path
) -> None:
    results, changed = tmp_path / "results", tmp_path / "submissions"
    shutil.copytree(unbroken, results)
    shutil.copytree(submitted, changed)
    with (changed / "s01" / "histogram.py").open("a") as file:
        file.write("# a new version\n")
    done = small_house.run(house, changed, results)
    events = {
        line["submission"]: line["event"] for line in map(json.loads, done.stdout.splitlines()) if "submission" in line
    }
    assert events == {f"s{index:02d}": "graded" if index == 1 else "found" for index in range(NUMBER)}


def test_where_everything_is_graded_nothing_is_rehearsed(
    house: Path, submitted: Path, unbroken: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    shutil.copytree(unbroken, results)
    python, flag, program, *words = small_house.command(submitted, results)
    without = f"from grader.grading.grade import GradingSession; del GradingSession.rehearse; {program}"
    run = [python, flag, without, *words]
    done = subprocess.run(
        run, cwd=house, env=small_house.environment(house), capture_output=True, text=True, timeout=300, check=False
    )
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert events == ["found"] * NUMBER + ["finished"], done.stderr
    assert small_house.without_timings(results) == small_house.without_timings(unbroken)


@pytest.mark.parametrize("other", ["seed", "version"])
def test_another_seed_or_another_kit_grades_everything_again(
    house: Path, submitted: Path, unbroken: Path, tmp_path: Path, other: str
) -> None:
    results, two = tmp_path / "results", tmp_path / "submissions"
    shutil.copytree(unbroken, results)
    for name in ("s00", "s01"):
        shutil.copytree(submitted / name, two / name)
    reference = house / "dgm_ref" / "lecture1" / "histogram.py"
    before = reference.read_bytes()
    try:
        if other == "version":
            reference.write_bytes(before + b"\n")
        done = small_house.run(house, two, results, seed=small_house.SEED + ("!" if other == "seed" else ""))
    finally:
        reference.write_bytes(before)
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert events == ["graded", "graded", "finished"]


def test_a_full_disk_is_a_sentence_and_leaves_no_half_record(house: Path, submitted: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(disk)], capture_output=True, check=False
    ).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        done = small_house.run(house, submitted, disk / "results")
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


def test_two_graders_on_one_folder_do_not_mix(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.write(_record("s00"))
        second = subprocess.run(
            [sys.executable, "-c", _SECOND, str(tmp_path)], capture_output=True, text=True, check=False
        )
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
        assert store.find("s00", "", _KIT) is None
    assert not list(tmp_path.rglob(f"{UNFINISHED}*"))


def test_a_killed_grader_costs_nothing_but_its_time(tmp_path: Path) -> None:
    def work(job: int) -> int:
        once = tmp_path / f"killed-{job}"
        if job % 3 == 0 and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return job * job

    assert dict(GraderPool(2, work).run(range(10))) == {job: job * job for job in range(10)}


def test_graders_that_are_always_killed_end_the_run_with_a_sentence() -> None:
    pool: GraderPool[int, None] = GraderPool(1, lambda job: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(GradersKilled, match="too little memory"):
        list(pool.run([1]))


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


def _started(house: Path, submitted: Path, results: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        small_house.command(submitted, results),
        cwd=house,
        env=small_house.environment(house),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
