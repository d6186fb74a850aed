"""Workers forked from a zygote that has torch loaded, each locked down before it sees a submission. Linux only.

The zygote itself runs behind bubblewrap's wall where that is wanted. Which layers to ask for is `policy`'s decision.
"""

from __future__ import annotations

import dataclasses
import fcntl
import functools
import importlib.util
import json
import os
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.sandbox.isolation import OUTPUT_LIMIT, SOURCE_GONE, Isolation
from grader.sandbox.layers.lockdown import Limits, Plan
from grader.sandbox.meter import ProcessMeter, pid_behind
from grader.sandbox.zygote import READY

if TYPE_CHECKING:
    from grader.sandbox.workers import Worker

START_SECONDS = 120.0  # the zygote imports torch once: 2 s here, much longer on a busy machine
LOCK_SECONDS = 30.0
DYING_SECONDS = 0.5  # between the end of the connection and the end of the process, where it is ending
SEALS = 1 | 2 | 4  # F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW

# Shared libraries, some of which are opened on first use only, and the few devices that compute.
SYSTEM = (
    *filter(None, sysconfig.get_config_vars("LIBDIR")),
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache",
    "/dev/null", "/dev/zero", "/dev/urandom",
)  # fmt: skip

# Environment of the zygote, all of it: one thread before the fork; names that torch._dynamo asks for when imported, and a
# folder that is there already, because importing it makes one; no GPU, for which torch would start threads.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/", "USER": "student", "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
    "TORCHINDUCTOR_CACHE_DIR": "/", "PYTORCH_NVML_BASED_CUDA_CHECK": "1", "CUDA_VISIBLE_DEVICES": "",
    "MALLOC_ARENA_MAX": "2",
}  # fmt: skip

COURSE = "DGM_COURSE"  # the folder of a course with checks of its own, where there is one

BOOT = """import json, sys
config = json.loads(sys.argv[1])
sys.path[:] = config["path"]
from grader.sandbox import zygote
getattr(zygote, config["role"])(config)"""


class Fork:
    """One zygote and the workers forked from it. Safe to use from several threads, and from processes forked later."""

    def __init__(
        self,
        modules: Sequence[str],
        mode: str,
        layers: Sequence[str],
        wall: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        """`layers`: those of the worker; `wall`: the bubblewrap to use, or None. The zygote is begun, and not waited for."""
        self._mode, self._wall = mode, wall
        plan = plan_for(modules, layers, wall, limits or Limits())
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = command_for("boot", plan, wall, control=theirs.fileno())
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the zygote
        self._zygote = subprocess.Popen(
            command, env=environment(), cwd="/", pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL, stdout=self._complaints, stderr=self._complaints,
            start_new_session=True,  # Ctrl-C is for the grader, which hangs up
        )  # fmt: skip
        theirs.close()

    @property
    def isolation(self) -> Isolation:
        """What stands around its workers. Raises: ``RuntimeError`` with the zygote's own words if it does not come up."""
        return Isolation(self._mode, (*self._hello["layers"], *(["wall"] if self._wall else [])))

    @property
    def why_no_namespaces(self) -> str | None:
        """What stands in their way, where they were asked for and are not among the layers. Raises: as ``isolation``."""
        why: str | None = self._hello["why_no_namespaces"]
        return why

    @functools.cached_property
    def _hello(self) -> dict[str, Any]:
        self._control.settimeout(START_SECONDS)
        why = ""
        try:
            hello = self._control.recv(1 << 16)
        except TimeoutError:
            hello, why = b"", f"nothing came from it in {START_SECONDS:.0f} s"
        if not hello:
            self.close()
            raise RuntimeError(f"the zygote did not start: {why or self._said}")
        said: dict[str, Any] = json.loads(hello)
        return said

    def start(self) -> Worker:
        """A fresh worker, every layer on. Raises: ``RuntimeError`` if it could not be locked down."""
        _ = self._hello  # the zygote is there
        connection, theirs = socket.socketpair()
        output = sealed_output()
        reply, zygotes = socket.socketpair()  # one for each request: no grader can take, or leave behind, another's
        with theirs, reply, zygotes:
            try:
                socket.send_fds(self._control, [b"."], [theirs.fileno(), output, zygotes.fileno()])
                zygotes.close()
                _, descriptors, _, _ = socket.recv_fds(reply, 1, 2, socket.MSG_CMSG_CLOEXEC)
            except OSError:
                descriptors = []
        if len(descriptors) != 2:
            connection.close()
            os.close(output)
            raise RuntimeError("no worker could be forked")
        return LockedProcess(connection, descriptors[0], descriptors[1], output).worker()

    def close(self) -> None:
        """End the zygote, and with it every worker."""
        self._control.close()
        try:
            self._zygote.wait(5)
        except subprocess.TimeoutExpired:
            self._zygote.kill()
            self._zygote.wait()
        self._complaints.seek(0)
        self._said = self._complaints.read().decode(errors="replace")[-2000:].strip()
        self._complaints.close()


def plan_for(modules: Sequence[str], layers: Sequence[str], wall: str | None, limits: Limits, **more: Any) -> Plan:
    """What a process that holds `modules` is told; `more`: what its plan says about a GPU."""
    readable = _outermost([*import_path(), *SYSTEM, *more.pop("readable", ())])
    return Plan(tuple(layers), limits, readable, tuple(modules), _packages(modules), walled=wall is not None, **more)


def command_for(role: str, plan: Plan, wall: str | None, **descriptors: Any) -> list[str]:
    """The command of a process that plays a role of `grader.sandbox.zygote`, behind the wall where there is one."""
    path = [*import_path(), *plan.packages]
    config = json.dumps({"role": role, "path": path, "plan": dataclasses.asdict(plan), **descriptors})
    python = [os.path.realpath(sys.executable), "-I", "-S", "-B", "-u", "-W", "ignore", "-c", BOOT, config]
    return python if wall is None else [*_wall(wall, plan), *python]


def environment() -> dict[str, str]:
    """All variables of a process that plays a role: a worker forgets them."""
    return {**ENVIRONMENT, **{name: os.environ[name] for name in (COURSE,) if name in os.environ}}


def sealed_output() -> int:
    """A file in memory for what a student prints; it can never hold more than `OUTPUT_LIMIT`."""
    output = os.memfd_create("output", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(output, OUTPUT_LIMIT)
    fcntl.fcntl(output, fcntl.F_ADD_SEALS, SEALS)
    return output


def import_path() -> tuple[str, ...]:
    """The interpreter's library and the installed packages: all that is on a worker's import path."""
    paths = sysconfig.get_paths()
    found = [paths["stdlib"], sysconfig.get_config_var("DESTSHARED"), paths["purelib"], paths["platlib"]]
    torch = importlib.util.find_spec("torch")
    found += [str(Path(torch.origin).parents[1])] if torch and torch.origin else []  # an environment may share another's packages
    return tuple(dict.fromkeys(found))


def _packages(modules: Sequence[str]) -> tuple[str, ...]:
    """Folders that hold the kit and the public modules: for the zygote, not for its workers."""
    tops = dict.fromkeys(name.split(".")[0] for name in ("grader", *modules))
    origins = [importlib.util.find_spec(top) for top in tops]
    folders = [str(Path(spec.origin).parents[1]) for spec in origins if spec and spec.origin]
    return tuple(folder for folder in dict.fromkeys(folders) if folder not in import_path())


class LockedProcess:
    """A worker's process, by its descriptors: the connection, its pidfd, its status pipe, what it prints."""

    lock_seconds = LOCK_SECONDS

    def __init__(self, connection: socket.socket, pidfd: int, status: int, output: int) -> None:
        self._connection, self._pidfd, self._status, self._output = connection, pidfd, status, output
        self._meter = ProcessMeter(pid_behind(pidfd))
        self._printed: str | None = None

    def worker(self) -> Worker:
        """The worker, every layer on. Raises: ``RuntimeError`` if it could not be locked down; then it is gone."""
        obstacle = self._obstacle()
        if obstacle is not None:
            self._connection.close()
            raise RuntimeError(f"the worker could not be locked down: {obstacle}")
        from grader.sandbox.workers import Worker  # needs torch, which the zygote has begun to load before

        return Worker(self._connection, self.end, self.output, self._meter)

    def _obstacle(self) -> str | None:
        said = os.read(self._status, len(READY)) if _readable(self._status, self.lock_seconds) else b"no word from it"
        if said == READY:
            return None
        if _readable(self._status, 0.0):
            said += os.read(self._status, 1000)
        self.end()
        return f"{said.decode(errors='replace')} {self.output()}"

    def end(self) -> str:
        """Kill and reap; how it had ended, if it had by itself."""
        hung_up = _readable(self._connection.fileno(), 0.0, select.POLLRDHUP)
        by_itself = _readable(self._pidfd, DYING_SECONDS if hung_up else 0.0)
        if not by_itself:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        how = self._how(by_itself)
        self._printed = self.output()
        self._meter.close()
        for descriptor in (self._pidfd, self._status, self._output):
            os.close(descriptor)
        return how

    def _how(self, by_itself: bool) -> str:
        """How it ended, if we did not kill it. The zygote reports; an empty report means that it ended as well."""
        report = b""
        while _readable(self._status, LOCK_SECONDS) and (part := os.read(self._status, 1000)):
            report += part
        if b"{" not in report:
            return SOURCE_GONE
        end = json.loads(report[report.index(b"{") :])
        return ending(int(end["code"]), by_itself, f" after {float(end['cpu']):.1f} s of processor time")

    def output(self) -> str:
        if self._printed is not None:
            return self._printed
        return os.pread(self._output, OUTPUT_LIMIT, 0).rstrip(b"\0").decode(errors="replace")


def _readable(descriptor: int, seconds: float, event: int = select.POLLIN) -> bool:
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(seconds * 1000))


def ending(code: int, by_itself: bool, after: str = "") -> str:
    """The end of a process in words, if we did not kill it."""
    if code == -signal.SIGKILL and not by_itself:
        return ""
    return f"{signal.Signals(-code).name}{after}" if code < 0 else f"exit code {code}"


def _wall(bubblewrap: str, plan: Plan) -> list[str]:
    """The command in front of the zygote's: a root folder with nothing but what it reads, and no network."""
    command = [bubblewrap, "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    command += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if os.geteuid() == 0:
        # to give up root per worker, to make pid namespaces, to read a library in a home folder
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SYS_ADMIN", "CAP_DAC_READ_SEARCH"):
            command += ["--cap-add", capability]
    else:
        command += ["--unshare-user"]
    tops = dict.fromkeys(name.split(".")[0] for name in ("grader", *plan.modules))
    public = [os.path.join(folder, top) for folder in plan.packages for top in tops]
    public += [os.path.join(os.environ[COURSE], "grader", "checks")] if COURSE in os.environ else []
    wanted = [path for path in plan.readable if not path.startswith(("/dev/", "/proc"))]
    shown = _outermost([*wanted, os.path.realpath(sys.executable), *public])
    # bubblewrap makes missing parents 0700, which a worker with another user could not enter
    devices = ("/dev/null", "/dev/zero", "/dev/urandom", *(plan.devices or ()))
    for parent in sorted({str(parent) for path in (*shown, *devices) for parent in Path(path).parents} - {"/"}):
        command += ["--dir", parent]
    for path in shown:
        command += ["--symlink", os.readlink(path), path] if os.path.islink(path) else ["--ro-bind", path, path]
    for device in devices:
        command += ["--dev-bind", device, device]
    return [*command, "--proc", "/proc", "--dir", "/box", "--chdir", "/", "--remount-ro", "/", "--"]


def _outermost(paths: Sequence[str]) -> tuple[str, ...]:
    """Those of the paths that exist and do not lie below another one."""
    kept: list[str] = []
    for path in sorted(filter(os.path.lexists, paths)):
        if not any(path == outer or path.startswith(outer + "/") for outer in kept):
            kept.append(path)
    return tuple(kept)
