"""Right answers on many grading seeds: they must get full marks whatever the inputs.

    python benchmarks/seeds.py ASSIGNMENT [SEEDS] [--first NUMBER] [-j GRADERS]

On each seed (20, counted from 0) the solutions and every accepted variant of the catalogue are put to the checks of their exercises,
training and GPU apart. Inputs that are the same on every seed, and that no draw depends on, are put on the first one alone.
"""

from __future__ import annotations

import argparse
import contextlib
from functools import partial

import torch

from dgm_ref import catalogue
from grader.assignment import load
from grader.checking.student import CannotObserve
from grader.exam.collect import Check, collect
from grader.exam.examiner import Examiner
from grader.exam.inputs import Example
from grader.grading.pool import GraderPool
from grader.hidden import known_submissions
from grader.hidden.answer_key import InstructorsKey


def grade(lecture: str, first: str, seed: str) -> tuple[int, int, list[str]]:
    """Answers that sat their exercise's checks on this seed, inputs that were put, and what was not passed."""
    checks = [check for check in collect(lecture) if not check.gpu and not check.training]
    examiner = Examiner(load(lecture), checks, seed, key=InstructorsKey(lecture, names=False))
    answers = put = 0
    failures = []
    for exercise in dict.fromkeys(check.exercise for check in checks):
        own = [(check, example) for check in checks if check.exercise == exercise for example in _inputs(examiner, check, seed == first)]
        right = {"solution": known_submissions.solution(lecture, exercise.split(".")[0])}
        for variant in catalogue.load(lecture).variants.get(exercise, []):
            right[variant.name] = known_submissions.with_function(lecture, variant.replaces, variant.function)
        for name, transport in right.items():
            answers, put = answers + 1, put + len(own)
            for check, example in own:
                with contextlib.suppress(CannotObserve):
                    failure = examiner.run(check, example, transport)
                    failures += [f"{exercise}, {name}: {check.name}: {failure.sentence}"] if failure else []
    return answers, put, failures


def _inputs(examiner: Examiner, check: Check, first: bool) -> list[Example]:
    """Those of a check that this seed alone has, or all on the first one."""
    if first or "seed" in check.fixtures:
        return examiner.examples(check)
    explicit = len(getattr(check.function, "hypothesis_explicit_examples", ()))
    return examiner.examples(check)[explicit:] if check.drawn else []


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("assignment")
    parser.add_argument("seeds", type=int, nargs="?", default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("-j", dest="graders", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)  # graders are forked from here, and OpenMP does not survive a fork
    collect(options.assignment)  # once, before the graders are forked
    answers = put = failed = 0
    seeds = [f"benchmark seed {number}" for number in range(options.first, options.first + options.seeds)]
    for done, (seed, found) in enumerate(GraderPool(options.graders, partial(grade, options.assignment, seeds[0])).run(seeds), 1):
        assert found is not None, f"{seed}: its grader was killed, again and again"
        answers, put, failed = answers + found[0], put + found[1], failed + len(found[2])
        print(f"{seed}: {found[0]} right answers, {found[1]} inputs", *found[2], sep="\n  ", flush=True)
        print(f"after {done} seeds: {answers} gradings of right answers, {put} inputs, {failed} failures", flush=True)


if __name__ == "__main__":
    main()
