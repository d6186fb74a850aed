"""A worker in a fresh Python process, on any platform: for a student's own machine, and for work one trusts.

The process is told where to connect and a one-time password on its standard input. No isolation beyond the process.
"""

from __future__ import annotations

import hmac
import importlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping

from grader.sandbox.isolation import OUTPUT_LIMIT, Isolation
from grader.sandbox.meter import ProcessMeter
from grader.sandbox.workers import Worker

START_SECONDS = 120.0  # a cold start imports torch: seconds here, much longer on a busy laptop


class Spawn:
    """Workers that are fresh Python processes. One spare is started ahead where `spare` says so.

    `environment`: all the variables that they have; without it those of this process.
    """

    isolation = Isolation("none", ())

    def __init__(self, modules: list[str], spare: bool = False, environment: Mapping[str, str] | None = None) -> None:
        self._families, self._keep_spare, self._environment = modules, spare, environment
        self._spare = self._process() if spare else None

    def _process(self) -> _Process:
        return _Process(self._families, self._environment)

    def start(self) -> Worker:
        process = self._spare or self._process()
        self._spare = self._process() if self._keep_spare else None
        return Worker(process.connection(), process.end, process.output, process.meter)

    def close(self) -> None:
        if self._spare is not None:
            self._spare.end()


class _Process:
    def __init__(self, modules: list[str], environment: Mapping[str, str] | None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._password = secrets.token_bytes(32)
        self._folder = tempfile.TemporaryDirectory(prefix="dgm-worker-", ignore_cleanup_errors=True)
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the process
        port = self._listener.getsockname()[1]
        self._process = subprocess.Popen(
            [sys.executable, "-B", "-W", "ignore", "-m", "grader.sandbox.spawn", str(port), *modules],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            cwd=self._folder.name,
            env={**(environment or os.environ), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", "PYTHONIOENCODING": "utf-8"},
        )
        self.meter = ProcessMeter(self._process.pid)
        assert self._process.stdin is not None
        self._process.stdin.write(self._password)
        self._process.stdin.close()

    def connection(self) -> socket.socket:
        """The connection to the process, once it has proved that it is ours."""
        deadline = time.monotonic() + START_SECONDS
        self._listener.settimeout(0.2)
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            connection.settimeout(5)
            if hmac.compare_digest(connection.recv(32, socket.MSG_WAITALL), self._password):
                self._listener.close()
                return connection
            connection.close()
        raise RuntimeError(f"the worker process did not start: {self.output()[-2000:]}")

    def end(self) -> str:
        self._listener.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self.meter.close()
        self._folder.cleanup()
        code = self._process.returncode
        return f"signal {-code}" if code < 0 and code != -9 else ""

    def output(self) -> str:
        self._output.seek(0)
        return self._output.read(OUTPUT_LIMIT).decode("utf-8", "replace")


def main() -> None:
    """The process's side: connect, prove it, serve."""
    port, *modules = sys.argv[1:]
    password = sys.stdin.buffer.read(32)
    from grader.sandbox.inside import host

    host.quiet_start()
    for name in modules:
        importlib.import_module(name)
    connection = socket.create_connection(("127.0.0.1", int(port)))
    connection.sendall(password)
    host.serve(host.connect(connection))


if __name__ == "__main__":
    main()
