"""`dgm grade --scheduler ADDRESS`: the same exam on the machines of a Dask cluster.

A submission travels as its content, a record comes back; only this process touches the folder of results. A machine of
the cluster needs the installed kit and the reference. What a lost machine had in hand is graded on another.

Checks marked `gpu` are a second task, for workers that declare the resource GPU: it takes the record of the first and
completes it. Where no worker declares one, there is no second task and those checks are not graded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from grader import assignment as assignments
from grader import record as records
from grader.grading.device import DeviceSession
from grader.grading.examination import content
from grader.grading.grade import CannotGrade, Done, GradingSession, keep
from grader.grading.kit import version
from grader.grading.options import GradingOptions
from grader.grading.store import Store
from grader.hidden.reference import available
from grader.record import KitRecord
from grader.submission import HandedIn, Submission, read_apart

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_SECONDS = 30.0
GPU = {"GPU": 1}  # what an exam on a device takes of a worker: dask worker --resources "GPU=1"
IN_HAND = 500  # submissions that the scheduler holds; more would only cost its memory


def grade_on(address: str, handed_in: Sequence[HandedIn], results: Path, order: GradingOptions) -> Iterator[Done]:
    """Grade submissions on the cluster behind a scheduler; yields them as they are done.

    Raises: `CannotGrade` without Dask, without a scheduler, or when workers have another kit; `StoreError`.
    """
    assignment = assignments.load(order.lecture)
    with Store(results) as store, _connected(address) as client:
        kit = _asked(client.submit(kit_there, order, version(), pure=False))
        device = any("GPU" in worker["resources"] for worker in client.scheduler_info(n_workers=-1)["workers"].values())
        if device:
            kit = _asked(client.submit(kit_on_a_device, order, version(), kit, resources=GPU, pure=False))
        submissions = (read_apart(one, assignment) for one in handed_in)
        yield from keep(store, _graded(client, submissions, store, order, kit, device))


def kit_there(order: GradingOptions, kit: str) -> KitRecord:
    """On a worker: what grades there."""
    with _busy:
        return _session(order, kit).kit


def grade_there(order: GradingOptions, kit: str, submission: bytes) -> bytes:
    """On a worker: the record of one submission, both as JSON."""
    with _busy:
        session = _session(order, kit)
        session.rehearse()
        return records.encode(session.grade(msgspec.json.decode(submission, type=Submission)))


def kit_on_a_device(order: GradingOptions, kit: str, record: KitRecord) -> KitRecord:
    """On a worker with a GPU: what grades there, besides what grades everywhere."""
    with _busy:
        return _device_session(order, kit).kit(record)


def complete_on_a_device(order: GradingOptions, kit: str, submission: bytes, record: bytes) -> bytes:
    """On a worker with a GPU: the record of one submission with the exercises that need it."""
    with _busy:
        handed_in = msgspec.json.decode(submission, type=Submission)
        return records.encode(_device_session(order, kit).complete(records.decode(record), handed_in))


_busy = threading.Lock()  # one exam at a time in one process: start workers with one thread each
_sessions: dict[GradingOptions, GradingSession] = {}  # at most one, open as long as the worker lives
_device_sessions: dict[GradingOptions, DeviceSession] = {}  # likewise

AnySession = TypeVar("AnySession", GradingSession, DeviceSession)


def _session(order: GradingOptions, kit: str) -> GradingSession:
    return _open(_sessions, GradingSession, order, kit)


def _device_session(order: GradingOptions, kit: str) -> DeviceSession:
    return _open(_device_sessions, DeviceSession, order, kit)


def _open(desks: dict[GradingOptions, AnySession], make: Callable[[GradingOptions], AnySession], order: GradingOptions, kit: str) -> AnySession:
    if kit != version():
        raise CannotGrade(f"a machine of the cluster has the kit {version()}, here is {kit}: install the same on all")
    if not available(order.lecture):
        raise CannotGrade(f"a machine of the cluster lacks the hidden reference dgm_ref/{order.lecture}")
    if order not in desks:
        for earlier in list(desks):
            desks.pop(earlier).__exit__()
        desks[order] = make(order).__enter__()
    return desks[order]


def _connected(address: str) -> Client:
    try:
        from distributed import Client
    except ImportError:
        raise CannotGrade("--scheduler needs Dask: pip install 'dgm-kit[cluster]'") from None
    try:
        return Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise CannotGrade(f"there is no Dask scheduler at {address}: {error}") from None


def _graded(
    client: Client, submissions: Iterator[Submission], store: Store, order: GradingOptions, kit: KitRecord, device: bool
) -> Iterator[Done]:
    from distributed import as_completed

    in_hand = as_completed()
    for submission in submissions:
        earlier = store.find(submission.name, content(submission), kit)
        if earlier is not None:
            yield Done(earlier, found=True)
            continue
        sent = msgspec.json.encode(submission)
        graded = client.submit(grade_there, order, version(), sent, pure=False)
        if device:
            graded = client.submit(complete_on_a_device, order, version(), sent, graded, resources=GPU, pure=False)
        in_hand.add(graded)
        if in_hand.count() >= IN_HAND:
            yield Done(records.decode(_asked(next(in_hand))), found=False)
    for future in in_hand:
        yield Done(records.decode(_asked(future)), found=False)


def _asked(future: Future) -> Any:
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        raise CannotGrade(
            f"{error}. What is finished is kept: look at the workers' memory, then start again and only the rest is graded"
        ) from None
