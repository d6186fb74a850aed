"""`dgm grade`: a folder of submissions in, a folder of records out."""

from __future__ import annotations

import math
import traceback
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch

from grader import assignment as assignments
from grader.errors import GraderError
from grader.exam.collect import Check, collect, worker_modules
from grader.exam.examiner import Examiner
from grader.exam.replay import Rehearsal, empty_plans
from grader.exam.transport import Timeouts
from grader.grading.device import DeviceSession, out_of_sight
from grader.grading.examination import content, examine
from grader.grading.faults import guarded, not_graded
from grader.grading.kit import hidden, kit_record
from grader.grading.options import GradingOptions
from grader.grading.pool import GraderPool, GradersKilled
from grader.grading.preparation import Preparation
from grader.grading.store import Store
from grader.hidden import known_submissions
from grader.hidden.answer_key import InstructorsKey
from grader.hidden.reference import available
from grader.record import Done, Record, summed
from grader.sandbox.layers.policy import open_workers
from grader.sandbox.workers import NoWorkers, Workers
from grader.submission import Found, HandedIn, Layout, Submission, find, read_apart

REHEARSAL_TIMEOUTS = Timeouts(call=120.0, load=120.0, statement=60.0, submission=math.inf)
SMALL_CLASS = 4  # submissions: for more, what failures ask for is made ready before graders are forked

KILLED = "the process that had it in hand was killed each time"


class CannotGrade(GraderError):
    """Nothing was graded; the message says why and what to do."""


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
    left: dict[str, bytes] = {}  # what is not graded yet, packed; graders inherit it
    topics: set[str] = set()  # of which something is there
    jobs = 0 if debug else jobs
    # forked graders inherit both sessions, and CUDA untouched
    with Store(results) as store, DeviceSession(options) as device, out_of_sight(), GradingSession(options) as session:
        kit = device.kit(session.kit)
        store.begin(options, kit, source, named, regrade)

        def look(name: str) -> Seen:
            """What was handed in, packed, so that nothing is read twice, and the record that is there already."""
            try:
                submission = read_apart(named[name], session.assignment)
                earlier = store.find(submission.name, content(submission), None if options.only else kit)
                return Seen(zlib.compress(msgspec.json.encode(submission)), tuple(submission.topics), earlier)
            except Exception:  # it would stop the class
                return Seen(log=traceback.format_exc())

        def work(name: str) -> Done:
            def examined() -> Done:
                submission = msgspec.json.decode(zlib.decompress(left[name]), type=Submission)
                record = device.complete(session.grade(submission), submission)
                if options.only:
                    earlier = store.find(submission.name, content(submission), None)
                    record = with_exercises_of(record, earlier) if earlier else record
                return Done(record, found=False, log=session.faults())

            return guarded(examined, session.restart, lambda: session.not_graded(named[name]))

        def everybody() -> Iterator[Done]:
            for name, seen in GraderPool(min(jobs, len(named)), look).run(named):
                if seen is None or seen.log:
                    log = seen.log if seen else KILLED
                    yield Done(session.not_graded(named[name]), found=False, log=log)
                elif seen.earlier is not None and not options.only:
                    yield Done(seen.earlier, found=True)
                elif seen.earlier is not None or not options.only:
                    left[name] = seen.packed
                    topics.update(seen.topics)
            if left:
                if not debug:
                    session.rehearse(topics)
                if len(left) > SMALL_CLASS:
                    session.prepare_for_failures()
                for name, done in GraderPool(min(jobs, len(left)), work).run(left):
                    yield done or Done(session.not_graded(named[name]), found=False, log=KILLED)

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


class GradingSession:
    """Everything that grading one submission takes: the examiner with its inputs, and workers to put students in."""

    def __init__(self, options: GradingOptions) -> None:
        self.options = options
        self.assignment = assignments.load(options.lecture)
        self.key = InstructorsKey(options.lecture)
        self._preparation = Preparation(options.lecture, self.assignment.topics, options.seed)
        self._prepared: set[str] = set()  # exercises
        checks = [check for check in collect(options.lecture) if not options.only or check.exercise in options.only]
        self.examiner = Examiner(
            self.assignment, checks, options.seed, key=self.key, quick=options.quick,
            show_expected=options.show_expected,
        )  # fmt: skip

    def __enter__(self) -> GradingSession:
        self.workers = self._open_workers()
        self.threads = torch.get_num_threads()
        torch.set_num_threads(1)  # OpenMP's threads do not survive a fork: a grader would wait for them forever
        self.kit = kit_record(self.options.seed, self.workers.isolation, self.options.flags)
        return self

    def _open_workers(self) -> Workers:
        return open_workers(self.options.isolation, worker_modules(self.options.lecture), hidden())

    def restart(self) -> None:
        """New workers in the place of those that have all died."""
        self.workers.close()
        self.workers = self._open_workers()
        if self.workers.isolation.layers != tuple(self.kit.layers):
            raise CannotGrade(f"new workers have other layers than the others had: {', '.join(self.workers.isolation.layers)}")

    def faults(self) -> str:
        """Where the examiner broke since this was asked last, for the log."""
        log = "\n".join(f"{fault.check}\n{fault.traceback}" for fault in self.examiner.faults)
        self.examiner.faults.clear()
        return log

    def not_graded(self, handed_in: HandedIn) -> Record:
        """The record of a submission on which the grader broke."""
        return not_graded(handed_in, self.assignment, self.kit)

    def __exit__(self, *exception: object) -> None:
        self.workers.close()
        torch.set_num_threads(self.threads)

    def rehearse(self, topics: Collection[str] | None = None) -> None:
        """The kit's own solutions sit the exam first, where students do: what passes is then known for all graders.

        `topics`: those of which something was handed in; all without. What is kept from an earlier run is not repeated.
        Raises: `CannotGrade` where a solution fails.
        """
        checks = [check for check in self.examiner.checks if not check.training and (topics is None or check.topic in topics)]
        solutions = known_submissions.solutions(self.options.lecture, self.assignment.topics)
        transport = Rehearsal(self.workers, f"assignments.{self.options.lecture}", solutions, REHEARSAL_TIMEOUTS)
        try:
            for exercise in dict.fromkeys(check.exercise for check in checks if check.exercise not in self._prepared):
                kept = self._preparation.find(exercise)
                if kept is None:
                    own = [check for check in checks if check.exercise == exercise]
                    self._rehearse(own, transport)
                    self._preparation.save(exercise, {check.identity: self.examiner.plans.get(check.identity, []) for check in own})
                self.examiner.plans.update(kept or {})
                self._prepared.add(exercise)
            self.examiner.faults.clear()  # a check of ours that breaks on the solution will say so with every submission
        except NoWorkers as error:
            raise CannotGrade(f"workers cannot be started, or die at once: {error}") from None
        finally:
            transport.close()

    def prepare_for_failures(self) -> None:
        """Draw the inputs and load the mistakes, which every grader would otherwise do for itself."""
        self.key.load_mistakes()
        for check in self.examiner.checks:
            self.examiner.examples(check)

    def _rehearse(self, checks: Sequence[Check], transport: Rehearsal) -> None:
        for check in checks:
            self.examiner.plans[check.identity] = empty_plans(check.identity, len(self.examiner.examples(check)))
            record = self.examiner.examine(check, transport)
            if record.outcome == "not_graded":
                del self.examiner.plans[check.identity]  # its inputs may not all be there
            elif record.outcome != "passed":
                raise CannotGrade(f"the kit's own solution fails {check.name} ({record.message}): no submission can be judged by it")

    def grade(self, submission: Submission) -> Record:
        """The record of one submission; `rehearse` comes first."""
        return examine(submission, self.assignment, self.examiner, self.workers, self.kit, self.options.timeouts)
