"""The reverse KL divergence of a diagonal Gaussian from given noise, differentiable in its parameters (slide 35)."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given

from grader.checking.compare import assert_agrees, assert_dtype, assert_unchanged
from grader.checks.lecture1.divergences.draw import (
    accuracy,
    assert_gradients,
    dims,
    mixture_and_gaussian,
    number,
    numbers_of_draws,
    reach,
    zeros_and_three,
)
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.families import gaussian_log_density, linear
from grader.checks.lecture1.shared.samplers import uniform_log_density

reparametrized_reverse_kl = pytest.mark.exercise("divergences.reparametrized_reverse_kl")
weight = pytest.mark.weight
examples = pytest.mark.examples

LOG2 = math.log(2)
HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


@reparametrized_reverse_kl
@weight(0.5)
@examples(2)
@given(dtype=draw.dtypes)
@example(dtype=torch.float32)
@example(dtype=torch.float64)
def test_the_reverse_kl_of_a_gaussian_by_hand(student, dtype):
    """Of N(1, 2^2) to N(0, 1) the noise 1 and -1 gives 2 - log 2, its first row alone 4 - log 2; of N(0, 1) to itself 0.

    Where a sample is impossible under p_data the estimate is infinite.
    """
    zero, one, two = torch.tensor([[0.0], [1.0], [2.0]], dtype=dtype)
    noise = torch.tensor([[1.0], [-1.0]], dtype=dtype)
    standard = gaussian_log_density(zero, one)

    def agrees(got: object, want: float, scale: float = 8.0) -> None:
        assert_agrees(got, number(want), like=dtype, scale=scale, unit="nats")

    agrees(student.reparametrized_reverse_kl(standard, one, two, noise), 2 - LOG2)
    agrees(student.reparametrized_reverse_kl(standard, one, two, noise[:1]), 4 - LOG2)
    agrees(student.reparametrized_reverse_kl(standard, zero, one, noise[:1]), 0.0)
    agrees(student.reparametrized_reverse_kl(uniform_log_density(zero, two), one, two, noise), math.inf)
    flat = linear(0 * torch.ones(2, dtype=dtype), zero[0])  # log p_data = 0: what is left is the average of log q
    mu, sigma = torch.tensor([[3.0, -1.0], [0.5, 4.0]], dtype=dtype)
    noise = torch.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, 0.0], [-1.0, 1.0]], dtype=dtype)
    agrees(student.reparametrized_reverse_kl(flat, mu, sigma, noise), -LOG2 - 2 * HALF_LOG_2_PI - 2, 30.0)
    m = 64  # the product of as many sigmas of 2^-20 is below what floats hold
    flat, zeros, noise = linear(zero.repeat(m), zero[0]), zero.repeat(m), torch.ones(2, m, dtype=dtype).tril()  # 1 and 2 ones
    narrow = student.reparametrized_reverse_kl(flat, zeros, one.repeat(m) / 2**20, noise)
    agrees(narrow, 20 * m * LOG2 - m * HALF_LOG_2_PI - 0.75, 2000.0)


@reparametrized_reverse_kl
@weight(0.375)
@examples(10)
@given(n=numbers_of_draws, m=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=1, m=1, key=0, dtype=torch.float32)
@example(n=1, m=1, key=0, dtype=torch.float64)
@example(n=300, m=3, key=1, dtype=torch.float64)
@example(n=7, m=3, key=2, dtype=torch.float32)
def test_the_reverse_kl_of_a_gaussian_averages_the_log_ratio(student, ref, n, m, key, dtype):
    """The estimate is the average of log q - log p_data at mu + sigma noise, whatever density the data have."""
    laws, noise = mixture_and_gaussian(m, key, dtype), draw.normal((n, m), key + 7, dtype=dtype)
    mu, sigma = laws.log_p_theta.parameters.values()
    want = ref.reparametrized_reverse_kl(laws.log_p_data, mu, sigma, noise)
    got = student.reparametrized_reverse_kl.strided(laws.log_p_data, mu, sigma, noise)
    x = mu + sigma * noise
    known = accuracy(x, laws.log_p_data, laws.log_p_theta)
    known["scale"] += reach(x, mu, sigma)
    assert_agrees(got, want, like=dtype, **known, unit="nats")


@reparametrized_reverse_kl
@weight(0.125)
def test_the_reverse_kl_of_a_gaussian_counts_every_row(student):
    """For log p_data = -x and 4099 rows of noise, of which the last three are 500 and the others 0, log q and x are averaged."""
    noise = zeros_and_three(500.0, torch.float64)
    mu, sigma, zero = torch.tensor([[1.0], [2.0], [0.0]], dtype=torch.float64)
    got = student.reparametrized_reverse_kl(linear(-torch.ones_like(mu), zero[0]), mu, sigma, noise)
    assert_agrees(got, number(1 - LOG2 - HALF_LOG_2_PI + 3 * (1000 - 125000) / 4099), scale=125000.0, unit="nats")


@reparametrized_reverse_kl
@weight(0.5)
def test_the_reverse_kl_of_a_gaussian_has_the_gradient_through_everything(student):
    """For log p_data = w . x + b: -w in mu, and -1 / sigma - w times the mean noise in sigma.

    In w it is minus the mean sample, also where mu and sigma carry no graph.
    """
    noise = torch.tensor([[1.0, -0.5], [0.0, 2.0]], dtype=torch.float64)
    mu, sigma, w = torch.tensor([[0.5, -1.0], [2.0, 0.5], [1.0, 3.0]], dtype=torch.float64)
    log_p_data = linear(w, torch.zeros((), dtype=torch.float64))
    _, got = student.reparametrized_reverse_kl.gradient(log_p_data, mu, sigma, noise, wrt=[mu, sigma, w])
    mean = torch.tensor([0.5, 0.75], dtype=torch.float64)
    want = (-w, -1 / sigma - w * mean, -mu - sigma * mean)
    assert_gradients(got, want, ["mu", "sigma", "w of log p_data"], torch.float64, 20.0)
    _, got = student.reparametrized_reverse_kl.gradient(log_p_data, mu, sigma, noise, wrt=[w])
    assert_gradients(got, want[2:], ["w of log p_data alone"], torch.float64, 20.0)


@reparametrized_reverse_kl
@weight(0.25)
@examples(8)
@given(n=numbers_of_draws, m=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=3, m=2, key=0, dtype=torch.float32)
@example(n=3, m=2, key=0, dtype=torch.float64)
@example(n=65, m=2, key=0, dtype=torch.float64)
def test_the_reverse_kl_of_a_gaussian_has_its_gradient(student, ref, n, m, key, dtype):
    """mu and sigma act in log q and through the samples; the gradient is the sum of both."""
    mu, sigma = draw.normal((m,), key, dtype=dtype), draw.uniform((m,), key + 1, 0.5, 2, dtype)
    data = draw.normal((m,), key + 2, dtype=dtype), draw.uniform((m,), key + 3, 0.5, 2, dtype)
    noise = draw.normal((n, m), key + 4, dtype=dtype)
    _, got = student.reparametrized_reverse_kl.gradient(gaussian_log_density(*data), mu, sigma, noise, wrt=[mu, sigma])
    in_mu, in_sigma, through_mu, through_sigma = ref.pathwise_gradient(mu, sigma, *data, noise)
    x = mu + sigma * noise
    scale = (reach(x, mu, sigma) + reach(x, *data)) * (1 + noise.abs().max().item())
    assert_gradients(got, (in_mu + through_mu, in_sigma + through_sigma), ["mu", "sigma"], dtype, scale)


@reparametrized_reverse_kl
@weight(0.083)
def test_the_reverse_kl_of_a_gaussian_has_the_dtype_of_its_arguments(student):
    """Parameters in float32 give an estimate in float32, those in float64 one in float64; the arguments stay as they are."""
    for dtype in (torch.float32, torch.float64):
        zero, one = torch.zeros(1, dtype=dtype), torch.ones(1, dtype=dtype)
        args = gaussian_log_density(zero, one), one, one, torch.ones(2, 1, dtype=dtype)
        assert_dtype(assert_unchanged(student.reparametrized_reverse_kl.observed(*args)), dtype)
