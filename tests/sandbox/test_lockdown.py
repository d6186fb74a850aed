"""Each layer, asked about from inside a worker."""

from __future__ import annotations

import os

import pytest

from grader.sandbox.fork import Fork
from grader.sandbox.layers.lockdown import FIRST_UID, UIDS, Limits
from tests.sandbox.asking import asked


@pytest.fixture(scope="module")
def workers(layers):
    fork = Fork([], "default", layers, limits=Limits(cpu_seconds=1, folder=1 << 20))
    yield fork
    fork.close()


def test_no_privileges_and_no_way_to_any(workers):
    source = """
import ctypes, os
def f():
    libc = ctypes.CDLL(None)
    data = (ctypes.c_uint32 * 6)()
    libc.syscall(125, (ctypes.c_uint32 * 2)(0x20080522, 0), data)
    return [list(data), os.getuid(), os.getgid(), list(os.getgroups())]
"""
    capabilities, uid, gid, groups = asked(workers, source)
    assert capabilities == [0] * 6
    assert uid != 0
    if os.geteuid() == 0:
        assert FIRST_UID <= uid < FIRST_UID + UIDS
        assert gid == uid
        assert groups == []


def test_limits_are_hard(workers):
    source = """
import resource
def f():
    names = ("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_NPROC", "RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_CORE")
    return [list(resource.getrlimit(getattr(resource, name))) for name in names]
"""
    limits = Limits(cpu_seconds=1)
    wanted = [limits.address_space, 1, limits.threads, limits.open_files, limits.file_size, 0]
    assert asked(workers, source) == [[most, most] for most in wanted]


def test_processor_time_runs_out(workers):
    from grader.sandbox.workers import WorkerCrashed

    with pytest.raises(WorkerCrashed, match=r"SIGKILL after \d"):
        asked(workers, "def f():\n    while True: pass\n")


def test_the_environment_is_empty_and_the_command_line_too(workers):
    source = "import os, sys\ndef f():\n    return [sorted(os.environ), sys.argv]\n"
    assert asked(workers, source) == [["HOME", "LANG", "OMP_NUM_THREADS", "TMPDIR"], [""]]


def test_only_the_channel_and_the_output_are_open(workers):
    source = """
import os
def f():
    found = []
    for descriptor in range(1000):
        try:
            os.fstat(descriptor)
            found.append(descriptor)
        except OSError:
            pass
    return found
"""
    assert asked(workers, source) == [0, 1, 2, 3]


def test_the_import_path_holds_the_interpreter_and_its_packages_only(workers):
    paths = asked(workers, "import sys\ndef f():\n    return sys.path\n")
    assert all("lib" in path for path in paths)
    assert os.getcwd() not in paths


@pytest.mark.usefixtures("namespaces")
def test_a_worker_is_alone_in_an_empty_house(workers):
    source = """
import os
def f():
    import torch
    names = ("/etc/passwd", "/home", "/proc/1", "/tmp", "/var", "/bin/sh", "/root/.bashrc")
    names = [name for name in names if not torch.__file__.startswith(name)]  # libraries may be installed anywhere
    return [os.getpid(), os.getppid(), os.getcwd(), os.listdir("."), [name for name in names if os.path.exists(name)]]
"""
    assert asked(workers, source) == [1, 0, "/box", [], []]


@pytest.mark.usefixtures("namespaces")
def test_the_temporary_folder_is_private_small_and_gone_with_its_worker(workers):
    source = """
import os
def f():
    before = os.listdir(".")
    written = 0
    try:
        with open("file", "wb") as file:
            for _ in range(100):
                written += file.write(bytes(1 << 16))
                file.flush()
    except OSError:
        pass
    return [before, written]
"""
    for _ in range(2):
        before, written = asked(workers, source)
        assert before == []
        assert 0 < written <= 1 << 20


def test_without_namespaces_nothing_is_writable_at_all(layers):
    if os.geteuid() == 0:
        pytest.skip("needs an interpreter that every user may read")
    fork = Fork([], "default", [layer for layer in layers if layer != "namespaces"])
    source = """
import os, tempfile
def f():
    return [folder for folder in (".", "/", "/tmp", "/dev/shm", "/var/tmp", os.environ["HOME"]) if attempt(folder)]
def attempt(folder):
    try:
        with open(f"{folder}/dgm-probe", "w"):
            return True
    except OSError:
        return False
"""
    try:
        assert asked(fork, source) == []
    finally:
        fork.close()
