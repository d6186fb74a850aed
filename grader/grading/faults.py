"""Where the grader itself breaks: the submission under way is not graded, with an apology, and everybody else is."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from grader.assignment import Assignment
from grader.errors import GraderError
from grader.record import CheckRecord, Done, ExerciseRecord, KitRecord, Record, bounded, summed
from grader.sandbox.isolation import NoWorkers
from grader.submission import HandedIn, Submission

CHECKS_BROKE = "our grader broke at some of the checks, which is no fault of yours: they do not count"
APOLOGY = (
    "our grader broke while it graded this submission, which is no fault of yours: it is not graded yet. Please tell the course staff."
)


class CannotGrade(GraderError):
    """Nothing was graded; the message says why and what to do."""


def not_graded(one: HandedIn | Submission, assignment: Assignment, kit: KitRecord) -> Record:
    """The record of a submission that could not be graded: nothing earned, nothing lost."""
    exercises = [
        ExerciseRecord(
            exercise=exercise.name, score=0.0, max_score=0.0, not_graded=exercise.points, slide=str(exercise.slide),
            bonus=exercise.bonus,
            checks=[CheckRecord(check="", outcome="not_graded", points=0.0, max_points=exercise.points, message=APOLOGY)],
        )
        for exercise in assignment.exercises
    ]  # fmt: skip
    return bounded(Record(
        submission=one.name, assignment=assignment.name, kit=kit, seconds=0.0, student=one.student,
        handed_in_as=one.handed_in_as, problems=[APOLOGY], fault=APOLOGY, **summed(exercises),
    ))  # fmt: skip


def guarded(work: Callable[[], Done], restart: Callable[[], None], instead: Callable[[], Record]) -> Done:
    """What `work` makes of a submission, or the record `instead` where the grader breaks.

    Where all workers have died at once, new ones are made and the submission is asked once more.
    """
    try:
        try:
            return work()
        except NoWorkers:
            restart()
            return work()
    except (Exception, NoWorkers):
        return Done(instead(), found=False, log=traceback.format_exc())  # it tells of both, where the second try broke, too
