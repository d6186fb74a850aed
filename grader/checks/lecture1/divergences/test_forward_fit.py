"""The maximum likelihood fit of a diagonal Gaussian, in closed form (slide 35)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import Mismatch, assert_agrees, assert_dtype, assert_unchanged
from grader.checks.lecture1.divergences.draw import dims, numbers_of_draws, zeros_and_three
from grader.checks.lecture1.shared import draw

fit_gaussian_forward_kl = pytest.mark.exercise("divergences.fit_gaussian_forward_kl")
weight = pytest.mark.weight
examples = pytest.mark.examples


@fit_gaussian_forward_kl
@weight(0.25)
def test_the_means_by_hand(student):
    """The samples (1, 5), (3, 5), (8, -4) have the mean (4, 2)."""
    got, _ = both(student.fit_gaussian_forward_kl(torch.tensor([[1.0, 5.0], [3.0, 5.0], [8.0, -4.0]])))
    assert_agrees(got, torch.tensor([4.0, 2.0]), scale=8.0, what="the mean")


@fit_gaussian_forward_kl
@weight(0.25)
def test_the_spreads_by_hand(student):
    """The samples (1, 5), (5, 5) have standard deviations (2, 0): likelihood divides by n. In units of 10^-8 they have as many."""
    _, got = both(student.fit_gaussian_forward_kl(torch.tensor([[1.0, 5.0], [5.0, 5.0]])))
    mistaken = {
        "You divided by n - 1: likelihood is largest with n.": torch.tensor([8.0**0.5, 0.0]),
        "This is the variance: the standard deviation is its root.": torch.tensor([4.0, 0.0]),
    }
    assert_agrees(got, torch.tensor([2.0, 0.0]), scale=5.0, what="the standard deviation", mistaken=mistaken)
    _, got = both(student.fit_gaussian_forward_kl(torch.tensor([[1e-8, 5e-8], [5e-8, 5e-8]])))
    assert_agrees(got, torch.tensor([2e-8, 0.0]), scale=5e-8, what="the standard deviation")


@fit_gaussian_forward_kl
@weight(0.5)
@examples(10)
@given(n=numbers_of_draws, m=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=2, m=3, key=0, dtype=torch.float64)
@example(n=3, m=2, key=1, dtype=torch.float32)
def test_the_means_are_those_of_the_sample(student, ref, n, m, key, dtype):
    """Each coordinate has the mean of its column, in whatever order the sample is stored."""
    x = draw.normal((n, m), key, 2.0, dtype)
    got, _ = both(student.fit_gaussian_forward_kl.strided(x))
    assert_agrees(got, ref.fit_gaussian_forward_kl(x)[0], like=dtype, scale=x.abs().max().item(), what="the mean")


@fit_gaussian_forward_kl
@weight(0.5)
@examples(10)
@given(n=st.integers(2, 9), m=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=2, m=3, key=0, dtype=torch.float64)
@example(n=65, m=33, key=0, dtype=torch.float64)
@example(n=3, m=2, key=1, dtype=torch.float32)
def test_the_spreads_are_those_of_the_sample(student, ref, n, m, key, dtype):
    """Each coordinate has the standard deviation of its own column."""
    x = draw.normal((n, m), key, 2.0, dtype)
    _, got = both(student.fit_gaussian_forward_kl.strided(x))
    assert_agrees(got, ref.fit_gaussian_forward_kl(x)[1], like=dtype, scale=x.abs().max().item(), what="the standard deviation")


@fit_gaussian_forward_kl
@weight(0.125)
@examples(2)
@given(dtype=draw.dtypes)
@example(dtype=torch.float32)
@example(dtype=torch.float64)
def test_the_fit_is_accurate_far_from_zero(student, dtype):
    """Samples far from zero, and not so far, and 1 from their mean have the spread 1: squares of that size would swallow it."""
    far = torch.tensor([1e4, 333.3] if dtype == torch.float32 else [1e9, 33333.3], dtype=dtype)
    x = far + torch.tensor([[1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, 1.0]], dtype=dtype)
    want = x.double().mean(0), x.double().std(0, correction=0)
    got = both(student.fit_gaussian_forward_kl(x))
    for one, right, scale, what in zip(got, want, (far, 10.0), ("the mean", "the standard deviation"), strict=True):
        assert_agrees(one, right, like=dtype, scale=scale, what=what)


@fit_gaussian_forward_kl
@weight(0.0625)
def test_the_fit_counts_every_sample(student):
    """Of 4099 samples 4096 are 0 and the last three 4099: the mean is 3, and its square plus that of the spread 3 x 4099."""
    mu, sigma = both(student.fit_gaussian_forward_kl(zeros_and_three(4099.0, torch.float64)))
    assert_agrees(mu, torch.tensor([3.0]).double(), scale=10.0, what="the mean")
    assert_agrees(sigma, torch.tensor([3 * 4096.0]).double().sqrt(), scale=4099.0, what="the standard deviation")


@fit_gaussian_forward_kl
@weight(0.125)
def test_one_sample_is_its_own_fit(student):
    """One sample has itself as mean, and the standard deviation zero, not nan."""
    mu, sigma = both(student.fit_gaussian_forward_kl(torch.tensor([[2.0, -3.0, 0.5]])))
    assert_agrees(mu, torch.tensor([2.0, -3.0, 0.5]), what="the mean")
    assert_agrees(sigma, torch.zeros(3), what="the standard deviation")


@fit_gaussian_forward_kl
@weight(0.042)
def test_the_fit_has_the_dtype_of_the_sample(student):
    """Samples in float32 give a fit in float32, those in float64 one in float64."""
    for dtype in (torch.float32, torch.float64):
        for x in (torch.tensor([[1.0], [3.0]], dtype=dtype), torch.ones(1, 1, dtype=dtype)):
            for part in both(student.fit_gaussian_forward_kl(x)):
                assert_dtype(part, dtype)


@fit_gaussian_forward_kl
@weight(0.0625)
def test_the_sample_stays_as_it_is(student):
    """The sample is not changed: it is not centred in place."""
    assert_unchanged(student.fit_gaussian_forward_kl.observed(torch.tensor([[1.0, 5.0], [3.0, 7.0], [4.0, 9.0]])))


def both(got: object) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, whatever they are."""
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Mismatch("type", "you did not return two tensors", got, expected="a tuple of mean and standard deviation")
    return got[0], got[1]
