"""The zygote and its workers: fresh, alone, mortal."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from grader.sandbox.fork import ENVIRONMENT, Fork
from grader.sandbox.isolation import OUTPUT_LIMIT, NoWorkers
from grader.sandbox.workers import WorkerCrashed, WorkerTimeout
from tests.attacks.arena import descendants
from tests.sandbox.asking import asked, call, load, loaded

BOX_BEFORE = Path("/box").exists()


@pytest.fixture(scope="module")
def workers(layers):
    before = os.umask(0o077)  # a careful administrator's; workers are another user, and need what is made for them
    fork = Fork(["grader.checks.lecture1.shared.families"], "default", layers)
    os.umask(before)
    yield fork
    fork.close()


def test_importing_torch_leaves_nothing_on_the_host(workers):
    assert asked(workers, "def f(): return True\n") is True
    assert Path("/box").exists() == BOX_BEFORE


def test_a_worker_computes(workers):
    got = asked(workers, "import torch\ndef f(x):\n    return torch.func.grad(torch.sum)(x) + torch.linalg.det(x)\n", torch.eye(3))
    assert torch.equal(got, torch.ones(3, 3) + 1)


def test_lazy_imports_work_behind_the_layers(workers):
    names = ["wave", "statistics", "torch.optim", "torch.distributions", "torch.nn.utils.parametrizations", "numpy.polynomial"]
    source = "import importlib\ndef f(name):\n    importlib.import_module(name)\n    return True\n"
    with loaded(workers, source) as worker:
        assert [call(worker, "f", name) for name in names] == [True] * len(names)


def test_training_and_temporary_files_work_behind_the_layers(workers):
    source = """
import os, tempfile, torch
def f():
    model = torch.nn.Linear(2, 1)
    optimiser = torch.optim.Adam(model.parameters())
    for _ in range(3):
        optimiser.zero_grad(); model(torch.ones(4, 2)).sum().backward(); optimiser.step()
    if os.access(tempfile.gettempdir() if os.environ["HOME"] == "/box" else "/", os.W_OK):
        with tempfile.TemporaryDirectory() as folder:
            torch.save(model.state_dict(), f"{folder}/a"); os.rename(f"{folder}/a", f"{folder}/b")
            model.load_state_dict(torch.load(f"{folder}/b"))
    return True
"""
    assert asked(workers, source) is True


def test_workers_share_nothing(workers):
    source = "import torch\nkept = []\ndef f(x):\n    kept.append(x); torch.add = None\n    return len(kept)\n"
    assert asked(workers, source, 1) == 1
    assert asked(workers, source, 1) == 1
    with loaded(workers, source) as first, loaded(workers, source) as second:
        assert [call(first, "f", 1), call(first, "f", 1), call(second, "f", 1)] == [1, 2, 1]


def test_a_hundred_workers_leave_nothing(workers):
    before = len(os.listdir("/proc/self/fd")), len(descendants(os.getpid()))
    for _ in range(100):
        workers.start().close()
    assert (len(os.listdir("/proc/self/fd")), len(descendants(os.getpid()))) == before


def test_workers_may_be_started_from_several_threads(workers):
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda x: asked(workers, "def f(x):\n    return x * x\n", x), range(12)))
    assert answers == [x * x for x in range(12)]


def test_output_is_kept_up_to_a_bound_and_printing_more_is_no_error(workers):
    with loaded(workers, "def f(n):\n    for _ in range(n):\n        print('x' * 999)\n    return True\n") as worker:
        assert call(worker, "f", 1) is True
        assert worker.output() == "x" * 999 + "\n"
        assert call(worker, "f", 1000) is True
        assert len(worker.output()) <= OUTPUT_LIMIT
    assert worker.output().startswith("xxx")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import os; os._exit(3)", "exit code 3"),
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("import os; os.close(3)", "it gave no answer"),
    ],
)
def test_a_crash_is_told_in_words(workers, body, words):
    with loaded(workers, f"def f():\n    {body}\n") as worker:
        with pytest.raises(WorkerCrashed, match=words):
            call(worker, "f")
        with pytest.raises(WorkerCrashed):  # dead is dead
            call(worker, "f")


def test_a_timeout_is_for_the_whole_request_and_final(workers):
    with loaded(workers, "def f():\n    while True: pass\n") as worker:
        started = time.monotonic()
        with pytest.raises(WorkerTimeout):
            call(worker, "f", seconds=0.3)
        assert time.monotonic() - started < 5
        with pytest.raises(WorkerTimeout):
            call(worker, "f")


def test_closing_the_zygote_ends_its_workers(layers):
    fork = Fork([], "default", layers)
    worker = fork.start()
    load(worker, "def f():\n    return 1\n")
    fork.close()
    with pytest.raises(NoWorkers):  # it is nothing that the submission did
        call(worker, "f")
    with pytest.raises(RuntimeError):
        fork.start()


def test_a_grader_that_is_killed_takes_everything_with_it(layers):
    program = (
        "from grader.sandbox.fork import Fork\nfrom tests.sandbox.asking import load\nimport sys, time\n"
        f"fork = Fork([], 'default', {list(layers)!r})\nworkers = [fork.start() for _ in range(3)]\n"
        "print('ready', flush=True)\ntime.sleep(60)\n"
    )
    checkout = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=checkout, env={**os.environ, "PYTHONPATH": str(checkout)}
    ) as grader:
        assert grader.stdout is not None
        assert grader.stdout.readline() == b"ready\n"
        below = descendants(grader.pid)
        assert len(below) >= 4
        grader.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(_alive(pid) for pid in below) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_alive(pid) for pid in below)


def test_a_zygote_that_does_not_come_up_says_why(layers):
    with pytest.raises(RuntimeError, match="no_such_module"):
        Fork(["no_such_module"], "default", layers).start()


def test_a_zygote_that_is_not_heard_in_time_is_told(monkeypatch, layers):
    monkeypatch.setattr("grader.sandbox.fork.START_SECONDS", 0.0001)
    with pytest.raises(RuntimeError, match="the zygote did not start: nothing came from it in"):
        Fork(["torch"], "default", layers).start()


def _alive(pid: int) -> bool:
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_loading_torch_makes_no_folder_on_the_host():
    program = (
        "import os, sys\nmade = []\n"
        "sys.addaudithook(lambda event, args: made.append(args[0]) if event == 'os.mkdir' and not os.path.isdir(args[0]) else None)\n"
        "import torch._dynamo\nprint(made)"
    )
    environment = {**ENVIRONMENT, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
