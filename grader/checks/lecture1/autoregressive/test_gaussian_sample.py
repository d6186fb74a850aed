"""Continuous data (slide 41): ancestral sampling from Gaussian conditionals."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import (
    Mismatch,
    assert_agrees,
    assert_calls_agree,
    assert_dtype,
    assert_form,
)
from grader.checking.statistics import (
    assert_batch_not_standardised,
    assert_no_row_repeats,
    assert_rows_agree_by_chance,
    assert_standard_normal,
    assert_streams_differ,
    assert_uniform,
)
from grader.checks.lecture1.autoregressive.draw import centred_model, gaussian_model
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.conditionals import gaussian_linear
from grader.sandbox.wire.families import Family

gaussian_sample = pytest.mark.exercise("autoregressive.gaussian_sample")
weight = pytest.mark.weight
examples = pytest.mark.examples

STRAYS = 3  # rows of a call: a uniform number is exactly 0 once in 10^7, and its logarithm or quantile infinite
MANY = 4099  # rows: more than any batch, and no round number
FEW = 24


def noise_of(conditional: Family, x: Tensor) -> Tensor:
    r"""$\varepsilon_j=(x_j-\mu_j)/\sigma_j$, independent and standard normal for a right sample; what is not finite is far out."""
    x = x.double().nan_to_num(0.0, 0.0, 0.0)
    mu, log_sigma = conditional.double()(x)
    return (x - mu) * torch.exp(-log_sigma)


@gaussian_sample
@weight(0.25)
def test_without_noise_each_value_is_the_mean_given_those_before(student):
    """For tiny sigma and means 3, 2 x_1 + 1, -x_1 + x_2 / 2 + 1/2 every sample is (3, 7, 1)."""
    A = torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [-1.0, 0.5, 0.0]])
    conditional = gaussian_linear(A, torch.tensor([3.0, 1.0, 0.5]), torch.zeros(3, 3), torch.full((3,), -40.0))
    got = student.gaussian_sample(conditional, 2, 3, student.generator(0))
    assert_agrees(got, torch.tensor([[3.0, 7.0, 1.0]]).expand(2, 3))


@gaussian_sample
@weight(0.0625)
def test_samples_keep_the_digits_of_mu(student):
    """For a float64 model of means 1/3 and tiny sigma samples are 1/3 in float64, whatever the dtype of the buffer.

    With a sigma of 1 a single sample is not its mean.
    """
    zero = torch.zeros(2, 2, dtype=torch.float64)
    third = torch.full((2,), 1 / 3, dtype=torch.float64)
    got = student.gaussian_sample(gaussian_linear(zero, third, zero, -180 * third), 3, 2, student.generator(0))
    assert_agrees(got, third.expand(3, 2), like=torch.float64)
    alone = student.gaussian_sample(centred_model(zero[0]), 1, 2, student.generator(0))
    assert_form(alone, (1, 2))
    if (alone == 0).any():
        raise Mismatch("law", "a value of a single sample is exactly its mean: it is not drawn", alone)


@gaussian_sample
@weight(0.75)
def test_gaussian_samples_follow_the_joint_law(student, seed):
    """Every value follows the normal distribution that the values before it in its row give, with noise of its own."""
    A = torch.tensor([[0, 0, 0], [1.5, 0, 0], [-1.0, 1.0, 0]])
    S = torch.tensor([[0, 0, 0], [0.25, 0, 0], [-0.25, 0.125, 0]])
    conditional = gaussian_linear(A, torch.tensor([1.0, -1.0, 0.5]), S, torch.tensor([-1.0, 0.5, -0.5]))
    generator = student.generator(seed)

    def uniforms(n: int) -> Tensor:
        x = student.gaussian_sample(conditional, n, 3, generator)
        assert_form(x, (n, 3))
        if (~x.isfinite()).any(dim=1).sum() > STRAYS:
            raise Mismatch("finite", "samples are not finite", x)
        return 0.5 * torch.erfc(-noise_of(conditional, x) / math.sqrt(2))

    assert_uniform(uniforms, columns=3)


@gaussian_sample
@weight(0.375)
def test_the_noise_is_normal_for_any_sigma(student, seed):
    """Samples of mean 0 and log sigma from -80 to 80 are standard normal once divided by sigma: width, mean and shape."""
    log_sigma = torch.tensor([-80.0, -20.0, -3.0, 0.0, 0.0, 3.0, 20.0, 80.0])
    conditional, generator, m = centred_model(log_sigma), student.generator(seed), len(log_sigma)

    def noise(n: int) -> Tensor:
        x = student.gaussian_sample(conditional, -(-n // m), m, generator)
        assert_form(x, (-(-n // m), m))
        return (x.double() * torch.exp(-log_sigma.double())).flatten()[:n]

    assert_standard_normal(noise)


@gaussian_sample
@weight(0.25)
def test_no_vector_of_a_large_batch_repeats_or_mirrors_another(student, seed):
    """Of 4099 vectors no two are equal, no signs agree more often than by chance, and mean and width fluctuate.

    Of 24 vectors none share values, in the same column or not.
    """
    m = 8
    conditional = centred_model(torch.zeros(m))
    x = student.gaussian_sample(conditional, MANY, m, student.generator(seed))
    assert_form(x, (MANY, m))
    assert_no_row_repeats(x, log2_outcomes=8.0 * m)
    for signs, row in (((x > 0).long(), "row"), ((x.T > 0).long(), "column")):
        assert_rows_agree_by_chance(signs, 2, row)
    assert_batch_not_standardised(noise_of(conditional, x))
    x = student.gaussian_sample(conditional, FEW, m, student.generator(seed))
    assert_form(x, (FEW, m))
    for j, values in enumerate(x.T):
        if len(values.unique()) <= FEW - STRAYS:  # in float32 two of 24 agree once in 10^4 times, three pairs once in 10^12
            raise Mismatch("law", f"of {FEW} vectors only {len(values.unique())} have a value {j} (from 0) of their own", values)
    different = len(x.unique())
    if different <= x.numel() - 2 * STRAYS:  # two of 192 agree once in 10^3 times, six pairs once in 10^20
        raise Mismatch("law", f"{FEW} vectors of {m} values have only {different} different ones: they share their noise", x)


@gaussian_sample
@weight(0.25)
def test_gaussian_sampling_reads_its_generator_and_moves_it_on(student, seed):
    """The same state gives the same samples, the next call gives other ones, and so does another seed."""
    conditional = gaussian_model(3, key=5)
    generator, again, other = student.generator(seed), student.generator(seed), student.generator(seed + 1)
    first = student.gaussian_sample(conditional, 8, 3, generator)
    assert_form(first, (8, 3))
    assert_calls_agree(
        student.gaussian_sample(conditional, 8, 3, again),
        first,
        call="another generator in the same state (is some chance from elsewhere?)",
        other_call="the first one",
    )
    for call, g in (("the next call with the generator", generator), ("another seed", other)):
        second = student.gaussian_sample(conditional, 8, 3, g)
        assert_form(second, (8, 3), what=call)
        if torch.equal(first, second):  # of 24 values: by chance once in 10^100
            raise Mismatch("law", f"{call} gives the very same samples: all randomness should come from the generator")
    assert_streams_differ(lambda like: student.gaussian_sample(conditional, 8, 3, student.generator(like)))


@gaussian_sample
@weight(0.042)
@examples(8)
@given(n=st.integers(1, 3), m=st.integers(1, 3), key=draw.seeds, dtype=draw.dtypes)
@example(n=1, m=1, key=0, dtype=torch.float64)
@example(n=2, m=3, key=0, dtype=torch.float32)
def test_gaussian_samples_have_the_dtype_of_mu(student, n, m, key, dtype):
    """Samples are (n, m), also for n = 1 and m = 1, and have the dtype of mu."""
    got = student.gaussian_sample(gaussian_model(m, key, dtype), n, m, student.generator(key))
    assert_form(got, (n, m))
    assert_dtype(got, dtype)
