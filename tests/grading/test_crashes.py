"""Whatever ends a run of `dgm grade`, the next one finishes it and the records are those of an unbroken run."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from grader import record as records
from grader.grading.store import UNFINISHED
from grader.grading.store import read as store_read
from tests.grading import small_checkout

NUMBER = 4


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
    chance = random.Random(seed := time.time_ns())
    print(f"seed {seed}")  # shown where the test fails
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
    assert small_checkout.notes(results) == {f"s{index:02d}": "" if index < 2 else small_checkout.STALE for index in range(NUMBER)}


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
