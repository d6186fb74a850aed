"""Certifies the checks of a lecture: right answers pass, stubs and every registered mistake fail, each for its reason."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from rich.table import Table

from grader import assignment as assignments
from grader.authoring.pins import passes
from grader.authoring.sentences import compares_with_own_value, said_badly
from grader.checking.student import Transport
from grader.exam.collect import Check, collect
from grader.exam.examiner import APOLOGY, Examiner
from grader.grading.pool import GraderPool
from grader.hidden import catalogue, known_submissions
from grader.hidden.answer_key import InstructorsKey
from grader.hidden.catalogue import Mistake
from grader.practice.run import PUBLIC_SEED
from grader.record import CheckRecord


@dataclass
class Certificate:
    """What was found for one exercise."""

    exercise: str
    mistakes: int = 0
    elsewhere: int = 0  # further mistakes, which only a GPU or a training run shows
    killed: int = 0
    named: int = 0
    variants: int = 0
    accepted: int = 0
    costs: list[float] = field(default_factory=list)  # the share of the exercise that each mistake loses
    faults: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)  # what its checks have measured of the solution


def certify(
    lecture: str, seed: str, exercises: Sequence[str] = (), jobs: int = 1, device: str = "cpu", brief: bool = False
) -> Iterator[Certificate]:
    """Put solutions, stubs, mistakes and variants to the checks of each exercise (all without names), as they are done.

    `brief`: whether mistakes are killed, but neither what they are called nor what they cost.
    """
    torch.set_num_threads(1)  # graders are forked from here, and OpenMP does not survive a fork
    checks = collect(lecture)
    assignment = assignments.load(lecture)
    examiner = Examiner(assignment, checks, seed, key=InstructorsKey(lecture), device=device, quick=True)
    public = [check for check in checks if not (check.needs_reference or check.gpu or check.training)]
    at_home = Examiner(assignment, public, PUBLIC_SEED)
    wanted = list(exercises) or list(dict.fromkeys(check.exercise for check in checks))
    pool: GraderPool[str, Certificate] = GraderPool(jobs, lambda name: _certify(examiner, at_home, name, device, brief))
    for name, certificate in pool.run(wanted):
        yield certificate or Certificate(name, faults=["certifying it kills the process, again and again"])


def _certify(examiner: Examiner, at_home: Examiner, exercise: str, device: str, brief: bool) -> Certificate:
    found = Certificate(exercise)
    checks = [check for check in examiner.checks if check.exercise == exercise]
    found.faults += [bad for check in checks for bad in compares_with_own_value(check)]
    topic, lecture = exercise.split(".")[0], examiner.assignment.name
    solved = _records(examiner, checks, known_submissions.solution(lecture, topic))
    found.faults += [f"the solution fails {_line(bad)}" for bad in _bad(solved)]
    found.figures = {name: figure for record in solved for name, figure in record.figures.items()}
    for record in _records(examiner, checks, known_submissions.stub(lecture, topic)):
        if record.outcome not in ("missing", "not_graded"):
            found.faults.append(f"the stub is not `missing` but {_line(record)}")
    for mistake in catalogue.load(lecture).mistakes.get(exercise, []):
        if mistake.needs_gpu and device == "cpu":
            found.elsewhere += 1
            continue
        found.mistakes += 1
        killing = _kill(examiner, checks, mistake, found)
        if killing and not brief:
            _name_and_cost(examiner, checks, killing, mistake, found)
        red_at_home = examiner.seed == at_home.seed and any(check in at_home.checks for check in killing)
        if not examiner.assignment[exercise].bonus and (mistake.green_at_home or not red_at_home):
            found.faults += _dishonest_green(at_home, mistake)
    for variant in catalogue.load(lecture).variants.get(exercise, []):
        found.variants += 1
        bad = not_passed(examiner, checks, known_submissions.with_function(lecture, variant.replaces, variant.function))
        found.accepted += not bad
        found.faults += [f"variant {variant.name} fails {_line(record)}" for record in bad]
    return found


def _name_and_cost(examiner: Examiner, checks: Sequence[Check], killing: Sequence[Check], mistake: Mistake, found: Certificate) -> None:
    """What a killed mistake costs, and whether a check tells the student its name: one that kills it, or else another one."""
    transport = known_submissions.with_function(examiner.assignment.name, mistake.replaces, mistake.function)
    if mistake.replaces == mistake.exercise:
        found.costs.append(1 - examiner.share(mistake.exercise, transport))
    failed = [one for one in _records(examiner, killing, transport) if one.outcome not in ("passed", "not_graded")]
    found.faults += [f"mistake {mistake.name}: {bad}" for record in failed for bad in said_badly(record)]
    named = [record for record in failed if record.mistake]
    for check in checks:
        if not named and check not in killing and not check.gpu:
            named = [record for record in [examiner.examine(check, transport)] if record.mistake]
    found.named += any(record.mistake_says == mistake.says for record in named)
    others = {other.name for other in catalogue.load(examiner.assignment.name).mistakes[mistake.exercise]}
    wrongly = {record.mistake for record in named if record.mistake in others and record.mistake_says != mistake.says}
    found.faults += [f"mistake {mistake.name} is called {name}" for name in wrongly]


def _kill(examiner: Examiner, checks: Sequence[Check], mistake: Mistake, found: Certificate) -> list[Check]:
    """The checks that claim the mistake, if it fails one of them."""
    transport = known_submissions.with_function(examiner.assignment.name, mistake.replaces, mistake.function)
    claiming = [check for check in checks if check.name.split("[")[0] == mistake.killed_by]
    if not claiming:
        found.faults.append(f"mistake {mistake.name} names a check that does not exist: {mistake.killed_by}")
    elif any(not check.training and not passes(examiner, check, transport) for check in claiming):
        found.killed += 1
        return claiming
    elif any(check.training for check in claiming):
        found.mistakes, found.elsewhere = found.mistakes - 1, found.elsewhere + 1  # only a training run shows it
    else:
        found.faults.append(f"mistake {mistake.name} survives {mistake.killed_by}")
    return []


def _dishonest_green(at_home: Examiner, mistake: Mistake) -> Iterator[str]:
    """A wrong answer fails a check on the student's own machine, or is registered with the reason why not."""
    transport = known_submissions.with_function(at_home.assignment.name, mistake.replaces, mistake.function)
    public = [check for check in at_home.checks if check.exercise in (mistake.exercise, mistake.replaces)]
    public.sort(key=lambda check: check.name.split("[")[0] != mistake.killed_by)
    red = next((check for check in public if not passes(at_home, check, transport)), None)
    if red is None and not mistake.green_at_home:
        yield (
            f"mistake {mistake.name} passes every public check, so that a student sees green for it: add a known answer, "
            "or say `green_at_home=` why not"
        )
    if red is not None and mistake.green_at_home:
        yield f"mistake {mistake.name} fails {red.name} at home: it is not `green_at_home`"


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
    total = Certificate("all", costs=[share for one in certificates for share in one.costs])
    for name in ("killed", "mistakes", "named", "accepted", "variants"):
        setattr(total, name, sum(getattr(one, name) for one in certificates))
    for one in (*certificates, total):
        killed, accepted = f"{one.killed}/{one.mistakes}", f"{one.accepted}/{one.variants}"
        result.add_row(one.exercise, killed, str(one.named), cost(one.costs), accepted, style="bold" if one is total else None)
    return result


def cost(shares: Sequence[float]) -> str:
    """What mistakes cost of their exercise: the median and the largest."""
    return f"{statistics.median(shares):.0%} to {max(shares):.0%}" if shares else ""
