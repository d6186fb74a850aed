"""Certifies the checks of a lecture: right answers pass, stubs and every registered mistake fail, each for its reason."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from dgm_ref import mistakes
from grader.exam import candidates
from grader.exam.collect import Check, collect
from grader.exam.examiner import Examiner
from grader.exam.naming import NameFromCatalogue
from grader.record import CheckRecord
from grader.student import Transport


@dataclass
class Certificate:
    """What was found for one exercise."""

    exercise: str
    mistakes: int = 0
    killed: int = 0
    named: int = 0
    visible: int = 0  # mistakes whose failure carries an answer that could be compared
    variants: int = 0
    accepted: int = 0
    faults: list[str] = field(default_factory=list)


def certify(lecture: str, seed: str, exercises: Iterable[str] | None = None) -> list[Certificate]:
    """Put solutions, stubs, mistakes and variants to the checks of each exercise."""
    checks = collect(lecture)
    mistakes.load(lecture)
    examiner = Examiner(lecture, checks, seed, reference=True, namer=NameFromCatalogue(lecture))
    wanted = list(dict.fromkeys(check.exercise for check in checks)) if exercises is None else list(exercises)
    return [_certify(examiner, name, [check for check in checks if check.exercise == name]) for name in wanted]


def _certify(examiner: Examiner, exercise: str, checks: Sequence[Check]) -> Certificate:
    found = Certificate(exercise)
    topic = exercise.split(".")[0]
    lecture = examiner.lecture
    found.faults += [f"the solution fails {_line(bad)}" for bad in _bad(examiner, checks, candidates.solution(lecture, topic))]
    for record in _records(examiner, checks, candidates.stub(lecture, topic)):
        if record.outcome not in ("missing", "not_graded"):
            found.faults.append(f"the stub is not `missing` but {_line(record)}")
    for mistake in mistakes.MISTAKES.get(exercise, []):
        found.mistakes += 1
        transport = candidates.with_function(lecture, exercise, mistake.function)
        records = {record.check: record for record in _records(examiner, checks, transport)}
        claimed = [record for name, record in records.items() if name.split("[")[0] == mistake.killed_by]
        if not claimed:
            found.faults.append(f"mistake {mistake.name} names a check that does not exist: {mistake.killed_by}")
        elif all(record.outcome in ("passed", "not_graded") for record in claimed):
            others = [name for name, record in records.items() if record.outcome not in ("passed", "not_graded")]
            found.faults.append(f"mistake {mistake.name} survives {mistake.killed_by} (killed by: {', '.join(others) or 'nothing'})")
        else:
            found.killed += 1
            names = {record.mistake for record in records.values() if record.outcome in ("failed", "error")} - {None}
            found.named += mistake.name in names
            found.faults += [f"mistake {mistake.name} is called {name}" for name in names - {mistake.name}]
    for variant in mistakes.VARIANTS.get(exercise, []):
        found.variants += 1
        bad = _bad(examiner, checks, candidates.with_function(lecture, exercise, variant.function))
        found.accepted += not bad
        found.faults += [f"variant {variant.name} fails {_line(record)}" for record in bad]
    return found


def _records(examiner: Examiner, checks: Sequence[Check], transport: Transport) -> list[CheckRecord]:
    return [examiner.examine(check, transport) for check in checks]


def _bad(examiner: Examiner, checks: Sequence[Check], transport: Transport) -> list[CheckRecord]:
    records = _records(examiner, checks, transport)
    broken = [record for record in records if record.outcome == "not_graded" and "broken" in record.message]
    return [record for record in records if record.outcome not in ("passed", "not_graded")] + broken


def _line(record: CheckRecord) -> str:
    return f"{record.check}: {record.outcome}: {record.message} | {record.counterexample[:300]}"


def table(certificates: Sequence[Certificate]) -> Table:
    """Exercise × mistakes killed × variants accepted."""
    result = Table("exercise", "mistakes killed", "named", "variants accepted")
    for one in certificates:
        result.add_row(one.exercise, f"{one.killed}/{one.mistakes}", str(one.named), f"{one.accepted}/{one.variants}")
    total = [sum(getattr(one, name) for one in certificates) for name in ("killed", "mistakes", "named", "accepted", "variants")]
    result.add_row("all", f"{total[0]}/{total[1]}", str(total[2]), f"{total[3]}/{total[4]}", style="bold")
    return result


def main() -> None:
    """`python -m grader.dev.certify [TOPIC or EXERCISE …] [--seed SEED]`, for authors of checks."""
    arguments = sys.argv[1:]
    seed = arguments.pop(arguments.index("--seed") + 1) if "--seed" in arguments else "certify"
    wanted = [argument for argument in arguments if argument != "--seed"]
    names = dict.fromkeys(check.exercise for check in collect("lecture1"))
    chosen = [name for name in names if not wanted or name in wanted or name.split(".")[0] in wanted]
    started = time.process_time()
    certificates = certify("lecture1", seed, chosen)
    console = Console()
    console.print(table(certificates))
    for one in certificates:
        for fault in one.faults:
            console.print(f"[red]{one.exercise}[/red]: ", end="")
            console.print(fault, markup=False, highlight=False)
    console.print(f"{time.process_time() - started:.1f} CPU-seconds")
    sys.exit(any(one.faults for one in certificates))


if __name__ == "__main__":
    main()
