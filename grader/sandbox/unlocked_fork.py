"""A worker forked from this very process, which has torch loaded: a student's own machine need not import it twice.

It inherits all that this process knows, so it is for one's own work alone. Linux only: elsewhere a fork is not safe.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import random
import signal
import socket
import sys
import tempfile
import warnings
from typing import IO, NoReturn

import numpy
import torch

from grader.sandbox.inside import host
from grader.sandbox.inside.loading import SubmissionFinder
from grader.sandbox.isolation import OUTPUT_LIMIT, Isolation
from grader.sandbox.meter import ProcessMeter
from grader.sandbox.workers import Worker

SEED = 0  # of every random state that a submission finds


class UnlockedFork:
    """Workers that are copies of this process, and know the import path that it had when this was made."""

    isolation = Isolation("none", ())

    def __init__(self, modules: list[str]) -> None:
        self._path = list(sys.path)
        for name in modules:
            importlib.import_module(name)

    def start(self) -> Worker:
        ours, theirs = socket.socketpair()
        process = _Copy(theirs, self._path)
        theirs.close()
        return Worker(ours, process.end, process.output, process.meter)

    def close(self) -> None:
        pass  # none stands ready


class _Copy:
    def __init__(self, connection: socket.socket, path: list[str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dgm-worker-", ignore_cleanup_errors=True)
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the process
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # or the copy would print it, too
        with warnings.catch_warnings(action="ignore"):  # other threads of ours wait for keys and for saves, and hold nothing
            self._pid = os.fork()
        if self._pid == 0:
            _serve(connection, self._output, self._folder.name, path)
        self.meter = ProcessMeter(self._pid)
        self._code: int | None = None

    def end(self) -> str:
        if self._code is None:
            done, status = os.waitpid(self._pid, os.WNOHANG)
            if not done:
                os.kill(self._pid, signal.SIGKILL)
                _, status = os.waitpid(self._pid, 0)
            self._code = os.waitstatus_to_exitcode(status)
            self.meter.close()
            self._folder.cleanup()
        return f"signal {-self._code}" if self._code < 0 and self._code != -signal.SIGKILL else ""

    def output(self) -> str:
        return os.pread(self._output.fileno(), OUTPUT_LIMIT, 0).decode("utf-8", "replace")


def _serve(connection: socket.socket, output: IO[bytes], folder: str, path: list[str]) -> NoReturn:
    """In the copy: be as a fresh process would be, then answer until the other side hangs up. Never return."""
    with contextlib.suppress(BaseException):
        nothing = os.open(os.devnull, os.O_RDONLY)
        for descriptor, wanted in ((nothing, 0), (output.fileno(), 1), (output.fileno(), 2), (connection.detach(), 3)):
            os.dup2(descriptor, wanted)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = sys.stderr = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), "utf-8", "replace", write_through=True)
        os.chdir(folder)
        os.environ["MPLBACKEND"] = "Agg"
        sys.path[:] = path
        _forget_submissions()
        warnings.simplefilter("ignore")
        torch.manual_seed(SEED)
        random.seed(SEED)
        numpy.random.seed(SEED)
        host.quiet_start()
        host.serve(host.connect(socket.socket(fileno=3)))
    os._exit(0)


def _forget_submissions() -> None:
    """Modules that this process has made of work handed in: their names are free in a fresh process."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, SubmissionFinder)]
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        if name != "__main__" and "." not in name and (spec is None or isinstance(spec.loader, SubmissionFinder)):
            del sys.modules[name]
