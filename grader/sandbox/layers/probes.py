"""Attacks on a throw-away worker: whether a layer holds is found out by trying, not by asking for features."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from grader.sandbox.workers import Worker, WorkerCrashed, WorkerGone

# What a probe's success would mean, and the layer (one of them) that has to stop it.
PROBES = {
    "uid": ("user", "it runs as root"),
    "read": ("landlock", "it reads other files"),
    "list": ("landlock", "it lists other folders"),
    "write": ("landlock", "it writes outside its own folder"),
    "hidden": ("landlock", "it reads what the kit hides"),
    "import": ("landlock", "it imports the reference"),
    "memory_of_grader": ("landlock", "it reads the grader's memory"),
    "tcp": ("seccomp", "it reaches the network"),
    "socket": ("seccomp", "it makes sockets"),
    "fork": ("seccomp", "it makes processes"),
    "userns": ("seccomp", "it makes namespaces"),
    "ptrace": ("seccomp", "it traces processes"),
    "signal": ("seccomp", "it signals the grader"),
    "limits_of_grader": ("seccomp", "it reads or sets the grader's limits"),
    "memfd": ("seccomp", "it allocates memory that no limit counts"),
    "exec": ("seccomp", "it runs other programs"),
    "memory": ("limits", "it takes as much memory as it likes"),
    "threads": ("limits", "it starts as many threads as it likes"),
    "raise": ("limits", "it raises its own limits"),
    "stat": ("namespaces", "it sees the names of other files"),
    "processes": ("namespaces", "it sees other processes"),
    "environment": ("process", "it sees the grader's environment"),
    "descriptors": ("process", "it inherits open files"),
}

_SOURCE = """
import ctypes, importlib.util, mmap, os, resource, socket, threading

def attack(canary, hidden, packages, port, grader):
    succeeded = []
    def attempt(name, action):
        try:
            if action() is not False:
                succeeded.append(name)
        except BaseException:
            pass
    def is_open(descriptor):
        try:
            os.fstat(descriptor)
            return True
        except OSError:
            return False
    def fork():
        if os.fork() == 0:
            os._exit(0)
    def threads():
        stop = threading.Event()
        try:
            for _ in range(200):
                threading.Thread(target=stop.wait, daemon=True).start()
        finally:
            stop.set()
    libc = ctypes.CDLL(None)
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000
    attempt("uid", lambda: os.getuid() == 0)
    attempt("read", lambda: open(canary).read())
    attempt("list", lambda: os.listdir(os.path.dirname(canary)))
    attempt("write", lambda: os.open(canary + ".written", os.O_WRONLY | os.O_CREAT))  # the stand-in for open never fails
    for path in hidden:
        attempt("hidden", lambda: os.listdir(path) if os.path.isdir(path) else open(path).read(1))
    for name in packages:
        attempt("import", lambda: importlib.util.find_spec(name) is not None)
    attempt("memory_of_grader", lambda: open("/proc/%d/mem" % grader, "rb").close())
    attempt("tcp", lambda: socket.create_connection(("127.0.0.1", port), 1))
    attempt("socket", lambda: socket.socket(socket.AF_UNIX))
    attempt("fork", fork)
    attempt("ptrace", lambda: libc.ptrace(0x4206, grader, 0, 0) == 0)
    attempt("signal", lambda: os.kill(grader, 0))
    attempt("limits_of_grader", lambda: resource.prlimit(grader, resource.RLIMIT_CORE))
    attempt("memfd", lambda: os.memfd_create("probe"))
    attempt("memory", lambda: mmap.mmap(-1, 8 << 30, flags=private))
    attempt("threads", threads)
    attempt("raise", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 16, 1 << 16)))
    attempt("stat", lambda: os.stat(canary))
    attempt("processes", lambda: os.getpid() != 1)
    attempt("environment", lambda: "PATH" in os.environ)
    attempt("descriptors", lambda: any(map(is_open, range(4, 64))))
    attempt("userns", lambda: libc.unshare(0x10000000) == 0)
    return succeeded

def run_a_program():
    os.execv("/bin/true", ["true"])
"""


def attack(worker: Worker, hidden: Sequence[Path] = ()) -> list[str]:
    """Names of the probes that got through. The worker is of no further use."""
    with _prey() as (canary, port):
        paths, packages = [str(path) for path in hidden], [path.name for path in hidden if (path / "__init__.py").exists()]
        topics = {"probes": [_SOURCE]}
        load = {"do": "load", "package": "doctor", "topics": topics, "seconds": 10.0, "definitions_only": False}
        worker.request(load, 20)
        arguments = [str(canary), paths, packages, port, os.getpid()]
        answer = worker.request(_call("attack", arguments), 20)
        if "value" not in answer:
            raise RuntimeError(f"the worker cannot even run the probes: {answer}")
        succeeded = list(answer["value"])
        with contextlib.suppress(WorkerGone):
            try:
                worker.request(_call("run_a_program", []), 10)
            except WorkerCrashed:  # the answer never came because another program ran in the worker's place
                succeeded.append("exec")
    return succeeded


def _call(name: str, arguments: list[object]) -> dict[str, object]:
    target = ["probes", name]
    return {"do": "call", "run": 0, "target": target, "mode": "plain", "args": arguments, "kwargs": {}}


@contextlib.contextmanager
def _prey() -> Iterator[tuple[Path, int]]:
    """What a worker must not get at: a file that everyone may read, and a port that everyone may connect to."""
    with tempfile.TemporaryDirectory(prefix="dgm-doctor-") as folder, socket.create_server(("127.0.0.1", 0)) as server:
        os.chmod(folder, 0o777)
        canary = Path(folder, "canary")
        canary.write_text(secrets.token_hex())
        canary.chmod(0o644)
        yield canary, server.getsockname()[1]
