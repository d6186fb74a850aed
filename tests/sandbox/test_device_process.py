"""Workers that may open a GPU: processes that nothing was forked into, every layer on that leaves a driver alive."""

from __future__ import annotations

import os
import time

import pytest

from grader.sandbox import device_process
from grader.sandbox.device_process import DeviceProcess, files_of_the_device
from grader.sandbox.layers import policy, probes
from grader.sandbox.layers.lockdown import GIB, Limits
from grader.sandbox.layers.policy import IsolationError, environment_of_the_device, open_device_workers
from grader.sandbox.spawn import Spawn
from grader.sandbox.workers import WorkerCrashed, WorkerTimeout
from tests.attacks.arena import descendants
from tests.sandbox.asking import asked, call, loaded


@pytest.fixture(scope="module")
def workers(layers):
    return DeviceProcess([], "default", layers, {"CUDA_VISIBLE_DEVICES": "0"}, limits=Limits(address_space=None, data=2 * GIB))


def test_it_holds_here_and_says_what_it_is(layers):
    workers = open_device_workers("default", [], [], {})
    assert (workers.isolation.mode, workers.isolation.layers) == ("default", tuple(layers))


def test_what_gets_through_is_what_a_driver_needs(workers):
    worker = workers.start()
    assert set(probes.attack(worker)) - {"stat", "processes"} <= {*policy.OPEN_TO_A_DEVICE} - {"memory"}
    worker.close()


def test_a_layer_that_does_not_hold_is_found_out(monkeypatch):
    gets_through = iter([[], ["socket", "tcp"]])  # with an ordinary worker, with one that may open a GPU
    monkeypatch.setattr(probes, "attack", lambda worker, hidden: next(gets_through))
    with pytest.raises(IsolationError, match="does not hold: it reaches the network"):
        open_device_workers("default", [], [], {})


@pytest.fixture(scope="module")
def worker(workers):
    with loaded(workers, HARMLESS) as worker:
        yield worker


HARMLESS = """
import os, socket, torch

def train():
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(3):
        optimizer.zero_grad(); model(torch.ones(4, 2)).sum().backward(); optimizer.step()
    return [os.environ["CUDA_VISIBLE_DEVICES"], sorted(name for name in os.environ if "SEED" in name or "PATH" in name)]

def processes():
    return [name for name in os.listdir('/proc') if name.isdigit()]

def sockets():
    refused = []
    for family, kind in [(socket.AF_INET, socket.SOCK_STREAM), (socket.AF_UNIX, socket.SOCK_DGRAM)]:
        try:
            socket.socket(family, kind)
        except OSError:
            refused.append(int(kind))
    own = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    own.bind(chr(0) + "cuda-uvmfd"); own.listen()
    try:
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect(chr(0) + "cuda-uvmfd")
    except OSError:
        refused.append("connect")
    return refused
"""


def test_it_trains_behind_the_layers(worker):
    assert call(worker, "train") == ["0", []]


@pytest.mark.usefixtures("namespaces")
def test_it_sees_no_process_but_itself(worker):
    assert call(worker, "processes") == ["1"]


def test_no_socket_reaches_anyone(worker):
    assert call(worker, "sockets") == [1, 2, "connect"]


def test_memory_is_bounded_by_what_may_be_written_to(workers):
    source = """
import mmap, torch
def f():
    mmap.mmap(-1, 64 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, prot=0)  # reserved, as CUDA does
    kept = []
    try:
        for _ in range(64):
            kept.append(torch.empty(1 << 28, dtype=torch.uint8))
    except RuntimeError:
        pass
    return len(kept)
"""
    assert 4 <= asked(workers, source) <= 8


@pytest.mark.parametrize(("body", "words"), [("import os; os._exit(3)", "exit code 3"), ("import ctypes; ctypes.string_at(0)", "SIGSEGV")])
def test_a_crash_is_told_in_words(workers, body, words):
    with loaded(workers, f"def f():\n    {body}\n") as worker, pytest.raises(WorkerCrashed, match=words):
        call(worker, "f")


def test_an_end_takes_everything_with_it(workers):
    before = len(os.listdir("/proc/self/fd")), descendants(os.getpid())
    source = "import threading, time\ndef f():\n    threading.Thread(target=time.sleep, args=(60,)).start()\n    while True: pass\n"
    with loaded(workers, source) as worker:
        assert len(descendants(os.getpid())) > len(before[1])
        with pytest.raises(WorkerTimeout):
            call(worker, "f", seconds=0.3)
    deadline = time.monotonic() + 5
    while descendants(os.getpid()) != before[1] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (len(os.listdir("/proc/self/fd")), descendants(os.getpid())) == before


def test_a_worker_that_does_not_come_up_says_why(layers):
    with pytest.raises(RuntimeError, match="no_such_module"):
        DeviceProcess(["no_such_module"], "default", layers, {}).start()


def test_without_isolation_it_is_a_process_that_sees_the_devices(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    device = environment_of_the_device()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    workers = open_device_workers("none", [], [], device)
    assert isinstance(workers, Spawn)
    source = "import os\ndef f():\n    return os.environ['CUDA_VISIBLE_DEVICES']\n"
    assert asked(workers, source) == "3"


def test_the_files_of_a_device_are_all_that_the_driver_is_spoken_to_through(tmp_path):
    (tmp_path / "nvidia-caps").mkdir()
    for name in ("nvidia0", "nvidiactl", "nvidia-uvm", "nvidia-caps/nvidia-cap1", "null"):
        (tmp_path / name).touch()
    found = [path.removeprefix(f"{tmp_path}/") for path in files_of_the_device(str(tmp_path))]
    assert found == ["nvidia-caps/nvidia-cap1", "nvidia-uvm", "nvidia0", "nvidiactl"]


def test_the_files_of_a_device_are_open_and_no_other_device_is(monkeypatch, layers):
    monkeypatch.setattr(device_process, "files_of_the_device", lambda: ("/dev/full",))
    source = """
def f():
    answers = []
    for path in ("/dev/full", "/dev/kmsg", "/dev/mem"):
        try:
            open(path, "r+b", buffering=0).close()
            answers.append(path)
        except OSError:
            pass
    return answers
"""
    assert asked(DeviceProcess([], "default", layers, {}), source) == ["/dev/full"]
