"""`dgm grade`: a folder of submissions in, a folder of records out. What is graded already is found without torch."""

from __future__ import annotations

import traceback
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from grader import assignment as assignments
from grader.exam.collect import worker_modules
from grader.grading.faults import CannotGrade, guarded, not_graded
from grader.grading.gpu import name_of, out_of_sight
from grader.grading.kit import hidden, kit_record
from grader.grading.options import GradingOptions
from grader.grading.pool import GraderPool, GradersKilled
from grader.grading.store import Store
from grader.hidden.places import available
from grader.record import Done, Record, summed
from grader.sandbox.layers.policy import begin_workers
from grader.submission import Found, HandedIn, Layout, Submission, find, read_apart

if TYPE_CHECKING:
    from grader.sandbox.workers import Workers

SMALL_CLASS = 4  # submissions: for more, what failures ask for is made ready before graders are forked

KILLED = "the process that had it in hand was killed each time"


def submissions_in(folder: Path, lecture: str, layout: Layout = "auto") -> Found:
    """Every submission in a folder, a bulk download or a single file. Raises: `CannotGrade` when there is none."""
    try:
        found = find(folder, assignments.load(lecture), layout)
    except FileNotFoundError as error:
        raise CannotGrade(str(error)) from None
    except OSError as error:
        raise CannotGrade(f"{folder} cannot be looked into: {error.strerror or error}") from None
    if not found:
        raise CannotGrade(f"{folder}: there are no submissions here (folders, .py, .ipynb or .zip)")
    return found


def grade(
    handed_in: Sequence[HandedIn],
    results: Path,
    options: GradingOptions,
    jobs: int = 1,
    source: Path | None = None,
    regrade: bool = False,
    debug: bool = False,
) -> Iterator[Done]:
    """Grade submissions; yields them as they are done and leaves the records in `results`.

    `source`: the folder of which these are all submissions, where there is one.

    With `options.only` an exercise of submissions that are graded already; without it whatever the folder does not have.
    `regrade`: a folder that another kit, seed or other options have graded is done anew. `debug`: one after the other in
    this very process, and every check is run on every input, so that a breakpoint in a check is reached.

    Raises: `CannotGrade` before any submission is touched, or when graders are killed again and again; `StoreError`;
    `IsolationError` from the isolation policy.
    """
    if not available(options.lecture):
        raise CannotGrade(f"the hidden reference dgm_ref/{options.lecture} is not on this machine: grade with the instructor's checkout")
    named = {one.name: one for one in handed_in}
    assignment = assignments.load(options.lecture)
    kit = kit_record(options)
    with_device = msgspec.structs.replace(kit, device=name_of(options.device))  # what waits for one is not found where one is

    def look(name: str) -> Seen:
        """What was handed in, packed, so that nothing is read twice, and the record that is there already."""
        try:
            submission = read_apart(named[name], assignment)
            earlier = store.find(submission, None if options.only else with_device)
            return Seen(zlib.compress(msgspec.json.encode(submission)), tuple(submission.topics), earlier)
        except Exception:  # it would stop the class
            return Seen(log=traceback.format_exc())

    def everybody() -> Iterator[Done]:
        left: dict[str, Seen] = {}  # what is not graded yet; graders inherit it
        for name, seen in GraderPool(0 if debug else min(jobs, len(named)), look).run(named):
            if seen is None or seen.log:
                yield Done(not_graded(named[name], assignment, kit), found=False, log=seen.log if seen else KILLED)
            elif seen.earlier is not None and not options.only:
                yield Done(seen.earlier, found=True)
            elif seen.earlier is not None or not options.only:
                if not left:  # what workers are forked from loads torch while the rest is read
                    workers = begin_workers(options.isolation, worker_modules(options.lecture), hidden())
                left[name] = replace(seen, earlier=None)
        if left:
            yield from examine_all(left, workers)

    def examine_all(left: Mapping[str, Seen], workers: Callable[[], Workers]) -> Iterator[Done]:
        from grader.grading.device import DeviceSession
        from grader.grading.session import GradingSession  # and torch

        # forked graders inherit both sessions, and CUDA untouched
        with DeviceSession(options) as device, out_of_sight(), GradingSession(options, workers) as session:

            def work(name: str) -> Done:
                def examined() -> Done:
                    submission = msgspec.json.decode(zlib.decompress(left[name].packed), type=Submission)
                    record = device.complete(session.grade(submission), submission)
                    if options.only:
                        earlier = store.find(submission)
                        record = with_exercises_of(record, earlier) if earlier else record
                    return Done(record, found=False, log=session.faults())

                return guarded(examined, session.restart, lambda: not_graded(named[name], assignment, session.kit))

            if not debug:
                session.rehearse({topic for seen in left.values() for topic in seen.topics})
            if len(left) > SMALL_CLASS:
                session.prepare_for_failures()
            for name, done in GraderPool(0 if debug else min(jobs, len(left)), work).run(left):
                yield done or Done(not_graded(named[name], assignment, session.kit), found=False, log=KILLED)

    with Store(results) as store:
        store.begin(options, kit, source, named, regrade)
        try:
            yield from write_records(store, everybody())
        except GradersKilled as error:
            raise CannotGrade(f"{error}. What is finished is kept: start again, perhaps with fewer graders side by side (-j)") from None


@dataclass(frozen=True)
class Seen:
    """One submission before it is graded."""

    packed: bytes = b""
    topics: tuple[str, ...] = ()
    earlier: Record | None = None
    log: str = ""  # where reading it broke


def write_records(store: Store, graded: Iterable[Done]) -> Iterator[Done]:
    """Write each record as it is done, and the tables at the end, also of a run that is stopped."""
    try:
        for done in graded:
            if done.log:
                store.note_fault(done.record.submission, done.log)
            if not done.found:
                store.write(done.record)
            yield done
    finally:
        store.finish()


def with_exercises_of(record: Record, earlier: Record) -> Record:
    """The earlier record with the exercises of this one in it."""
    again = {
        one.exercise: msgspec.structs.replace(one, kit=record.kit.version if record.kit != earlier.kit else "") for one in record.examined
    }
    exercises = [again.get(one.exercise, one) for one in earlier.examined]
    return msgspec.structs.replace(earlier, fault=record.fault, **summed(exercises))
