"""Right answers on many grading seeds: they must get full marks whatever the inputs.

    python benchmarks/seeds.py ASSIGNMENT [SEEDS] [--first NUMBER] [-j GRADERS]

On each seed (20, counted from 0) the solutions and every accepted variant of the catalogue are put to the checks of their exercises,
training and GPU apart.
"""

from __future__ import annotations

import argparse
from functools import partial

import torch

from dgm_ref import catalogue
from grader.assignment import load
from grader.authoring.certify import not_passed
from grader.exam.collect import collect
from grader.exam.examiner import Examiner
from grader.grading.pool import GraderPool
from grader.hidden import known_submissions
from grader.hidden.answer_key import InstructorsKey


def grade(lecture: str, seed: str) -> tuple[int, int, list[str]]:
    """Answers that sat their exercise's checks on this seed, checks that were put, and what was not passed."""
    checks = [check for check in collect(lecture) if not check.gpu and not check.training]
    examiner = Examiner(load(lecture), checks, seed, key=InstructorsKey(lecture, names=False))
    answers = put = 0
    failures = []
    for exercise in dict.fromkeys(check.exercise for check in checks):
        own = [check for check in checks if check.exercise == exercise]
        right = {"solution": known_submissions.solution(lecture, exercise.split(".")[0])}
        for variant in catalogue.load(lecture).variants.get(exercise, []):
            right[variant.name] = known_submissions.with_function(lecture, variant.replaces, variant.function)
        for name, transport in right.items():
            answers, put = answers + 1, put + len(own)
            failures += [f"{exercise}, {name}: {one.check}: {one.message}" for one in not_passed(examiner, own, transport)]
    return answers, put, failures


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
    for done, (seed, found) in enumerate(GraderPool(options.graders, partial(grade, options.assignment)).run(seeds), 1):
        assert found is not None, f"{seed}: its grader was killed, again and again"
        answers, put, failed = answers + found[0], put + found[1], failed + len(found[2])
        print(f"{seed}: {found[0]} right answers, {found[1]} checks", *found[2], sep="\n  ", flush=True)
        print(f"after {done} seeds: {answers} gradings of right answers, {put} checks, {failed} failures", flush=True)


if __name__ == "__main__":
    main()
