"""Grading on a Dask cluster of separate processes gives the records of a local run, also when a worker is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from grader.assignment import REPO_ROOT
from grader.grading import cluster
from grader.grading.cluster import Scheduler
from grader.grading.faults import CannotGrade
from grader.grading.options import GradingOptions
from tests.grading import small_checkout
from tests.grading.small_checkout import without_timings

pytest.importorskip("distributed")
NUMBER = 5


@pytest.fixture(scope="module")
def checkout() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dgm-checkout-") as folder:
        small_checkout.build(Path(folder))
        yield Path(folder)


@pytest.fixture(scope="module")
def device_house() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dgm-checkout-") as folder:
        small_checkout.build(Path(folder), device=True)
        yield Path(folder)


def test_a_lost_worker_changes_no_record(checkout: Path, tmp_path: Path) -> None:
    submitted = small_checkout.submissions(tmp_path / "submissions", NUMBER)
    with _cluster(checkout, workers=2) as (address, workers):
        command = small_checkout.command(submitted, tmp_path / "cluster", "--scheduler", address)
        with subprocess.Popen(command, cwd=checkout, env=small_checkout.environment(checkout), stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None
            events = [json.loads(run.stdout.readline())["event"] for _ in range(2)]
            workers[0].kill()
            events += [json.loads(line)["event"] for line in run.stdout]
    assert events == ["submissions"] + ["graded"] * NUMBER + ["finished"]
    local = small_checkout.run(checkout, submitted, tmp_path / "local")
    assert local.returncode == 0, local.stdout + local.stderr
    assert without_timings(tmp_path / "cluster") == without_timings(tmp_path / "local")


def test_the_gpu_exercise_goes_to_the_worker_that_declares_one(device_house: Path, tmp_path: Path) -> None:
    submitted = small_checkout.submissions(tmp_path / "submissions", 1, device=True)
    with _cluster(device_house, workers=1, with_a_gpu=1) as (address, _):
        small_checkout.run_on_the_cpu_as_device(device_house, submitted, tmp_path / "cluster", address)
    small_checkout.run_on_the_cpu_as_device(device_house, submitted, tmp_path / "local")
    assert without_timings(tmp_path / "cluster") == without_timings(tmp_path / "local")
    record = json.loads((tmp_path / "cluster" / "s00" / "record.json").read_text())
    assert (record["exercises"][-1]["score"], record["not_graded"]) == (2.0, 0.0)
    assert "landlock" in record["kit"]["device_layers"]


def test_where_no_worker_declares_a_gpu_it_is_not_graded(device_house: Path, tmp_path: Path) -> None:
    submitted = small_checkout.submissions(tmp_path / "submissions", 1, device=True)
    with _cluster(device_house, workers=1) as (address, _):
        small_checkout.run_on_the_cpu_as_device(device_house, submitted, tmp_path / "cluster", address)
    record = json.loads((tmp_path / "cluster" / "s00" / "record.json").read_text())
    assert {check["message"] for check in record["exercises"][-1]["checks"]} == {"needs a GPU, and this machine has none"}
    assert (record["not_graded"], record["kit"]["device"]) == (2.0, "")


def test_no_scheduler_is_a_sentence(checkout: Path, tmp_path: Path) -> None:
    submitted = small_checkout.submissions(tmp_path / "submissions", 1)
    done = small_checkout.run(checkout, submitted, tmp_path / "results", "--scheduler", "127.0.0.1")  # no port
    said = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, said["event"]) == (2, "error")
    assert "no Dask scheduler at 127.0.0.1" in said["message"]


def test_grading_here_does_not_need_dask() -> None:
    code = "import sys; sys.modules['distributed'] = sys.modules['dask'] = None\nimport grader.cli, grader.grading.grade"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("address", ["tcp://10.0.0.1:8786", "10.0.0.1:8786", "tcp://scheduler.example:8786", "ws://10.0.0.1:1"])
def test_a_scheduler_that_anyone_can_reach_is_refused_with_what_to_do(address: str) -> None:
    with pytest.raises(CannotGrade) as refused:
        Scheduler(address).connected()
    said = str(refused.value)
    assert cluster.MAKE_CERTIFICATE in said
    assert cluster.START_SCHEDULER in said
    assert "--insecure" in said


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "localhost:1", "[::1]:1", "tls://10.0.0.1:8786"])
def test_this_machine_and_tls_are_not(address: str) -> None:
    scheduler = Scheduler(address)
    assert scheduler.encrypted or scheduler.on_this_machine


def test_no_log_shows_the_seed() -> None:
    assert small_checkout.SEED not in repr(GradingOptions("lecture1", small_checkout.SEED))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_with_certificates_nobody_else_is_let_in(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The very commands that are printed, and those of the documentation, make the certificate and start the cluster."""
    submitted = small_checkout.submissions(tmp_path / "submissions", 2)
    certificates = tmp_path / "certs"
    for folder in (tmp_path, tmp_path / "others"):
        folder.mkdir(exist_ok=True)
        subprocess.run(["bash", "-c", cluster.MAKE_CERTIFICATE], cwd=folder, check=True, capture_output=True)
    docs = (REPO_ROOT / "docs/scale.md").read_text("utf-8")
    assert f"    {cluster.MAKE_CERTIFICATE}\n" in docs
    assert f"    {cluster.START_SCHEDULER}\n" in docs
    (line,) = (line for line in docs.splitlines() if line.startswith("    dask worker"))
    scheduler, worker = (
        [word.replace("certs/", f"{certificates}/") for word in words.replace("--nworkers 16", "--nworkers 2").split()[1:]]
        for words in (cluster.START_SCHEDULER, line.replace("tls://10.0.0.1:8786 ", ""))
    )
    with _cluster(checkout, workers=1, scheduler=scheduler, worker=worker) as (address, _):
        assert address.startswith("tls://")
        done = small_checkout.run(checkout, submitted, tmp_path / "results", "--scheduler", address, "--tls", str(certificates))
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(list((tmp_path / "results").glob("*/record.json"))) == 2
        monkeypatch.setattr(cluster, "CONNECT_SECONDS", 3.0)  # it is refused at once, and tried again as long as this
        for folder in (None, tmp_path / "others" / "certs"):
            with pytest.raises(CannotGrade, match="no Dask scheduler"):
                Scheduler(address, folder, insecure=True).connected()


@contextmanager
def _cluster(
    checkout: Path,
    workers: int,
    with_a_gpu: int = 0,
    scheduler: Sequence[str] = ("scheduler",),
    worker: Sequence[str] = ("worker", "--nthreads", "1", "--no-nanny"),
) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and workers, each a process of its own as on machines of their own; some declare a GPU."""
    with ExitStack() as stack:
        told = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "scheduler.json"

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "dask", *arguments, "--scheduler-file", str(told), "--no-dashboard"]
            process = subprocess.Popen(command, cwd=checkout, env=small_checkout.environment(checkout), stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        start(*scheduler, "--host", "127.0.0.1", "--port", "0")
        deadline = time.monotonic() + 120
        while not told.exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        started = [start(*worker) for _ in range(workers)]
        started += [start(*worker, "--resources", "GPU=1") for _ in range(with_a_gpu)]
        yield json.loads(told.read_text())["address"], started
