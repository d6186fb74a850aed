"""Certifies the checks of a lecture: right answers pass, stubs and every registered mistake fail, each for its reason."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from rich.table import Table

from grader import assignment as assignments
from grader.assignment import REPO_ROOT
from grader.authoring import build
from grader.authoring.sentences import compares_with_own_value, said_badly
from grader.checking.student import Transport
from grader.exam.collect import Check, collect
from grader.exam.examiner import APOLOGY, Examiner
from grader.grading.pool import GraderPool
from grader.hidden import catalogue
from grader.hidden import known_submissions as candidates
from grader.hidden.answer_key import InstructorsKey
from grader.hidden.catalogue import Mistake
from grader.record import CheckRecord

FEW_MISTAKES, MANY_MISTAKES = 4, 6  # registered for an exercise of less than 3 points, and of 3 or more
VARIANTS = 2  # other right answers for each exercise


@dataclass
class Certificate:
    """What was found for one exercise."""

    exercise: str
    mistakes: int = 0
    killed: int = 0
    named: int = 0
    variants: int = 0
    accepted: int = 0
    costs: list[float] = field(default_factory=list)  # the share of the exercise that each mistake loses
    faults: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)  # what its checks have measured of the solution


def certify(
    lecture: str, seed: str, exercises: Sequence[str] = (), jobs: int = 1, device: str = "cpu"
) -> Iterator[Certificate]:
    """Put solutions, stubs, mistakes and variants to the checks of each exercise (all without names), as they are done."""
    torch.set_num_threads(1)  # graders are forked from here, and OpenMP does not survive a fork
    checks = collect(lecture)
    examiner = Examiner(assignments.load(lecture), checks, seed, key=InstructorsKey(lecture), device=device, quick=True)
    wanted = list(exercises) or list(dict.fromkeys(check.exercise for check in checks))
    pool: GraderPool[str, Certificate] = GraderPool(jobs, lambda name: _certify(examiner, name, device))
    for _, certificate in pool.run(wanted):
        yield certificate


def _certify(examiner: Examiner, exercise: str, device: str) -> Certificate:
    found = Certificate(exercise)
    checks = [check for check in examiner.checks if check.exercise == exercise]
    found.faults += [bad for check in checks for bad in compares_with_own_value(check)]
    topic, lecture = exercise.split(".")[0], examiner.assignment.name
    solved = _records(examiner, checks, candidates.solution(lecture, topic))
    found.faults += [f"the solution fails {_line(bad)}" for bad in _bad(solved)]
    found.figures = {name: figure for record in solved for name, figure in record.figures.items()}
    for record in _records(examiner, checks, candidates.stub(lecture, topic)):
        if record.outcome not in ("missing", "not_graded"):
            found.faults.append(f"the stub is not `missing` but {_line(record)}")
    for mistake in catalogue.load(lecture).mistakes.get(exercise, []):
        if mistake.needs_gpu and device == "cpu":
            continue
        found.mistakes += 1
        _put(examiner, checks, mistake, found)
    for variant in catalogue.load(lecture).variants.get(exercise, []):
        found.variants += 1
        bad = not_passed(examiner, checks, candidates.with_function(lecture, variant.replaces, variant.function))
        found.accepted += not bad
        found.faults += [f"variant {variant.name} fails {_line(record)}" for record in bad]
    return found


def _put(examiner: Examiner, checks: Sequence[Check], mistake: Mistake, found: Certificate) -> None:
    """One mistake: the check that claims it must fail on it; some check should tell the student its name."""
    transport = candidates.with_function(examiner.assignment.name, mistake.replaces, mistake.function)
    claiming = [check for check in checks if check.name.split("[")[0] == mistake.killed_by]
    if not claiming:
        found.faults.append(f"mistake {mistake.name} names a check that does not exist: {mistake.killed_by}")
        return
    failed = [
        record for record in _records(examiner, claiming, transport) if record.outcome not in ("passed", "not_graded")
    ]
    if not failed and any(check.training for check in claiming):
        found.mistakes -= 1  # only a training run shows it
        return
    if not failed:
        found.faults.append(f"mistake {mistake.name} survives {mistake.killed_by}")
        return
    found.killed += 1
    if mistake.replaces == mistake.exercise:
        found.costs.append(1 - examiner.share(mistake.exercise, transport))
    found.faults += [f"mistake {mistake.name}: {bad}" for record in failed for bad in said_badly(record)]
    named = [record for record in failed if record.mistake]
    for check in checks:
        if not named and check not in claiming and not check.gpu:
            named = [record for record in [examiner.examine(check, transport)] if record.mistake]
    found.named += any(record.mistake_says == mistake.says for record in named)
    wrongly = {record.mistake for record in named if record.mistake_says != mistake.says}
    found.faults += [f"mistake {mistake.name} is called {name}" for name in wrongly]


def _records(examiner: Examiner, checks: Sequence[Check], transport: Transport) -> list[CheckRecord]:
    return [examiner.examine(check, transport) for check in checks]


def not_passed(examiner: Examiner, checks: Sequence[Check], transport: Transport) -> list[CheckRecord]:
    """What a right answer may never get: a check that it does not pass, or one that breaks on it."""
    return _bad(_records(examiner, checks, transport))


def _bad(records: Sequence[CheckRecord]) -> list[CheckRecord]:
    broken = [record for record in records if record.message == APOLOGY]
    return [record for record in records if record.outcome not in ("passed", "not_graded")] + broken


def _line(record: CheckRecord) -> str:
    return f"{record.check}: {record.outcome}: {record.message} | {record.counterexample[:300]}"


def table(certificates: Sequence[Certificate]) -> Table:
    """Exercise × mistakes killed × variants accepted."""
    result = Table("exercise", "mistakes killed", "named", "a mistake costs", "variants accepted")
    for one in certificates:
        accepted = f"{one.accepted}/{one.variants}"
        result.add_row(one.exercise, f"{one.killed}/{one.mistakes}", str(one.named), cost(one.costs), accepted)
    total = [
        sum(getattr(one, name) for one in certificates)
        for name in ("killed", "mistakes", "named", "accepted", "variants")
    ]
    costs = [share for one in certificates for share in one.costs]
    result.add_row(
        "all", f"{total[0]}/{total[1]}", str(total[2]), cost(costs), f"{total[3]}/{total[4]}", style="bold"
    )
    return result


def cost(shares: Sequence[float]) -> str:
    """What mistakes cost of their exercise: the median and the largest."""
    return f"{statistics.median(shares):.0%} to {max(shares):.0%}" if shares else ""


def catalogue_faults(lecture: str) -> list[str]:
    """What the catalogue, the assignment or the tree lacks: mistakes, variants, points, generated or orphan files."""
    registered = catalogue.load(lecture)
    assignment = assignments.load(lecture)
    faults = [
        f"{path.relative_to(REPO_ROOT)} is not what the solution gives: run dgm build" for path in build.outdated(lecture)
    ]
    for exercise in assignment.exercises:
        enough = MANY_MISTAKES if exercise.points >= 3 else FEW_MISTAKES
        if not exercise.of and len(registered.mistakes.get(exercise.name, [])) < enough:
            faults.append(f"{exercise.name} has fewer than {enough} registered mistakes")
        if not exercise.of and len(registered.variants.get(exercise.name, [])) < VARIANTS:
            faults.append(f"{exercise.name} has fewer than {VARIANTS} accepted variants")
    known = {*(exercise.name for exercise in assignment.exercises), *assignment.switched_off}
    faults += [f"{name} is not in assignment.toml" for name in sorted({*registered.mistakes, *registered.variants} - known)]
    return faults
