"""What an exercise must have before it is complete, beside checks that are right: `dgm dev check` asks for all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from grader import assignment as assignments
from grader.assignment import REPO_ROOT, Assignment, Exercise
from grader.authoring import build, pins
from grader.authoring.new import FEW_MISTAKES, MANY_MISTAKES, REMINDER, VARIANTS
from grader.exam.collect import collect, worker_modules
from grader.hidden import catalogue
from grader.hidden.places import reference, solutions
from grader.sandbox.wire.families import FAMILIES, HELPERS


def lacking(lecture: str, names: Sequence[str] = ()) -> list[str]:
    """What these exercises lack, or all and the assignment itself: mistakes, variants, words, what is made from the sources."""
    assignment = assignments.load(lecture)
    chosen = [exercise for exercise in assignment.exercises if exercise.name in names or not names]
    faults = [f"{path.relative_to(REPO_ROOT)} is not what the solution gives: run dgm dev update" for path in build.outdated(lecture)]
    for exercise in chosen:
        faults += _too_few(lecture, exercise)
    for topic in dict.fromkeys(exercise.topic for exercise in chosen):
        faults += reminders(assignment, topic)
    faults += _moved_inputs(lecture, [exercise.name for exercise in chosen])
    faults += _not_in_the_worker(lecture)
    if not names:
        registered = catalogue.load(lecture)
        known = {*(exercise.name for exercise in assignment.exercises), *assignment.switched_off}
        unknown = sorted({*registered.mistakes, *registered.variants} - known)
        faults += [f"{name} is not in assignment.toml" for name in unknown]
    return faults


def reminders(assignment: Assignment, topic: str) -> Iterator[str]:
    """Every reminder of `dgm dev new` that still stands in a topic's files, with its place."""
    for exercise in assignment.of_topic(topic):
        if REMINDER in f"{exercise.slide} {' '.join(exercise.hints)}":
            yield f"assignments/{assignment.name}/assignment.toml: {exercise.name}: slide and hints"
    source = solutions(assignment.name) / f"{topic}.py"
    folders = (reference(assignment.name) / topic, REPO_ROOT / "grader" / "checks" / assignment.name / topic)
    for path in [source, *(path for folder in folders for path in sorted(folder.glob("*.py")))]:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            if REMINDER in line:
                yield f"{path.relative_to(REPO_ROOT)}:{number}: {line.strip()}"


def _too_few(lecture: str, exercise: Exercise) -> Iterator[str]:
    registered = catalogue.load(lecture)
    enough = MANY_MISTAKES if exercise.points >= 3 else FEW_MISTAKES
    if not exercise.of and len(registered.mistakes.get(exercise.name, [])) < enough:
        yield f"{exercise.name} has fewer than {enough} registered mistakes"
    if not exercise.of and len(registered.variants.get(exercise.name, [])) < VARIANTS:
        yield f"{exercise.name} has fewer than {VARIANTS} accepted variants"


def _moved_inputs(lecture: str, names: Sequence[str]) -> Iterator[str]:
    pinned = pins.pinned(lecture)
    for check in collect(lecture):
        if check.exercise in names and pinned.get(check.identity) != pins.digest(check):
            yield f"{check.identity} draws other inputs than those pinned in {pins.INPUTS}: run dgm dev update {check.exercise}"


def _not_in_the_worker(lecture: str) -> Iterator[str]:
    """The certificate calls answers in this process, where every public callable is there; a worker has what it imports."""
    collect(lecture)
    used = {callable_.__module__ for callable_ in (*FAMILIES.values(), *HELPERS.values())}
    for module in sorted(used.difference(worker_modules(lecture))):
        if module.startswith(f"grader.checks.{lecture}."):
            yield f"{module} makes public callables: its name belongs into IN_THE_WORKER in grader/checks/{lecture}/__init__.py"
