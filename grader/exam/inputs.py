"""The inputs of a check: drawn once per class from the grading seed, and shrunk only after a failure."""

from __future__ import annotations

import hashlib
import hmac
import tempfile
from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

from grader.exam.collect import Check

Example = dict[str, Any]

SHRINK_CALLS = 150  # bodies run in search of a smaller counterexample; a count, so that the search is reproducible

_HOME = tempfile.TemporaryDirectory(prefix="dgm-hypothesis-", ignore_cleanup_errors=True)
set_hypothesis_home_dir(_HOME.name)  # it reads constants from there: nobody may plant any
# It also draws constants out of every local module that is loaded, so that one seed would give other inputs in a checkout,
# in a wheel and beside a module of somebody's own. There is no setting for it; a test notices when this has no effect.
providers._get_local_constants = lambda: Constants()
providers.CONSTANTS_CACHE.cache.clear()


def derive(seed: str, purpose: str) -> int:
    """A 64-bit seed for one purpose, from which neither the grading seed nor any other derived seed follows."""
    return int.from_bytes(hmac.new(seed.encode(), purpose.encode(), hashlib.sha256).digest()[:8], "big")


def draw_examples(check: Check, seed: str) -> list[Example]:
    """The inputs that every submission meets in this check: explicit examples first, in a fixed order."""
    if not check.drawn:
        return [check.parameters]
    examples: list[Example] = []
    _search(check, seed, lambda example: examples.append(example))
    return examples


def shrink(check: Check, seed: str, fails: Callable[[Example], bool]) -> Example | None:
    """The smallest input on which `fails` is true that hypothesis finds within its budget."""
    smallest: Example | None = None
    calls = 0

    def attempt(example: Example) -> None:
        nonlocal smallest, calls
        calls += 1
        if calls <= SHRINK_CALLS and fails(example):
            smallest = example
            raise _Failed

    if check.drawn:
        try:
            _search(check, seed, attempt)
        except (_Failed, hypothesis.errors.HypothesisException):
            pass
        except BaseExceptionGroup:  # several explicit examples fail
            pass
    return smallest


class _Failed(AssertionError):
    pass


def _search(check: Check, seed: str, body: Callable[[Example], None]) -> None:
    """Run hypothesis on `body` in the place of the check's own."""

    def instead(**arguments: Any) -> None:
        body({name: value for name, value in arguments.items() if name not in check.fixtures})

    handle = check.function.hypothesis  # type: ignore[attr-defined]
    hypothesis.seed(derive(seed, check.identity))(check.function)
    handle.inner_test = instead
    try:
        check.function(**dict.fromkeys(check.fixtures), **check.parameters)
    finally:
        handle.inner_test = check.body
