"""The low-variance estimate of a KL divergence, and the negative log-likelihood (slide 35)."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import Mismatch, assert_agrees, assert_dtype, assert_form, assert_unchanged
from grader.checking.tolerance import Tolerance
from grader.checks.lecture1.divergences.draw import (
    accuracy,
    assert_gradients,
    column,
    dims,
    mixture_and_gaussian,
    number,
    numbers_of_draws,
    reach,
    zeros_and_three,
)
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.families import first_coordinate, gaussian_log_density
from grader.checks.lecture1.shared.samplers import categorical_log_density, uniform_log_density
from grader.sandbox.wire.families import Family

kl_low_variance = pytest.mark.exercise("divergences.kl_low_variance")
negative_log_likelihood = pytest.mark.exercise("divergences.negative_log_likelihood")
weight = pytest.mark.weight
examples = pytest.mark.examples

LOG2, LOG3 = math.log(2), math.log(3)
P, Q, X_P = [0.5, 0.25, 0.25], [0.125, 0.125, 0.75], [0, 0, 1, 2]  # the samples are exactly as frequent as P says


def table(values: list[float], dtype: torch.dtype) -> Family:
    """The log-density with these values at 0, 1, 2, ..."""
    return categorical_log_density(torch.tensor(values, dtype=torch.float64).to(dtype))


# -- kl_low_variance --


@kl_low_variance
@weight(0.5)
@examples(2)
@given(dtype=draw.dtypes)
@example(dtype=torch.float32)
@example(dtype=torch.float64)
def test_the_low_variance_estimate_by_hand(student, dtype):
    """r = 2, r = 1/2 and r = 1 give 1 - log 2, log 2 - 1/2 and 0; the estimate is the average of such terms."""
    log_p, log_q, x = table([-1.0, -1.0, -1.0], dtype), table([LOG2 - 1, -LOG2 - 1, -1.0], dtype), column([0, 1, 2], dtype)
    for row, want in zip(x, (1 - LOG2, LOG2 - 0.5, 0.0), strict=True):
        assert_agrees(student.kl_low_variance(log_p, log_q, row[None]), number(want), like=dtype, scale=2.0, unit="nats")
    assert_agrees(student.kl_low_variance(log_p, log_q, x), number(0.5 / 3), like=dtype, scale=2.0, unit="nats")
    log_p, log_q, many = table([-1.0, -1.0], dtype), table([-1.0, LOG2 - 1], dtype), zeros_and_three(1.0, dtype)
    want = number(3 * (1 - LOG2) / 4099)
    assert_agrees(student.kl_low_variance(log_p, log_q, many), want, like=dtype, scale=0.01, unit="nats")


@kl_low_variance
@weight(0.375)
@examples(10)
@given(K=st.integers(1, 6), n=numbers_of_draws, key=draw.seeds, dtype=draw.dtypes, scale=st.sampled_from([0.01, 1.0, 5.0]))
@example(K=1, n=1, key=0, dtype=torch.float32, scale=1.0)
@example(K=3, n=5, key=2, dtype=torch.float64, scale=5.0)
def test_the_low_variance_estimate_averages_its_terms(student, ref, K, n, key, dtype, scale):
    """The estimate is the average of (r - 1) - log r over the samples, with r = q / p: close to one, or far from it."""
    log_p, log_q = draw.normal((K,), key, scale, dtype), draw.normal((K,), key + 1, scale, dtype)
    x = draw.integers((n, 1), key + 2, K).to(dtype)
    p, q = categorical_log_density(log_p), categorical_log_density(log_q)
    want = ref.kl_low_variance(p, q, x)
    largest_r = 1 + n * want.item()  # about
    assert_agrees(student.kl_low_variance(p, q, x), want, like=dtype, scale=largest_r * (1 + 8 * scale), unit="nats")


@kl_low_variance
@weight(0.25)
@examples(2)
@given(dtype=draw.dtypes)
@example(dtype=torch.float32)
@example(dtype=torch.float64)
def test_the_low_variance_estimate_is_unbiased(student, dtype):
    """On samples that come exactly as often as p says, the estimate is the divergence itself."""
    log_p, log_q = (table([math.log(mass) for mass in pmf], dtype) for pmf in (P, Q))
    got = student.kl_low_variance(log_p, log_q, column(X_P, dtype))
    assert_agrees(got, number(1.25 * LOG2 - 0.25 * LOG3), like=dtype, scale=8.0, unit="nats")


@kl_low_variance
@weight(0.25)
@examples(8)
@given(key=draw.seeds, distance=st.sampled_from([0.0, 1e-3, 0.1, 1.0, 10.0]), dtype=draw.dtypes)
@example(key=0, distance=0.0, dtype=torch.float32)
@example(key=1, distance=1.0, dtype=torch.float32)
@example(key=25, distance=10.0, dtype=torch.float64)
def test_every_single_term_is_non_negative(student, key, distance, dtype):
    """The estimate from one sample is never below zero, up to rounding, and zero where both densities agree."""
    log_p = draw.normal((1,), key, dtype=dtype)
    log_q = log_p + distance * draw.normal((1,), key + 1, dtype=dtype)
    got = student.kl_low_variance(categorical_log_density(log_p), categorical_log_density(log_q), column([0], dtype))
    assert_form(got, ())
    rounding = Tolerance(dtype, scale=1 + (log_q - log_p).abs().item()).allowed(number(0.0))
    if not got.double() >= -rounding:
        sentence = f"one sample with log r = {(log_q - log_p).item():.4g} gives {got.item():.4g}"
        raise Mismatch("value", sentence, got, expected="no less than 0")
    if distance == 0 and got.double() > rounding:
        raise Mismatch("value", f"one sample with r = 1 gives {got.item():.4g}", got, number(0.0), expected="0")


@kl_low_variance
@weight(0.25)
@examples(2)
@given(dtype=draw.dtypes)
@example(dtype=torch.float32)
@example(dtype=torch.float64)
def test_the_low_variance_estimate_is_finite_where_r_is(student, dtype):
    """log r = -800 costs 799 and log r = 85 costs e^85 - 86, however small or large p and q are; q = 0 costs infinity."""
    log_densities = {
        (-1000.0, -1800.0): 799.0,
        (-2000.0, -2000.0): 0.0,
        (2000.0, 1998.0): math.exp(-2) + 1,
        (-1085.0, -1000.0): math.exp(85) - 86,
        (700.0, -100.0): 799.0,
        (-1.0, -math.inf): math.inf,
    }
    x = torch.zeros(1, 1, dtype=dtype)
    for pair, want in log_densities.items():
        log_p, log_q = torch.tensor(pair, dtype=dtype)[:, None]
        got = student.kl_low_variance(categorical_log_density(log_p), categorical_log_density(log_q), x)
        assert_agrees(got, number(want), like=dtype, scale=1.0, unit="nats")


@kl_low_variance
@weight(0.125)
def test_the_low_variance_estimate_has_gradients_in_both_densities(student):
    """In log q the gradient of a term is r - 1, in log p it is 1 - r: for r = 2 and r = 1/2, by their shares, and for r near 1."""
    log_p, log_q = torch.tensor([-1.0, -1.0]), torch.tensor([LOG2 - 1, -LOG2 - 1])
    densities = categorical_log_density(log_p), categorical_log_density(log_q)
    _, got = student.kl_low_variance.gradient(*densities, column([0, 1, 1, 1], torch.float32), wrt=[log_p, log_q])
    want = torch.tensor([0.25, -0.375], dtype=torch.float64)
    assert_gradients(got, (-want, want), ["log p", "log q"], torch.float32, 2.0)
    log_r = torch.tensor([0.005, -0.005, 2e-4], dtype=torch.float64)
    log_p, log_q = -torch.ones_like(log_r), log_r - 1
    densities = categorical_log_density(log_p), categorical_log_density(log_q)
    _, got = student.kl_low_variance.gradient(*densities, column([0, 1, 2], torch.float64), wrt=[log_p, log_q])
    want = log_r.expm1() / 3
    assert_gradients(got, (-want, want), ["log p", "log q"], torch.float64, 2.0)


@kl_low_variance
@weight(0.125)
@examples(6)
@given(n=numbers_of_draws, m=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=65, m=2, key=0, dtype=torch.float64)
def test_the_low_variance_estimate_has_its_gradient(student, ref, n, m, key, dtype):
    """The gradient reaches the parameters of both densities."""
    x = draw.normal((n, m), key, dtype=dtype)
    mu_p, mu_q = draw.normal((m,), key + 1, 0.5, dtype), draw.normal((m,), key + 2, 0.5, dtype)
    sigma_p, sigma_q = draw.uniform((m,), key + 3, 1, 2, dtype), draw.uniform((m,), key + 4, 1, 2, dtype)
    p, q = gaussian_log_density(mu_p, sigma_p), gaussian_log_density(mu_q, sigma_q)
    wrt = [mu_p, sigma_p, mu_q, sigma_q]
    _, got = student.kl_low_variance.gradient(p, q, x, wrt=wrt)
    want = ref.kl_low_variance_gradient(*wrt, x)
    r = ((q(x) - p(x)).exp().max() + 1).item()
    size = r * (reach(x, mu_p, sigma_p) + reach(x, mu_q, sigma_q)) * (1 + accuracy(x, p, q)["scale"])
    assert_gradients(got, want, ["mu of p", "sigma of p", "mu of q", "sigma of q"], dtype, size)


@kl_low_variance
@weight(0.042)
def test_the_low_variance_estimate_has_the_dtype_of_the_densities(student):
    """Densities in float32 give an estimate in float32, those in float64 one in float64; the draws stay as they are."""
    for dtype in (torch.float32, torch.float64):
        log_p, log_q = table([-1.0, -2.0], dtype), table([-2.0, -1.0], dtype)
        assert_dtype(assert_unchanged(student.kl_low_variance.observed(log_p, log_q, column([0, 1], dtype))), dtype)
    for densities in ((log_p, first_coordinate()), (first_coordinate(), log_p)):  # a view of the draws
        assert_unchanged(student.kl_low_variance.observed(*densities, column([0, 1], dtype)))


# -- negative_log_likelihood --


@negative_log_likelihood
@weight(0.375)
@examples(2)
@given(dtype=draw.dtypes)
@example(dtype=torch.float32)
@example(dtype=torch.float64)
def test_the_likelihood_by_hand(student, dtype):
    """Samples as frequent as p says cost the entropy, 1.5 log 2; a density above one has a negative cost, a tiny one a large."""
    x, two_columns = column(X_P, dtype), torch.tensor([[0.0, 5.0], [0.0, 6.0]], dtype=dtype)
    entropy = student.negative_log_likelihood(table([math.log(mass) for mass in P], dtype), x)
    assert_agrees(entropy, number(1.5 * LOG2), like=dtype, scale=2.0, unit="nats")
    cross_entropy = student.negative_log_likelihood(table([math.log(mass) for mass in Q], dtype), x)
    assert_agrees(cross_entropy, number(2.75 * LOG2 - 0.25 * LOG3), like=dtype, scale=2.0, unit="nats")
    assert_agrees(student.negative_log_likelihood(table([7.5], dtype), two_columns), number(-7.5), like=dtype, unit="nats")
    assert_agrees(student.negative_log_likelihood(table([-5e6], dtype), x[:1]), number(5e6), like=dtype, unit="nats")
    got = student.negative_log_likelihood(table([-1.0, -501.0], dtype), zeros_and_three(1.0, dtype))
    assert_agrees(got, number((4096 + 1503) / 4099), like=dtype, scale=10.0, unit="nats")
    wide = student.negative_log_likelihood(table([-2.0], dtype), torch.zeros(2, 64, dtype=dtype))
    assert_agrees(wide, number(2.0), like=dtype, unit="nats")


@negative_log_likelihood
@weight(0.125)
@examples(8)
@given(n=numbers_of_draws, m=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=1, m=3, key=0, dtype=torch.float32)
def test_the_likelihood_is_averaged_over_samples(student, ref, n, m, key, dtype):
    """The result is minus the average log-likelihood of a sample, in nats, not divided by m."""
    log_p = mixture_and_gaussian(m, key, dtype).log_p_data
    x = draw.normal((n, m), key, dtype=dtype)
    want = ref.negative_log_likelihood(log_p, x)
    assert_agrees(student.negative_log_likelihood.strided(log_p, x), want, like=dtype, **accuracy(x, log_p), unit="nats")


@negative_log_likelihood
@weight(0.125)
def test_a_sample_that_the_model_excludes_costs_infinity(student):
    """One sample with density zero makes the average infinite."""
    narrow = uniform_log_density(torch.zeros(1), torch.ones(1))
    got = student.negative_log_likelihood(narrow, torch.tensor([[0.5], [2.0], [1.0]]))
    assert_agrees(got, number(math.inf), like=torch.float32, unit="nats")


@negative_log_likelihood
@weight(0.25)
@examples(6)
@given(n=numbers_of_draws, m=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=65, m=2, key=0, dtype=torch.float64)
def test_the_likelihood_has_its_gradient(student, n, m, key, dtype):
    """The gradient reaches samples and parameters; by those of a Gaussian it vanishes at the mean and spread of the sample.

    The parameters also where the samples carry no graph.
    """
    x, sigma = draw.normal((n, m), key, dtype=dtype), draw.uniform((m,), key + 2, 0.5, 2, dtype)
    mu = draw.normal((m,), key + 1, dtype=dtype)
    _, got = student.negative_log_likelihood.gradient(gaussian_log_density(mu, sigma), x, wrt=[mu, sigma, x])
    off, spread = x.double() - mu.double(), sigma.double()
    want = (-off.mean(0) / spread**2, 1 / spread - off.square().mean(0) / spread**3, off / spread**2 / n)
    assert_gradients(got, want, ["mu", "sigma", "x"], dtype, reach(x, mu, sigma))
    _, got = student.negative_log_likelihood.gradient(gaussian_log_density(mu, sigma), x, wrt=[mu, sigma])
    names = ["mu, where x carries no graph", "sigma, where x carries no graph"]
    assert_gradients(got, want[:2], names, dtype, reach(x, mu, sigma))


@negative_log_likelihood
@weight(0.042)
def test_the_likelihood_has_the_dtype_of_the_density(student):
    """A density in float32 gives a likelihood in float32, one in float64 a likelihood in float64; the samples stay as they are."""
    for dtype in (torch.float32, torch.float64):
        assert_dtype(assert_unchanged(student.negative_log_likelihood.observed(table([-1.0, -2.0], dtype), column([0, 1], dtype))), dtype)
    assert_unchanged(student.negative_log_likelihood.observed(first_coordinate(), column([0, 1], dtype)))  # a view of the samples
