"""The mutation run: every small change of a solution must be noticed by a check of its own exercise.

`docs/mutation-survivors.toml` lists the changes that nothing notices because nothing can: they compute the same. A
survivor that is not on the list, or an entry that no longer survives, fails the run.
"""

from __future__ import annotations

import resource
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field

from grader import assignment as assignments
from grader.assignment import REPO_ROOT
from grader.authoring.build import source as sources
from grader.authoring.mutants import Mutant, mutants
from grader.checking.student import Transport
from grader.exam.collect import Check, collect
from grader.exam.examiner import Examiner
from grader.hidden import known_submissions
from grader.hidden.answer_key import InstructorsKey
from grader.hidden.places import solutions
from grader.sandbox.inside.time_limit import TooSlow, interrupted_after

EXPLAINED = REPO_ROOT / "docs" / "mutation-survivors.toml"
SECONDS = 20.0  # of the processor, for one check on one mutant: a loop without end counts as noticed, a busy machine does not
MEMORY = 2 * 2**30  # bytes of address space on top: a mutated size asks for any amount

Key = tuple[str, str, str]  # exercise, before, after


def explained_survivors() -> dict[Key, str]:
    """Why each listed mutant computes the same."""
    entries = tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))["survivor"]
    return {(one["exercise"], one["before"], after): one["why"] for one in entries for after in one["after"]}


@dataclass
class MutationRun:
    """What became of the mutants of some exercises."""

    topics: set[str] = field(default_factory=set)  # run as a whole
    exercises: set[str] = field(default_factory=set)
    mutants: int = 0
    survivors: list[Key] = field(default_factory=list)
    explained: dict[Key, str] = field(default_factory=explained_survivors)

    @property
    def unexplained(self) -> list[Key]:
        return [key for key in self.survivors if key not in self.explained]

    @property
    def outdated(self) -> list[Key]:
        """Entries for these topics and exercises that no longer survive, or are no longer there."""
        run = self.topics | self.exercises
        return [key for key in self.explained if {key[0], key[0].split(".")[0]} & run and key not in self.survivors]


def mutate(lecture: str, topics: Sequence[str], seed: str, exercises: Sequence[str] = ()) -> MutationRun:
    """Put every mutant of the topics' solutions (or of some exercises) to the checks of the exercise it changes."""
    checks = collect(lecture)
    examiner = Examiner(assignments.load(lecture), checks, seed, key=InstructorsKey(lecture, names=False))
    found = MutationRun(topics=set() if exercises else set(topics))
    for topic in topics:
        solution = sources.read(solutions(lecture) / f"{topic}.py")
        order = _cheapest_first(examiner, topic, known_submissions.solution(lecture, topic))
        own = set(solution.functions)
        for mutant in mutants(solution):
            exercise = f"{topic}.{mutant.region}"
            if exercises and exercise not in exercises:
                continue
            found.exercises.add(exercise)
            found.mutants += 1
            judges = [check for check in order if check.exercise == exercise or mutant.region not in own]
            if not _noticed(examiner, judges, topic, mutant):
                found.survivors.append((exercise, mutant.before, mutant.after))
                if found.survivors[-1] not in found.explained:
                    print(_entry(found.survivors[-1]), flush=True)
    return found


def _cheapest_first(examiner: Examiner, topic: str, solution: Transport) -> list[Check]:
    """The checks of a topic in the order of their time; its solution must pass them. Without GPU, without training."""
    timed: list[tuple[float, Check]] = []
    for check in examiner.checks:
        if check.topic == topic and not check.gpu and not check.training:
            examiner.examples(check)
            started = time.process_time()
            if not _passes(examiner, check, solution):
                raise RuntimeError(f"the solution does not pass {check.name}: certify before you mutate")
            timed.append((time.process_time() - started, check))
    return [check for _, check in sorted(timed, key=lambda pair: pair[0])]


def _noticed(examiner: Examiner, judges: Sequence[Check], topic: str, mutant: Mutant) -> bool:
    try:
        transport = known_submissions.from_source(topic, mutant.text)
    except Exception:  # it does not even load
        return True
    return not all(_passes(examiner, check, transport) for check in judges)


def _passes(examiner: Examiner, check: Check, transport: Transport) -> bool:
    try:
        with interrupted_after(SECONDS):
            return examiner.passes(check, transport)
    except (Exception, TooSlow):  # the check itself stumbles over the answer
        return False


def _entry(key: Key) -> str:
    """An entry of the list, ready to be explained; literal strings need no escapes."""
    exercise, before, after = key
    return f"[[survivor]]\nexercise = '{exercise}'\nbefore = '''{before}'''\nafter = ['''{after}''']\nwhy = ''\n"


def report(lecture: str, wanted: Sequence[str]) -> int:
    """Run on topics or exercises (all without), print what survives, and return the exit code."""
    topics = list(dict.fromkeys(check.topic for check in collect(lecture)))
    chosen = [topic for topic in topics if not wanted or any(name.split(".")[0] == topic for name in wanted)]
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MEMORY, hard))
    started = time.process_time()
    found = mutate(lecture, chosen, "mutation", [name for name in wanted if "." in name])
    new, old = found.unexplained, found.outdated
    for key in old:
        print(f"no longer survives, or no longer there:\n{_entry(key)}")
    print(
        f"{found.mutants} mutants, {len(found.survivors)} survivors, {len(new)} of them unexplained, "
        f"{len(old)} entries out of date; {time.process_time() - started:.0f} CPU-seconds"
    )
    return int(bool(new or old))


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()
