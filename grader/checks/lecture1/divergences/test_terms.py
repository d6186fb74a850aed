"""The low-variance estimate of a KL divergence, and the negative log-likelihood (slide 35)."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import Mismatch, assert_agrees, assert_form, assert_no_trace, refuses
from grader.checking.tolerance import tolerance
from grader.checks.lecture1.divergences.draw import (
    accuracy,
    assert_gradients,
    dims,
    mixture_and_gaussian,
    numbers_of_draws,
    reach,
)
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.families import gaussian_log_density
from grader.checks.lecture1.shared.samplers import categorical_log_density, uniform_log_density

kl_low_variance = pytest.mark.exercise("divergences.kl_low_variance")
negative_log_likelihood = pytest.mark.exercise("divergences.negative_log_likelihood")
weight = pytest.mark.weight
examples = pytest.mark.examples

INFINITY = torch.tensor(math.inf, dtype=torch.float64)


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


# -- kl_low_variance --


@kl_low_variance
@weight(0.5)
@examples(10)
@given(
    K=st.integers(1, 6), n=numbers_of_draws, key=draw.seeds, dtype=draw.dtypes, scale=st.sampled_from([0.01, 1.0, 5.0])
)
@example(K=1, n=1, key=0, dtype=torch.float32, scale=1.0)
def test_the_low_variance_estimate_averages_its_terms(student, ref, K, n, key, dtype, scale):
    """The estimate is the average of (r - 1) - log r over the samples, with r = q / p: close to one, or far from it."""
    log_p, log_q = draw.normal((K,), key, scale, dtype), draw.normal((K,), key + 1, scale, dtype)
    x = draw.integers((n, 1), key + 2, K).to(dtype)
    p, q = categorical_log_density(log_p), categorical_log_density(log_q)
    want = ref.kl_low_variance(p, q, x)
    largest_r = 1 + n * want.item()  # about
    assert_agrees(student.kl_low_variance(p, q, x), want, like=dtype, scale=largest_r * (1 + 8 * scale), unit="nats")


@kl_low_variance
@weight(0.5)
@examples(10)
@given(K=st.integers(1, 4), key=draw.seeds, dtype=draw.dtypes)
@example(K=3, key=0, dtype=torch.float32)
def test_the_low_variance_estimate_is_unbiased(student, ref, K, key, dtype):
    """On samples that come exactly as often as p says, the estimate is the divergence itself."""
    counts = draw.integers((K,), key, 4) + 1
    p, q = counts.to(dtype) / counts.sum(), draw.pmf((K,), key + 1, False, dtype)
    x = torch.arange(K).repeat_interleave(counts)[:, None].to(dtype)
    got = student.kl_low_variance(categorical_log_density(p.log()), categorical_log_density(q.log()), x)
    assert_agrees(got, ref.kl_divergence(p, q), like=dtype, scale=(1 + q.max() / p.min()).item() * 8, unit="nats")


@kl_low_variance
@weight(0.25)
@examples(10)
@given(key=draw.seeds, distance=st.sampled_from([0.0, 1e-3, 0.1, 1.0, 10.0]), dtype=draw.dtypes)
@example(key=0, distance=0.0, dtype=torch.float32)
@example(key=1, distance=1.0, dtype=torch.float32)
def test_every_single_term_is_non_negative(student, key, distance, dtype):
    """The estimate from one sample is never below zero, up to rounding, and zero where both densities agree."""
    log_p = draw.normal((1,), key, dtype=dtype)
    log_q = log_p + distance * draw.normal((1,), key + 1, dtype=dtype)
    x = torch.zeros(1, 1, dtype=dtype)
    got = student.kl_low_variance(categorical_log_density(log_p), categorical_log_density(log_q), x)
    assert_form(got, (), dtype)
    rounding = tolerance(number(0.0), dtype, scale=1 + (log_q - log_p).abs().item())
    if not got.double() >= -rounding or (distance == 0 and got.double() > rounding):
        sentence = f"one sample with log r = {(log_q - log_p).item():.4g} gives {got.item():.4g}"
        raise Mismatch("value", sentence, got, number(0.0) if distance == 0 else None)


@kl_low_variance
@weight(0.25)
@examples(2)
@given(dtype=draw.dtypes)
@example(dtype=torch.float32)
@example(dtype=torch.float64)
def test_the_low_variance_estimate_is_finite_where_log_r_is(student, dtype):
    """log r = -800 costs 799 and log r = 50 costs e^50 - 51, however small p and q are; q = 0 costs infinity."""
    log_densities = {
        (-1000.0, -1800.0): 799.0,
        (-2000.0, -2000.0): 0.0,
        (-1050.0, -1000.0): math.exp(50) - 51,
        (700.0, -100.0): 799.0,
        (-1.0, -math.inf): math.inf,
    }
    x = torch.zeros(1, 1, dtype=dtype)
    for pair, want in log_densities.items():
        log_p, log_q = torch.tensor(pair, dtype=dtype)[:, None]
        got = student.kl_low_variance(categorical_log_density(log_p), categorical_log_density(log_q), x)
        assert_agrees(got, number(want), like=dtype, scale=1.0, unit="nats")


@kl_low_variance
@weight(0.25)
@examples(8)
@given(n=numbers_of_draws, m=dims, key=draw.seeds, dtype=draw.dtypes)
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
@weight(0.25)
def test_the_low_variance_estimate_refuses_nothing_and_leaves_no_trace(student):
    """No samples are refused with a ValueError; an estimate changes nothing, draws nothing and prints nothing."""
    p, q = gaussian_log_density(torch.zeros(2), torch.ones(2)), gaussian_log_density(torch.ones(2), torch.ones(2))
    assert_no_trace(student.kl_low_variance.observed(p, q, draw.normal((3, 2), 0)))
    with refuses("x", "n"):
        student.kl_low_variance(p, q, torch.zeros(0, 2))


# -- negative_log_likelihood --


@negative_log_likelihood
@weight(0.25)
@examples(10)
@given(n=numbers_of_draws, m=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=1, m=3, key=0, dtype=torch.float32)
def test_the_likelihood_is_averaged_over_samples(student, ref, n, m, key, dtype):
    """The result is minus the average log-likelihood of a sample, in nats, not divided by m."""
    log_p = mixture_and_gaussian(m, key, dtype).log_p_data
    x = draw.normal((n, m), key, dtype=dtype)
    want = ref.negative_log_likelihood(log_p, x)
    assert_agrees(student.negative_log_likelihood(log_p, x), want, like=dtype, **accuracy(x, log_p), unit="nats")


@negative_log_likelihood
@weight(0.25)
def test_the_likelihood_is_forward_kl_up_to_the_entropy_of_the_data(student):
    """On samples as frequent as p says, the results for q and p differ by D(p, q); a sample q excludes costs inf."""
    p, q = [0.5, 0.25, 0.25], [0.125, 0.125, 0.75]
    x = torch.tensor([0.0, 0.0, 1.0, 2.0])[:, None]
    entropy, cross_entropy = (
        student.negative_log_likelihood(categorical_log_density(torch.tensor(pmf).log()), x) for pmf in (p, q)
    )
    assert_agrees(entropy, number(1.5 * math.log(2)), like=torch.float32, scale=2.0, unit="nats")
    assert_agrees(cross_entropy, number(2.75 * math.log(2) - 0.25 * math.log(3)), like=torch.float32, scale=2.0, unit="nats")
    narrow = uniform_log_density(torch.zeros(1), torch.ones(1))
    assert_agrees(student.negative_log_likelihood(narrow, x), INFINITY, like=torch.float32, unit="nats")


@negative_log_likelihood
@weight(0.25)
@examples(8)
@given(n=numbers_of_draws, m=dims, key=draw.seeds, dtype=draw.dtypes)
def test_the_likelihood_has_its_gradient(student, ref, n, m, key, dtype):
    """The gradient reaches the parameters of the model: that is maximum likelihood."""
    x, mu = draw.normal((n, m), key, dtype=dtype), draw.normal((m,), key + 1, dtype=dtype)
    sigma = draw.uniform((m,), key + 2, 0.5, 2, dtype)
    _, got = student.negative_log_likelihood.gradient(gaussian_log_density(mu, sigma), x, wrt=[mu, sigma])
    want = ref.negative_log_likelihood_gradient(mu, sigma, x)
    assert_gradients(got, want, ["mu", "sigma"], dtype, reach(x, mu, sigma))


@negative_log_likelihood
@weight(0.25)
def test_the_likelihood_of_nothing_is_refused_and_no_trace_left(student):
    """No samples are refused with a ValueError; evaluating changes nothing, draws nothing and prints nothing."""
    log_p = gaussian_log_density(torch.zeros(2), torch.ones(2))
    assert_no_trace(student.negative_log_likelihood.observed(log_p, draw.normal((3, 2), 0)))
    with refuses("x", "n"):
        student.negative_log_likelihood(log_p, torch.zeros(0, 2))
