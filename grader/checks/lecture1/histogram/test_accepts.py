"""Bonus (slide 30): the student's own test of a density and a sampler is put to honest pairs and to broken ones.

A verdict counts only beside its opposite: every hidden check has eight verdicts or more, on pairs to accept and pairs to
reject, in an order that the grading seed decides, so that a test which always says the same, guesses, or counts how often it
was called earns nothing. Which pairs there are stays hidden; what makes one honest or broken stands in the docstring of `accepts`.
The solution's own test errs on a pair with a probability below 1e-18 (tests/reference/test_histogram_pairs.py).
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import assert_agrees, assert_dtype
from grader.checks.lecture1.histogram.draw import of_masses, pair
from grader.checks.lecture1.shared import draw

accepts = pytest.mark.exercise("histogram.accepts")
weight = pytest.mark.weight
examples = pytest.mark.examples
seconds = pytest.mark.seconds

EVERY_KIND = 210  # kinds of pairs come round after 5, 6 or 7 numbers


@accepts
@weight(0.25)
def test_a_coin_and_a_die_are_judged(student, seed):
    """A fair coin, a bent die and a certain value are honest; a bent coin with a fair density is broken."""
    fair, die = of_masses(0.5, 0.5), of_masses(0.1, 0.1, 0.1, 0.2, 0.25, 0.25)
    pairs = [
        ("a fair coin", True, fair), ("a bent die", True, die), ("a value that is certain", True, of_masses(1.0)),
        ("a bent coin with the density of a fair one", False, (fair[0], of_masses(0.8, 0.2)[1])),
        ("a die with the density of a bent one", False, (die[0], of_masses(*[1 / 6] * 6)[1])),
    ]  # fmt: skip
    for words, honest, (log_p, sampler) in pairs[seed % 5 :] + pairs[: seed % 5]:
        assert_agrees(student.accepts(*pair(log_p, sampler, seed=1)), honest, what=f"the verdict on {words}")


@accepts
@weight(1)
@seconds(60)
@examples(10)
@given(number=draw.seeds)
@example(number=0)
@example(number=1)
@example(number=2)
@example(number=3)
@example(number=4)
@example(number=5)
@example(number=6)
@example(number=7)
@example(number=8)
@example(number=9)
def test_honest_pairs_are_accepted(student, ref, seed, number):
    """Honest pairs raise no false alarm, whether the mass is spread, peaked, rare or partly zero, and the draws lucky or not."""
    words, log_p, sampler = ref.honest_pair(number)
    questions = [(words, True, log_p, sampler, seed + number)]
    if number < 10:
        words, log_p, sampler, unlucky_seed = ref.unlucky_pair(number)
        questions.append((words, True, log_p, sampler, unlucky_seed))
    if number in (seed % 5, 5 + seed // 5 % 5):
        questions.append((words, False, *ref.broken_pair(number, "law")[1:], seed + number))
    first = (seed >> number % 32) % len(questions)
    for words, honest, log_p, sampler, its_seed in questions[first:] + questions[:first]:
        what = f"the verdict on {'an honest' if honest else 'a broken'} pair ({words})"
        assert_agrees(student.accepts(*pair(log_p, sampler, its_seed)), honest, what=what)


@accepts
@weight(0.5)
@given(kind=st.integers(0, 4))
def test_a_density_of_another_mass_is_rejected(student, ref, seed, kind):
    """A density that does not sum to one is rejected, though the draws are those of the density once it is normalised."""
    _assert_tells_apart(student, ref, "mass", kind, seed)


@accepts
@weight(1)
@given(kind=st.integers(0, 4))
def test_draws_from_another_law_are_rejected(student, ref, seed, kind):
    """A sampler whose law is not the density is rejected, also where the mean, the entropy or the largest mass agrees."""
    _assert_tells_apart(student, ref, "law", kind, seed)


@accepts
@weight(0.5)
@given(kind=st.sampled_from([0, 2, 4, 6]))
def test_an_impossible_draw_is_rejected(student, ref, seed, kind):
    """A sampler that now and then draws what the density rules out is rejected, however small the total variation."""
    _assert_tells_apart(student, ref, "support", kind, seed)


@accepts
@weight(1)
@given(kind=st.integers(0, 5))
def test_neighbours_that_depend_on_each_other_are_rejected(student, ref, seed, kind):
    """A sampler with the right frequencies is rejected when a draw tells something about the next one."""
    _assert_tells_apart(student, ref, "neighbours", kind, seed)


@accepts
@weight(0.5)
@given(kind=st.integers(0, 2))
def test_calls_that_depend_on_each_other_are_rejected(student, ref, seed, kind):
    """A sampler whose calls repeat each other, wholly or in part, is rejected; a peaked one whose calls often agree is not."""
    _assert_tells_apart(student, ref, "calls", kind, seed)
    words, log_p, sampler = ref.honest_pair(5 + 6 * kind)
    assert_agrees(student.accepts(*pair(log_p, sampler, seed)), True, what=f"the verdict on an honest pair ({words})")


@accepts
@weight(0.083)
def test_a_verdict_is_a_python_bool(student):
    """The verdict is True or False of Python, not a tensor."""
    log_p, sampler = of_masses(0.5, 0.5)
    assert_dtype(student.accepts(*pair(log_p, sampler, seed=5)), bool)


def _assert_tells_apart(student: Any, ref: Any, broken: str, kind: int, seed: int) -> None:
    """The broken pair is rejected, and the honest one with its pmf accepted; which of them comes first nobody can know."""
    number = seed % 2**20 * EVERY_KIND + kind
    words, log_p, sampler = ref.broken_pair(number, broken)
    questions = [(f"a broken pair ({words})", False, log_p, sampler)]
    words, log_p, sampler = ref.honest_twin(number, broken)
    questions.append((f"the honest pair beside the broken one ({words})", True, log_p, sampler))
    for words, honest, log_p, sampler in questions if seed >> 20 + kind & 1 else questions[::-1]:
        got = student.accepts(*pair(log_p, sampler, seed + number))
        assert_agrees(got, honest, what=f"the verdict on {words}")
