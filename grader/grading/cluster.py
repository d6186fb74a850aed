"""`dgm grade --scheduler ADDRESS`: the same exam on the machines of a Dask cluster.

A submission travels as its content, a record comes back; only this process touches the folder of results. A machine of
the cluster needs the installed kit and the reference. What a lost machine had in hand is graded on another.

Checks marked `gpu` are a second task, for workers that declare the resource GPU: it takes the record of the first and
completes it. Where no worker declares one, there is no second task and those checks are not graded.
"""

from __future__ import annotations

import ipaddress
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from grader import assignment as assignments
from grader.assignment import Assignment
from grader.grading.device import DeviceSession
from grader.grading.faults import CannotGrade, guarded, not_graded
from grader.grading.grade import write_records
from grader.grading.kit import version
from grader.grading.options import GradingOptions
from grader.grading.session import GradingSession
from grader.grading.store import Store
from grader.hidden.places import available
from grader.record import Done, KitRecord
from grader.submission import HandedIn, Submission, read_apart

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_SECONDS = 30.0
GPU = {"GPU": 1}  # what an exam on a device takes of a worker: dask worker --resources "GPU=1"
MAKE_CERTIFICATE = (
    "mkdir -p certs && openssl req -x509 -newkey rsa:3072 -nodes -days 365 -subj /CN=dgm -keyout certs/key.pem -out certs/cert.pem"
)
START_SCHEDULER = "dask scheduler --protocol tls --tls-ca-file certs/cert.pem --tls-cert certs/cert.pem --tls-key certs/key.pem"
MAX_PENDING = 500  # submissions that the scheduler holds; more would only cost its memory


def grade_on(
    scheduler: Scheduler,
    handed_in: Sequence[HandedIn],
    results: Path,
    options: GradingOptions,
    source: Path | None = None,
    regrade: bool = False,
) -> Iterator[Done]:
    """Grade submissions on the cluster behind a scheduler; yields them as they are done. The rest as for `grade`.

    Raises: `CannotGrade` without Dask, without a scheduler, or when workers have another kit; `StoreError`.
    """
    if options.only:
        raise CannotGrade("--only grades on this machine: leave out --scheduler")
    assignment = assignments.load(options.lecture)
    with Store(results) as store, scheduler.connected() as client:
        kit = _asked(client.submit(kit_there, options, version(), pure=False))
        device = any("GPU" in worker["resources"] for worker in client.scheduler_info(n_workers=-1)["workers"].values())
        if device:
            kit = _asked(client.submit(kit_on_a_device, options, version(), kit, resources=GPU, pure=False))
        store.begin(options, kit, source, [one.name for one in handed_in], regrade)
        yield from write_records(store, _graded(client, handed_in, assignment, store, options, kit, device))


@dataclass(frozen=True)
class Scheduler:
    """Where a cluster's scheduler listens, and how this process proves that it may use it."""

    address: str  # tls://10.0.0.1:8786
    certificates: Path | None = None  # a folder with cert.pem and key.pem; without it Dask's own configuration tells
    insecure: bool = False  # also without encryption on a network

    def connected(self) -> Client:
        """A connection. Raises: `CannotGrade` with what to do."""
        if not (self.insecure or self.encrypted or self.on_this_machine):
            raise CannotGrade(
                f"{self.address} is not encrypted: whoever can reach that scheduler could run code on its machines and read "
                f"the grading seed. Make a certificate and copy it to every machine:\n  {MAKE_CERTIFICATE}\n"
                f"start the scheduler (and the workers) with it:\n  {START_SCHEDULER}\n"
                f"and grade with --scheduler tls://… --tls certs; or, in a network of which you trust all of it, --insecure"
            )
        try:
            from distributed import Client, Security
        except ImportError:
            raise CannotGrade("--scheduler needs Dask: pip install 'dgm-kit[cluster]'") from None
        security = None
        if self.certificates is not None:
            certificate, key = (str(self.certificates / name) for name in ("cert.pem", "key.pem"))
            security = Security(tls_ca_file=certificate, tls_client_cert=certificate, tls_client_key=key, require_encryption=True)
        try:
            return Client(self.address, timeout=CONNECT_SECONDS, security=security)
        except (OSError, ValueError, TypeError, AssertionError) as error:  # it asserts that its own thread starts in 10 s
            why = str(error) or "Dask did not start in time, is this machine busy?"
            raise CannotGrade(f"there is no Dask scheduler at {self.address}: {why}") from None

    @property
    def encrypted(self) -> bool:
        """Whether the address demands it."""
        return self.address.startswith(("tls://", "wss://"))

    @property
    def on_this_machine(self) -> bool:
        """Whether nothing leaves it."""
        host = urlsplit(self.address if "://" in self.address else f"tcp://{self.address}").hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


def kit_there(options: GradingOptions, kit: str) -> KitRecord:
    """On a worker: what grades there."""
    with _busy:
        return _open(GradingSession, options, kit).kit


def grade_there(options: GradingOptions, kit: str, handed_in: bytes) -> bytes:
    """On a worker: what became of one submission, both as JSON."""
    submission = msgspec.json.decode(handed_in, type=Submission)
    with _busy:
        session = _open(GradingSession, options, kit)
        session.rehearse(submission.topics)

        def examined() -> Done:
            return Done(session.grade(submission), found=False, log=session.faults())

        return _guarded(examined, session, submission, session.kit)


def kit_on_a_device(options: GradingOptions, kit: str, record: KitRecord) -> KitRecord:
    """On a worker with a GPU: what grades there, besides what grades everywhere."""
    with _busy:
        return _open(DeviceSession, options, kit).kit(record)


def complete_on_a_device(options: GradingOptions, kit: str, handed_in: bytes, graded: bytes) -> bytes:
    """On a worker with a GPU: the same with the exercises that need it."""
    submission, done = msgspec.json.decode(handed_in, type=Submission), msgspec.json.decode(graded, type=Done)
    if done.record.fault:
        return graded
    with _busy:
        session = _open(DeviceSession, options, kit)

        def completed() -> Done:
            return msgspec.structs.replace(done, record=session.complete(done.record, submission))

        return _guarded(completed, session, submission, done.record.kit)


def _guarded(work: Callable[[], Done], session: GradingSession | DeviceSession, submission: Submission, kit: KitRecord) -> bytes:
    assignment = assignments.load(session.options.lecture)
    return msgspec.json.encode(guarded(work, session.restart, lambda: not_graded(submission, assignment, kit)))


_busy = threading.Lock()  # one exam at a time in one process: start workers with one thread each
_sessions: dict[type, Any] = {}  # of each kind at most one, open as long as the worker lives

AnySession = TypeVar("AnySession", GradingSession, DeviceSession)


def _open(kind: type[AnySession], options: GradingOptions, kit: str) -> AnySession:
    if kit != version():
        raise CannotGrade(f"a machine of the cluster has the kit {version()}, here is {kit}: install the same on all")
    if not available(options.lecture):
        raise CannotGrade(f"a machine of the cluster lacks the hidden reference dgm_ref/{options.lecture}")
    if kind not in _sessions or _sessions[kind].options != options:
        if kind in _sessions:
            _sessions.pop(kind).__exit__()
        _sessions[kind] = kind(options).__enter__()
    return _sessions[kind]


def _graded(
    client: Client, handed_in: Sequence[HandedIn], assignment: Assignment, store: Store, options: GradingOptions, kit: KitRecord,
    device: bool,
) -> Iterator[Done]:  # fmt: skip
    from distributed import as_completed

    in_hand = as_completed()
    names: dict[Any, HandedIn] = {}  # by the key of the future

    def next_done(future: Future[Any]) -> Done:
        one = names.pop(future.key)
        try:
            return msgspec.json.decode(_asked(future), type=Done)
        except KillsWorkers as error:
            return Done(not_graded(one, assignment, kit), found=False, log=str(error))

    for one in handed_in:
        try:
            submission = read_apart(one, assignment)
            earlier = store.find(submission, kit)
        except Exception:
            yield Done(not_graded(one, assignment, kit), found=False, log=traceback.format_exc())
            continue
        if earlier is not None:
            yield Done(earlier, found=True)
            continue
        sent = msgspec.json.encode(submission)
        graded = client.submit(grade_there, options, version(), sent, pure=False)
        if device:
            graded = client.submit(complete_on_a_device, options, version(), sent, graded, resources=GPU, pure=False)
        names[graded.key] = one
        in_hand.add(graded)
        if in_hand.count() >= MAX_PENDING:
            yield next_done(next(in_hand))
    for future in in_hand:
        yield next_done(future)


class KillsWorkers(CannotGrade):
    """Machines die with what they were asked, one after the other."""


def _asked(future: Future[Any]) -> Any:
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        raise KillsWorkers(f"{error}. What is finished is kept: look at the workers' memory, then start again") from None
