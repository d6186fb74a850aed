"""What a student has reached so far, kept beside their work: how each exercise came out last, how many hints were read."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from grader.assignment import Assignment, Exercise
from grader.record import ExerciseRecord, Outcome

FILE = ".dgm-progress.json"


class Progress(msgspec.Struct):
    """The state file. A damaged one starts anew: it holds nothing that cannot be had again."""

    states: dict[str, Outcome] = {}  # exercise -> passed, failed, missing, not_graded
    hints: dict[str, int] = {}  # exercise -> hints read

    def note(self, record: ExerciseRecord) -> None:
        """Remember how an exercise came out."""
        outcomes = {check.outcome for check in record.checks} - {"not_graded"}
        alike = outcomes.pop() if len(outcomes) == 1 else "failed" if outcomes else "not_graded"
        self.states[record.exercise] = alike if alike in ("passed", "missing", "not_graded") else "failed"

    def next_hint(self, exercise: Exercise) -> list[str]:
        """The hints read so far and one more, while there is one."""
        self.hints[exercise.name] = min(self.hints.get(exercise.name, 0) + 1, len(exercise.hints))
        return list(exercise.hints[: self.hints[exercise.name]])

    def is_done(self, exercise: str) -> bool:
        """Whether nothing is left to do as far as the public checks can tell."""
        return self.states.get(exercise) in ("passed", "not_graded")

    def current(self, assignment: Assignment) -> Exercise:
        """The first exercise that is not done, then the first bonus; the last exercise when all are.

        One that nothing on this machine can check holds nobody up.
        """
        in_turn = sorted(assignment.exercises, key=lambda exercise: exercise.bonus)
        return next((exercise for exercise in in_turn if not self.is_done(exercise.name)), assignment.required[-1])


def load(folder: Path) -> Progress:
    """The progress kept in `folder`."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Progress)
    except (OSError, ValueError):  # damaged, in JSON or below it
        return Progress()


def save(progress: Progress, folder: Path) -> None:
    """Keep it, whole or not at all; not where one cannot write, for it holds nothing that cannot be had again."""
    temporary = folder / f"{FILE}.new"
    with contextlib.suppress(OSError):
        temporary.write_bytes(msgspec.json.encode(progress))
        os.replace(temporary, folder / FILE)
