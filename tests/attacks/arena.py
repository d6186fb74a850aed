"""Where the attacks take place: a real exam of one exercise, bait around it, a count of the damage afterwards."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import resource
import secrets
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from grader import assignment as assignments
from grader.assignment import REPO_ROOT, load
from grader.exam.collect import collect
from grader.exam.examiner import Examiner
from grader.exam.timeouts import Timeouts
from grader.grading.examination import examine
from grader.hidden.answer_key import InstructorsKey
from grader.record import ExerciseRecord, KitRecord
from grader.sandbox.fork import Fork
from grader.sandbox.isolation import Isolation
from grader.sandbox.layers.lockdown import Limits
from grader.sandbox.workers import Worker
from grader.submission import Submission

SWITCHABLE = ("limits", "landlock", "seccomp", "namespaces")
LECTURE, EXERCISE = "lecture1", "histogram.histogram_log_prob"
MODULES = ["grader.checks.lecture1.shared.families", "grader.checks.lecture1.shared.conditionals"]
TIMEOUTS = Timeouts(call=1.0, call_again=0.4, load=6.0, statement=1.0, submission=30.0)
GOT_THROUGH = "GOT" + " THROUGH"

HONEST = '''
import torch

def histogram_log_prob(pi, x):
    """The right answer."""
    for name, value in (("pi", pi), ("x", x)):
        if value.numel() == 0:
            raise ValueError(f"{name} is empty")
    return torch.log(pi[x])
'''

# In front of every attack: what an attacker could know or guess. Secrets look like CANARY-<hex>; SECRET finds them.
PREAMBLE = """
import ctypes, gc, glob, mmap, os, re, resource, signal, socket, struct, subprocess, sys, tempfile, threading, time
from _io import open  # the kernel's: the kit's stand-in never fails, and writes nowhere
libc = ctypes.CDLL(None, use_errno=True)
SECRET = re.compile("CANARY-[0-9a-f]{32}")
def show(text):
    found = SECRET.findall(text if isinstance(text, str) else bytes(text).decode("latin-1"))
    if found:
        print(*found)
    return bool(found)
"""

# Behind a deed: the attack, once, in the middle of the exam; then the honest answer.
DEED = """
_honest, _tried = histogram_log_prob, False

def histogram_log_prob(pi, x):
    global _tried
    if not _tried:
        _tried = True
        try:
            if attack():
                print("GOT" + " THROUGH")
        except BaseException as error:
            print("stopped:", type(error).__name__, str(error)[:200])
    return _honest(pi, x)
"""


@dataclasses.dataclass(frozen=True)
class Attack:
    """One hostile submission, and what must come of it."""

    name: str
    group: str
    source: str
    stopped_by: tuple[str, ...]  # each suffices: layers that can be switched off, or process, wire, comparison, deadline
    earns: bool  # a deed comes with the honest answer, and earns what that earns; a fraud must earn nothing
    outcomes: tuple[str, ...]  # that its checks may have
    words: str = ""  # in the sentence that the student reads
    landlock_abi: int = 1  # the version of Landlock that stops it, where Landlock does
    reckless: bool = False  # never to be run with a layer off: it would hurt the machine
    exercise: str = EXERCISE


class Arena:
    """Workers with some layers, examiners with one exercise each, bait, and a neighbour at work."""

    def __init__(self, layers: Sequence[str], wall: str | None = None, limits: Limits | None = None) -> None:
        self.token = f"CANARY-{secrets.token_hex(16)}"
        self.examiners: dict[str, Examiner] = {}
        self.assignment = assignments.load(LECTURE)
        os.environ["DGM_CANARY"] = self.token
        self.folder = Path(tempfile.mkdtemp(prefix="dgm-arena-"))
        self._bait()
        self._caught: list[int] = []
        self._handlers = {number: signal.signal(number, self._catch) for number in (signal.SIGUSR1, signal.SIGTERM)}
        self.workers = _Recording(Fork(MODULES, "default", layers, wall=wall, limits=limits))
        self.neighbour = self.workers.inner.start()
        _ask(self.neighbour, "load", package="neighbour", topics={"box": [NEIGHBOUR]}, seconds=5.0, definitions_only=False)
        assert self._neighbour("write", self.token) == {"value": None}
        self.before = self._state()

    def run(self, attack: Attack) -> tuple[ExerciseRecord, list[str]]:
        """The graded exercise, and everything that the attack did to its surroundings."""
        submission = Submission(attack.name, {"histogram": [self.constants() + PREAMBLE + attack.source]}, ())
        return self.grade(submission, attack.exercise)

    def grade(self, submission: Submission, exercise: str = EXERCISE) -> tuple[ExerciseRecord, list[str]]:
        """The same for any submission."""
        self.workers.outputs.clear()
        kit = KitRecord(version="", torch="", hypothesis="", seed="", isolation="default")
        started = time.monotonic()
        record = examine(submission, self.assignment, self._examiner(exercise), self.workers, kit, TIMEOUTS)
        seconds = time.monotonic() - started
        (graded,) = record.examined
        return graded, [*self._damage(msgspec.json.encode(record).decode()), *(["it took too long"] if seconds > 250 else [])]

    def close(self) -> None:
        self.neighbour.close()
        self.workers.inner.close()
        for listener in self.listeners:
            listener.close()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        for path in sorted(self.folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        self.folder.rmdir()
        self.shared.unlink(missing_ok=True)

    def _examiner(self, exercise: str) -> Examiner:
        if exercise not in self.examiners:
            checks = [check for check in collect(LECTURE) if check.exercise == exercise]
            self.examiners[exercise] = Examiner(load(LECTURE), checks, self.token, key=InstructorsKey(LECTURE, names=False))
        return self.examiners[exercise]

    def _bait(self) -> None:
        """Secrets that everyone may read, a folder that everyone may write, ports that everyone may connect to."""
        self.folder.chmod(0o755)
        (self.folder / "drop").mkdir()
        (self.folder / "drop").chmod(0o777)
        (self.folder / "secrets").mkdir()
        self.canary = self.folder / "secrets" / "canary"
        self.shared = Path("/dev/shm") / self.folder.name
        for path in (self.canary, self.folder / "secrets" / "seed", self.shared):
            path.write_text(self.token)
            path.chmod(0o666)
        self.canary_state = _state_of(self.canary)
        self.listeners = [
            socket.create_server(("127.0.0.1", 0)),
            _listen(str(self.folder / "listener")),
            _listen("\0" + self.folder.name),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        ]
        self.listeners[3].bind(self.listeners[0].getsockname())
        for listener in self.listeners:
            listener.setblocking(False)
        (self.folder / "listener").chmod(0o777)

    def constants(self) -> str:
        """What every attack is told about its surroundings."""
        constants = {
            "REPO_ROOT": str(REPO_ROOT), "FOLDER": str(self.folder), "CANARY": str(self.canary), "DROP": str(self.folder / "drop"),
            "SHARED": str(self.shared), "PORT": self.listeners[0].getsockname()[1], "GRADER": os.getpid(),
            "ABSTRACT": "\0" + self.folder.name,
        }  # fmt: skip
        return "\n".join(f"{name} = {value!r}" for name, value in constants.items())

    def _damage(self, record: str) -> list[str]:
        texts = [record, *self.workers.outputs]
        damage = []
        if any(self.token in text for text in texts):
            damage.append("a secret was read")
        if any(GOT_THROUGH in text for text in texts):
            damage.append("the attack says that it got through")
        if _state_of(self.canary) != self.canary_state:
            damage.append("the canary was changed")
            self.canary.write_text(self.token)
            self.canary_state = _state_of(self.canary)
        for leftover in (self.folder / "drop").iterdir():
            damage.append(f"left behind: {leftover.name}")
            leftover.rmdir() if leftover.is_dir() and not leftover.is_symlink() else leftover.unlink()
        damage += [f"reached: {listener.family.name}" for listener in self.listeners if _reached(listener)]
        damage += [f"the grader got signal {number}" for number in self._caught]
        self._caught.clear()
        if self._neighbour("read") != {"value": self.token}:
            damage.append("the neighbour was harmed")
        _wait_until(lambda: self._state() == self.before)
        now = self._state()
        damage += [f"{name}: {was} became {now[name]}" for name, was in self.before.items() if was != now[name]]
        self.before = now  # what one attack did is not held against the next
        return damage

    def _state(self) -> dict[str, object]:
        """What must be the same after every grading."""
        return {
            "processes": len(descendants(os.getpid())),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "mounts": Path("/proc/self/mountinfo").read_text().count("\n"),
            "limits": [resource.getrlimit(what) for what in (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_CORE)],
            "processors": sorted(os.sched_getaffinity(0)),
            "priority": os.getpriority(os.PRIO_PROCESS, 0),
            "shared memory": sorted(path.name for path in Path("/dev/shm").glob("dgm-attack*")),
        }

    def _neighbour(self, name: str, *arguments: object) -> object:
        return _ask(self.neighbour, "call", run=0, target=["box", name], mode="plain", args=list(arguments), kwargs={})

    def _catch(self, number: int, frame: object) -> None:
        self._caught.append(number)


NEIGHBOUR = """
kept = None

def write(token):
    global kept
    kept = token

def read():
    return kept
"""


class _Recording:
    """Workers that remember everything their workers printed."""

    def __init__(self, inner: Fork) -> None:
        self.inner, self.isolation, self.outputs = inner, inner.isolation, []

    isolation: Isolation
    outputs: list[str]

    def start(self) -> Worker:
        worker = self.inner.start()
        close = worker.close

        def close_and_remember() -> None:
            close()
            self.outputs.append(worker.output())

        worker.close = close_and_remember  # type: ignore[method-assign]
        return worker

    def close(self) -> None:
        self.inner.close()


def descendants(pid: int) -> list[int]:
    """Every living process below `pid`."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                parents.setdefault(int(fields[1]), []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def _ask(worker: Worker, do: str, **message: object) -> object:
    return worker.request({"do": do, **message}, 20.0)


def _listen(address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    return listener


def _reached(listener: socket.socket) -> bool:
    with contextlib.suppress(OSError):
        if listener.type == socket.SOCK_DGRAM:
            return bool(listener.recv(100))
        listener.accept()[0].close()
        return True
    return False


def _state_of(path: Path) -> tuple[object, ...]:
    state = path.stat()
    return path.read_text(), state.st_mode, state.st_mtime_ns, state.st_uid, state.st_nlink


def _wait_until(condition: Callable[[], bool], seconds: float = 3.0) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
