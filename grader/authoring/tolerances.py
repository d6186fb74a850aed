"""Audits the tolerances: hypothesis searches each check for the input on which a right answer comes closest to failing.

Solutions and registered variants, in the dtypes that the checks draw, against the reference in float64, through the
checks themselves: their inputs, scales and conditions. A reading is the largest error / tolerance found; at 1 a right
answer would fail.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from torch import Tensor

from grader import assignment as assignments
from grader.checking import compare
from grader.checking.student import Transport
from grader.checking.tolerance import Tolerance
from grader.checking.wording import Wording
from grader.exam import inputs
from grader.exam.collect import Check, collect
from grader.exam.examiner import Examiner
from grader.hidden import catalogue, known_submissions
from grader.hidden.answer_key import InstructorsKey


@dataclass(frozen=True)
class Reading:
    """The closest that a right answer came to failing a check."""

    check: str
    candidate: str
    ratio: float
    example: inputs.Example
    failure: str = ""


def audit(lecture: str, exercises: Iterable[str], max_examples: int, seed: str, variants: bool = True) -> Iterator[Reading]:
    """Search the inputs of every drawn check of the exercises, with the solution and (unless told not to) each variant."""
    checks = collect(lecture)
    examiner = Examiner(assignments.load(lecture), checks, seed, key=InstructorsKey(lecture, names=False))
    for exercise in exercises:
        right = {"solution": known_submissions.solution(lecture, exercise.split(".")[0])}
        for variant in catalogue.load(lecture).variants.get(exercise, []) if variants else []:
            right[variant.name] = known_submissions.with_function(lecture, variant.replaces, variant.function)
        for check in checks:
            if check.exercise == exercise and check.drawn and not check.training and not check.gpu:
                for name, transport in right.items():
                    yield _closest(examiner, check, name, transport, max_examples)


def _closest(examiner: Examiner, check: Check, name: str, transport: Transport, max_examples: int) -> Reading:
    closest = Reading(check.name, name, 0.0, {})

    def attempt(example: inputs.Example) -> None:
        nonlocal closest
        with _ratios() as ratios:
            failure = examiner.run(check, example, transport)
        ratio = max(ratios, default=0.0)
        if failure is not None and not closest.failure:
            closest = Reading(check.name, name, max(ratio, 1.0), example, failure.sentence)
        elif ratio > closest.ratio:
            closest = Reading(check.name, name, ratio, example, closest.failure)
        hypothesis.target(min(ratio, 1e6))

    search = settings(
        max_examples=max_examples, database=None, deadline=None, phases=(Phase.explicit, Phase.generate, Phase.target),
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.function_scoped_fixture),
    )  # fmt: skip
    with mock.patch.object(check.function, "_hypothesis_internal_use_settings", search):
        inputs._search(check, examiner.seed, attempt)
    return closest


@contextmanager
def _ratios() -> Iterator[list[float]]:
    """Collects error / tolerance of every comparison of values inside the block."""
    ratios: list[float] = []
    judge = compare._assert_values

    def measure(returned: Any, got: Tensor, want: Tensor, tolerance: Tolerance, wording: Wording) -> None:
        both = got.isfinite() & want.isfinite()
        ratio = ((got - want).abs() / tolerance.allowed(want))[both]
        ratios.append(ratio.max().item() if ratio.numel() else 0.0)
        judge(returned, got, want, tolerance, wording)

    with mock.patch.object(compare, "_assert_values", measure):
        yield ratios


def main() -> None:
    """`python -m grader.authoring.tolerances ASSIGNMENT [TOPIC or EXERCISE ...] [--examples N]`, for authors of checks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("assignment")
    parser.add_argument("wanted", nargs="*")
    parser.add_argument("--examples", type=int, default=100)
    given = parser.parse_args()
    names = dict.fromkeys(check.exercise for check in collect(given.assignment))
    chosen = [name for name in names if not given.wanted or {name, name.split(".")[0]} & {*given.wanted}]
    started, worst = time.process_time(), 0.0
    for reading in audit(given.assignment, chosen, given.examples, "audit"):
        worst = max(worst, reading.ratio)
        if reading.ratio > 0.1 or reading.failure:
            print(f"{reading.ratio:8.3f}  {reading.candidate:30s} {reading.check}  {reading.failure}")
    print(f"worst error / tolerance {worst:.3f}; {time.process_time() - started:.1f} CPU-seconds")
    sys.exit(worst >= 1 or math.isnan(worst))


if __name__ == "__main__":
    main()
