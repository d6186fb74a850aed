"""Bonus (slide 30): the student's own test of a density and a sampler is put to honest pairs and to broken ones.

A verdict counts only beside its opposite: every hidden check has eight verdicts or more, on pairs to accept and pairs to
reject, so that a test which always says the same, or guesses, earns nothing. Which pairs there are stays hidden; what makes one
honest or broken stands in the docstring of `accepts`. The solution's own test errs on a pair with a probability below 1e-18
(tests/reference/test_histogram_pairs.py).
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import assert_agrees, assert_no_trace, refuses
from grader.checks.lecture1.histogram.draw import of_masses, pair
from grader.checks.lecture1.shared import draw

accepts = pytest.mark.exercise("histogram.accepts")
weight = pytest.mark.weight
examples = pytest.mark.examples
seconds = pytest.mark.seconds

EVERY_KIND = 210  # kinds of pairs come round after 5, 6 or 7 numbers


@accepts
@weight(0.25)
def test_a_coin_and_a_die_are_judged(student):
    """A fair coin, a bent die and a certain value are honest; a bent coin with a fair density is broken."""
    fair, die = of_masses(0.5, 0.5), of_masses(0.1, 0.1, 0.1, 0.2, 0.25, 0.25)
    assert_agrees(student.accepts(*pair(*fair, seed=1)), True, what="the verdict on a fair coin")
    assert_agrees(student.accepts(*pair(*die, seed=2)), True, what="the verdict on a bent die")
    assert_agrees(student.accepts(*pair(*of_masses(1.0), seed=3)), True, what="the verdict on a value that is certain")
    bent = pair(fair[0], of_masses(0.8, 0.2)[1], seed=4)
    assert_agrees(student.accepts(*bent), False, what="the verdict on a bent coin with the density of a fair one")


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
    assert_agrees(student.accepts(*pair(log_p, sampler, seed + number)), True, what=f"the verdict on an honest pair ({words})")
    if number < 10:
        words, log_p, sampler, unlucky_seed = ref.unlucky_pair(number)
        assert_agrees(student.accepts(*pair(log_p, sampler, unlucky_seed)), True, what=f"the verdict on an honest pair ({words})")
    if number < 2:
        _assert_rejects(student, ref, "law", number, seed)


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
@given(kind=st.sampled_from([0, 2, 4, 6]))
def test_calls_that_repeat_each_other_are_rejected(student, ref, seed, kind):
    """A sampler that gives the same draws in each call is rejected; a peaked one whose calls often agree is not."""
    _assert_tells_apart(student, ref, "calls", kind, seed)
    if kind == 0:
        words, log_p, sampler = ref.honest_pair(5)
        assert_agrees(student.accepts(*pair(log_p, sampler, seed)), True, what=f"the verdict on an honest pair ({words})")


@accepts
@weight(0.25)
def test_judging_needs_a_value_and_leaves_no_trace(student):
    """There is at least one value; a verdict moves no global random state and prints nothing."""
    log_prob, sample, K = pair(*of_masses(0.5, 0.5), seed=5)
    assert_no_trace(student.accepts.observed(log_prob, sample, K))
    for too_few in (0, -1):
        with refuses("K"):
            student.accepts(*pair(*of_masses(1.0), seed=6)[:2], too_few)


def _assert_tells_apart(student: Any, ref: Any, broken: str, kind: int, seed: int) -> None:
    """The broken pair is rejected, and the honest one beside it accepted."""
    number = seed % 2**20 * EVERY_KIND + kind
    _assert_rejects(student, ref, broken, number, seed)
    words, log_p, sampler = ref.honest_twin(number, broken)
    got = student.accepts(*pair(log_p, sampler, seed + number))
    assert_agrees(got, True, what=f"the verdict on the honest pair beside the broken one ({words})")


def _assert_rejects(student: Any, ref: Any, broken: str, number: int, seed: int) -> None:
    words, log_p, sampler = ref.broken_pair(number, broken)
    assert_agrees(student.accepts(*pair(log_p, sampler, seed + number)), False, what=f"the verdict on a broken pair ({words})")
