"""The pushforward of a pmf (slide 26): the law of y = f(x) where it can be written down."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import assert_agrees, assert_dtype, assert_gradient_agrees, assert_unchanged
from grader.checks.lecture1.course_tricks.draw import MANY, many_images, many_masses
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.layouts import layouts

pushforward = pytest.mark.exercise("course_tricks.pushforward_pmf")
weight = pytest.mark.weight
examples = pytest.mark.examples

values, targets = st.integers(2, 6), st.integers(2, 6)


@pushforward
@weight(0.4)
def test_masses_that_meet_add_up(student):
    """Two values of x with one image hand over both their masses, and a value of y without preimage has none, be it the last."""
    p = torch.tensor([0.25, 0.125, 0.125, 0.5])
    assert_agrees(student.pushforward_pmf(p, torch.tensor([2, 0, 0, 2]), 5), torch.tensor([0.25, 0.0, 0.75, 0.0, 0.0]))
    assert_agrees(student.pushforward_pmf(p, torch.tensor([1, 0, 2, 1]), 3), torch.tensor([0.125, 0.75, 0.125]))
    assert_agrees(student.pushforward_pmf(p, torch.tensor([1, 0, 0, 1]), 3), torch.tensor([0.25, 0.75, 0.0]))


@pushforward
@weight(0.5)
@examples(4)
@given(S=values, K=targets, key=draw.seeds, dtype=draw.dtypes)
@example(S=4, K=2, key=0, dtype=torch.float64)
@example(S=4, K=9, key=0, dtype=torch.float32)
@example(S=5, K=6, key=454, dtype=torch.float64)
def test_pushforward_collects_the_mass_of_the_preimages(student, ref, S, K, key, dtype):
    """The mass of y is the mass of all x that f sends there, and nothing where no x arrives."""
    p, f = draw.pmf((S,), key, zeros=True, dtype=dtype), draw.integers((S,), key, K)
    assert_agrees(student.pushforward_pmf(p, f, K), ref.pushforward_pmf(p, f, K), like=p)


@pushforward
@weight(0.25)
@examples(1)
@given(dtype=draw.dtypes)
@example(dtype=torch.float32)
@example(dtype=torch.float64)
def test_tiny_masses_arrive_as_they_are(student, dtype):
    """A mass of 1e-30 is a mass: it is neither dropped nor raised, and no other place gets any of it."""
    p = torch.tensor([0.75, 1e-30, 0.25, 2e-30], dtype=dtype)
    want = torch.tensor([0.0, 2e-30, 1.0, 0.0, 1e-30], dtype=torch.float64)
    assert_agrees(student.pushforward_pmf(p, torch.tensor([2, 4, 2, 1]), 5), want, like=dtype)


@pushforward
@weight(0.25)
@examples(1)
@given(key=draw.seeds, dtype=draw.dtypes)
@example(key=0, dtype=torch.float32)
@example(key=1, dtype=torch.float64)
def test_pushforward_of_many_values(student, key, dtype):
    """Of 4099 values every one hands its mass to one of 17 places; of 300 values to one of 257."""
    for S, K in ((MANY, 17), (300, 257)):  # S K small enough for two nested loops in Python
        p, f = many_masses(S, key, dtype), many_images(S, K, key + 1)
        want = torch.zeros(K, dtype=torch.float64).index_add(0, f, p.double())
        assert_agrees(student.pushforward_pmf(p, f, K), want, like=dtype, scale=want.amax())


@pushforward
@weight(0.15)
@examples(2)
@given(S=st.integers(1, 2), K=st.integers(1, 2), key=draw.seeds, dtype=draw.dtypes)
@example(S=1, K=1, key=0, dtype=torch.float32)
@example(S=1, K=3, key=1, dtype=torch.float64)
@example(S=3, K=1, key=0, dtype=torch.float32)
@example(S=2, K=2, key=38354, dtype=torch.float32)
def test_pushforward_to_or_from_a_single_value(student, S, K, key, dtype):
    """With one value of x all mass has one place; with one value of y all mass goes there."""
    p, f = draw.pmf((S,), key, dtype=dtype), draw.integers((S,), key, K)
    want = torch.zeros(K, dtype=torch.float64).index_add(0, f, p.double())
    assert_agrees(student.pushforward_pmf(p, f, K), want, like=dtype)


@pushforward
@weight(0.1)
def test_pushforward_depends_on_the_masses_alone(student):
    """The numbers in p count: not how they lie in memory, and not what an earlier call was given."""
    f = torch.tensor([2, 0, 0, 2])
    for p, plain in layouts(torch.tensor([0.25, 0.125, 0.125, 0.5]), torch.tensor([0.5, 0.25, 0.125, 0.125])):
        want = torch.zeros(3, dtype=torch.float64).index_add(0, f, plain.double())
        assert_agrees(student.pushforward_pmf(p, f, 3), want, like=plain)


@pushforward
@weight(0.3)
@examples(2)
@given(S=values, K=targets, key=draw.seeds, dtype=draw.dtypes)
@example(S=3, K=2, key=1, dtype=torch.float32)
@example(S=2, K=4, key=3, dtype=torch.float64)
@example(S=1, K=2, key=0, dtype=torch.float64)
@example(S=65, K=3, key=0, dtype=torch.float64)
def test_pushforward_is_linear_in_p(student, S, K, key, dtype):
    """Each mass counts as it is, at its image: the gradient by p(x) is the weight of f(x), and nothing is normalised."""
    p, f = draw.pmf((S,), key, dtype=dtype), draw.integers((S,), key, K)
    w = draw.normal((K,), key + 1, dtype=dtype)
    _, (by_p,) = student.pushforward_pmf.gradient(p, f, K, wrt=[p], weights=w)
    assert_gradient_agrees(by_p, w[f].double(), of="p", like=dtype, scale=1 + float(w.abs().amax()))


@pushforward
@weight(0.017)
def test_pushforward_has_the_dtype_of_p(student):
    """Float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        p = torch.tensor([0.25, 0.75], dtype=dtype)
        assert_dtype(assert_unchanged(student.pushforward_pmf.observed(p, torch.tensor([1, 0]), 3)), dtype)
