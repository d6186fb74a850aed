"""The answer key that an instructor's exam is handed: reference, solutions, and who names mistakes."""

from __future__ import annotations

import functools

from dgm_ref import catalogue
from grader import assignment as assignments
from grader.assignment import AssignmentError
from grader.checking.student import Transport
from grader.exam.collect import Check
from grader.exam.examiner import Examiner
from grader.exam.failure import Failure
from grader.hidden import known_submissions
from grader.hidden.recognise_mistake import NameFromCatalogue
from grader.hidden.reference import Reference


class InstructorsKey:
    """The key to one assignment. `names=False`: no mistake is named, where only right and wrong matter."""

    def __init__(self, lecture: str, *, names: bool = True) -> None:
        self.lecture = lecture
        rubric = assignments.load(lecture).rubric
        if rubric and (unknown := self._unknown(rubric)):
            raise AssignmentError(
                f"assignments/{lecture}/assignment.toml or course.toml: rubric: no mistake is registered as {', '.join(unknown)}"
            )
        self.reference = functools.cache(functools.partial(Reference, lecture))
        self.solution = functools.cache(functools.partial(known_submissions.solution, lecture))
        self.recognise = NameFromCatalogue(lecture, self.solution) if names else _nobody

    def load_mistakes(self) -> None:
        """Import what recognising a mistake needs, before graders are forked that would each do so: seconds."""
        catalogue.load(self.lecture)

    def fails(self, examiner: Examiner, check: Check, mistake: str) -> bool:
        """Whether the registered mistake of this name fails this check."""
        registered = catalogue.load(self.lecture, check.topic).mistakes.get(check.exercise, [])
        wrong = [known_submissions.with_function(self.lecture, m.replaces, m.function) for m in registered if m.name == mistake]
        return any(not examiner.passes(check, transport) for transport in wrong)

    def _unknown(self, rubric: dict[str, float]) -> list[str]:
        """The keys of a rubric that name no registered mistake."""
        registered = catalogue.load(self.lecture).mistakes
        return sorted(rubric.keys() - {f"{name}.{mistake.name}" for name in registered for mistake in registered[name]})


def _nobody(examiner: Examiner, check: Check, failure: Failure, transport: Transport) -> None:
    return None
