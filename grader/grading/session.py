"""What grading takes: the examiner with its inputs, and workers to put students in."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

import msgspec
import torch

from grader import assignment as assignments
from grader.exam.collect import Check, collect, worker_modules
from grader.exam.examiner import Examiner
from grader.exam.replay import Rehearsal, empty_plans
from grader.exam.timeouts import Timeouts
from grader.grading.examination import examine
from grader.grading.faults import CannotGrade
from grader.grading.kit import hidden, kit_record
from grader.grading.options import GradingOptions
from grader.grading.preparation import Preparation
from grader.hidden import known_submissions
from grader.hidden.answer_key import InstructorsKey
from grader.record import Record
from grader.sandbox.isolation import NoWorkers
from grader.sandbox.layers.policy import open_workers
from grader.sandbox.workers import Workers
from grader.submission import Submission

REHEARSAL_TIMEOUTS = Timeouts(call=120.0, load=120.0, statement=60.0, submission=math.inf)


class GradingSession:
    """Everything that grading one submission takes: the examiner with its inputs, and workers to put students in."""

    def __init__(self, options: GradingOptions, begun: Callable[[], Workers] | None = None) -> None:
        """`begun`: workers that are on their way already; without it they are opened here."""
        self.options = options
        self._begun = begun or self._open_workers
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
        self.workers = self._begun()
        self.threads = torch.get_num_threads()
        torch.set_num_threads(1)  # OpenMP's threads do not survive a fork: a grader would wait for them forever
        self.kit = msgspec.structs.replace(kit_record(self.options), layers=list(self.workers.isolation.layers))
        return self

    def _open_workers(self) -> Workers:
        return open_workers(self.options.isolation, worker_modules(self.options.lecture), hidden())

    def restart(self) -> None:
        """New workers in the place of those that have all died. Raises: `CannotGrade` where other layers hold now."""
        self.workers.close()
        self.workers = self._open_workers()
        if self.workers.isolation.layers != tuple(self.kit.layers):
            raise CannotGrade(f"new workers have other layers than the others had: {', '.join(self.workers.isolation.layers)}")

    def faults(self) -> str:
        """Where the examiner broke since this was asked last, for the log."""
        log = "\n".join(f"{fault.check}\n{fault.traceback}" for fault in self.examiner.faults)
        self.examiner.faults.clear()
        return log

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
